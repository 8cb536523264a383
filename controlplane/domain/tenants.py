"""Tenants: whose data it is, and whether they are being served."""

import re
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import Database, OperatorTx, TenantTx
from controlplane.domain import audit, projects
from controlplane.domain.audit import Actor
from controlplane.kit.ids import TenantId, parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

ROUTE: Final = "slug"
"""Kind of the route from a slug to its tenant."""

SLUG: Final = re.compile("[a-z0-9][a-z0-9-]{0,38}[a-z0-9]")
MAX_NAME: Final = 100

Reference: TypeAlias = str
"""A tenant in a path or on a command line: its slug or its id."""


class Tenant(Struct, frozen=True, kw_only=True):
    tenant_id: TenantId
    slug: str
    name: str
    status: str
    """``active`` or ``suspended``."""
    status_reason: str
    created_at: datetime
    sso_enforced: bool = False
    """Whether people enter by the tenant's provider only."""

    def is_named(self, reference: Reference) -> bool:
        """Whether *reference* means this tenant."""
        return reference in (self.slug, text_id("ten", self.tenant_id))


class SlugTaken(Refusal):
    code, status, title = "tenant-slug-taken", 409, "A tenant with this slug exists"
    hint = "Pick another slug."


class SlugInvalid(Refusal):
    code, status, title = "tenant-slug-invalid", 400, "This cannot be a tenant's slug"
    hint = "2 to 40 characters: lower-case letters, digits, and hyphens inside. It is part of every address."


class NameInvalid(Refusal):
    code, status, title = "tenant-name-invalid", 400, "This cannot be a tenant's name"
    hint = f"1 to {MAX_NAME} characters."


class TenantSuspended(Refusal):
    """For the tenant's people and keys. Its runtimes keep what they have and ask again."""

    code, status, title = "tenant-suspended", 403, "This tenant is suspended"
    hint = "Nothing is lost. The people who run this service can resume it."


async def create(tx: TenantTx, actor: Actor, slug: str, name: str) -> Tenant:
    """Create the tenant that *tx* is inside of (:meth:`Database.new_tenant`), with a first project.

    Raises:
        SlugInvalid, NameInvalid: If it cannot be called that.
        SlugTaken: If another one has this slug.
    """
    if not SLUG.fullmatch(slug):
        raise SlugInvalid
    if not 1 <= len(name.strip()) <= MAX_NAME:
        raise NameInvalid
    route = tx.insert(t.routes).values(kind=ROUTE, key=slug.encode())
    if not await tx.run(route.on_conflict_do_nothing(index_elements=["kind", "key"])):
        raise SlugTaken
    [tenant] = await tx.take(
        Tenant,
        tx.insert(t.tenants).values(slug=slug, name=name.strip(), status="active", status_reason="", created_at=tx.now),
    )
    audit.record(tx, actor, "tenant.created", _target(tx), slug=slug)
    await projects.create(tx, actor, projects.DEFAULT, "Default", "prod")
    return tenant


async def find(db: Database, reference: Reference) -> TenantId | None:
    """Which tenant *reference* may mean. An id is taken at its word: whoever enters sees whether it exists."""
    identity = parse_id("ten", reference)
    return TenantId(identity) if identity is not None else await db.tenant_of(ROUTE, reference.encode())


async def get(tx: TenantTx) -> Tenant:
    """The tenant that *tx* is inside of.

    Raises:
        NotFound: If there is none.
    """
    tenant = await tx.first(Tenant, tx.select(t.tenants))
    if tenant is None:
        raise NotFound
    return tenant


async def listing(tx: OperatorTx, *, after: UUID | None, limit: int) -> list[Tenant]:
    """Every tenant, newest first, from just before *after* on."""
    wanted = tx.select(t.tenants)
    if after is not None:
        wanted = wanted.where(t.tenants.c.tenant_id < after)
    return await tx.all(Tenant, wanted.order_by(t.tenants.c.tenant_id.desc()).limit(limit))


async def suspend(tx: TenantTx, actor: Actor, reason: str) -> Tenant:
    """Stop serving the tenant; nothing is deleted. Doing it again changes the reason."""
    return await _turn(tx, actor, "tenant.suspended", "suspended", reason)


async def resume(tx: TenantTx, actor: Actor) -> Tenant:
    """Serve the tenant again."""
    return await _turn(tx, actor, "tenant.resumed", "active", "")


async def _turn(tx: TenantTx, actor: Actor, action: str, status: str, reason: str) -> Tenant:
    turned = await tx.take(Tenant, tx.update(t.tenants).values(status=status, status_reason=reason))
    if not turned:
        raise NotFound
    audit.record(tx, actor, action, _target(tx))
    return turned[0]


def _target(tx: TenantTx) -> audit.Target:
    return "tenant", text_id("ten", tx.tenant_id)
