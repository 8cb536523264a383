"""Tenants: whose data it is, and whether they are being served."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import Database, OperatorTx, TenantTx
from controlplane.domain import audit, projects
from controlplane.domain.audit import Actor
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import TenantId, parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

ROUTE: Final = "slug"
"""Kind of the route from a slug to its tenant."""

SLUG: Final = re.compile("[a-z0-9][a-z0-9-]{0,38}[a-z0-9]")
MAX_NAME: Final = 100

Reference: TypeAlias = str
"""A tenant in a path or on a command line: its slug or its id."""


Status: TypeAlias = Literal["provisioning", "active", "suspended", "pending_deletion", "purging", "deleted"]

ImpersonationPolicy: TypeAlias = Literal["never", "ask", "allow"]
"""Whether operators may work as the tenant's people: not at all, once an owner agrees, or when they say why."""

DisclosurePolicy: TypeAlias = Literal["never", "two_people"]
"""Whether a credential may be read: not at all, or by who asked for it once somebody else agrees."""

Act: TypeAlias = Literal["activate", "suspend", "resume", "delete", "undelete", "purge", "bury"]

TRANSITIONS: Final[Mapping[Act, Mapping[Status, Status]]] = MappingProxyType(
    {
        "activate": {"provisioning": "active"},
        "suspend": {"active": "suspended", "suspended": "suspended"},
        "resume": {"suspended": "active"},
        "delete": {
            "provisioning": "pending_deletion",
            "active": "pending_deletion",
            "suspended": "pending_deletion",
        },
        "undelete": {"pending_deletion": "active"},
        "purge": {"pending_deletion": "purging"},
        "bury": {"purging": "deleted"},
    }
)
"""From which state which act leads where; what is not here is refused. Undeleted, a tenant is suspended if it was."""

GONE: Final = frozenset({"purging", "deleted"})
"""From here on there is nothing to enter any more."""


class Tenant(Struct, frozen=True, kw_only=True):
    tenant_id: TenantId
    slug: str
    name: str
    status: str
    """One of :data:`Status`."""
    status_reason: str
    """For operators; the tenant's people never see it."""
    status_message: str = ""
    """For the tenant's people."""
    status_before: str = ""
    status_by: str = ""
    """Who turned it, as shown."""
    status_since: datetime | None = None
    purge_at: datetime | None = None
    """When what it has is destroyed, unless it is undeleted before."""
    plan: str | None = None
    """None: the default plan."""
    created_at: datetime
    sso_enforced: bool = False
    """Whether people enter by the tenant's provider only."""
    mfa_required: bool = False
    """Whether people enter with two factors only, unless by the tenant's provider."""
    impersonation_policy: ImpersonationPolicy = "ask"
    disclosure_policy: DisclosurePolicy = "never"
    """Whether two people together may read a credential in the clear."""
    unsealed_reads: bool = False
    """Whether runtimes that cannot sign may have credentials that are not sealed to them."""
    device_flow: bool = False
    """Whether accounts may be connected by a code that somebody types in on another device."""

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
    hint = "Nothing is lost, and everything can be exported. The people who run this service can resume it."

    def __init__(self, message: str = "", since: datetime | None = None) -> None:
        super().__init__(message)
        self.message, self.since = message, since

    def facts(self) -> dict[str, object]:
        return {"suspended_since": rfc3339(self.since)} if self.since else {}


class TenantPendingDeletion(Refusal):
    """It is being kept for a while, in case somebody thinks better of it."""

    code, status, title = "tenant-pending-deletion", 403, "This tenant is going to be deleted"
    hint = "Until then an owner can undelete it, and export everything."

    def __init__(self, purge_at: datetime | None = None) -> None:
        super().__init__(f"everything it has is destroyed from {purge_at:%Y-%m-%d %H:%M} UTC on" if purge_at else "")
        self.purge_at = purge_at

    def facts(self) -> dict[str, object]:
        return {"purge_at": rfc3339(self.purge_at)} if self.purge_at else {}


class TenantProvisioning(Refusal):
    code, status, title = "tenant-provisioning", 403, "This tenant is still being set up"
    hint = "Try again once its import has finished."


class TransitionRefused(Refusal):
    """What somebody wants to do with a tenant does not follow from the state it is in."""

    code, status, title = "tenant-state-conflict", 409, "The tenant is in another state"
    hint = "Look at its status first: GET /v1/operator/tenants/{tenant}."

    def __init__(self, act: Act, found: str) -> None:
        super().__init__(f"{act} is not possible while the tenant is {found}")
        self.act, self.found = act, found

    def facts(self) -> dict[str, object]:
        return {"act": self.act, "tenant_status": self.found}


async def create(tx: TenantTx, actor: Actor, slug: str, name: str) -> Tenant:
    """Create the tenant that *tx* is inside of (:meth:`Database.new_tenant`), with a first project.

    Raises:
        SlugInvalid, NameInvalid: If it cannot be called that.
        SlugTaken: If another one has this slug.
    """
    tenant = await found(tx, slug, name, "active", tx.now)
    audit.record(tx, actor, "tenant.created", _target(tx), own={"slug": slug})
    await projects.create(tx, actor, projects.DEFAULT, "Default", "prod")
    return tenant


async def found(
    tx: TenantTx,
    slug: str,
    name: str,
    status: Status,
    created_at: datetime,
    impersonation_policy: ImpersonationPolicy = "ask",
) -> Tenant:
    """The tenant's row and the route to it, and nothing else: who calls this says so in an audit log.

    Raises:
        SlugInvalid, NameInvalid, SlugTaken: If it cannot be called that.
    """
    if not SLUG.fullmatch(slug):
        raise SlugInvalid
    route = tx.insert(t.routes).values(kind=ROUTE, key=slug.encode())
    name = _checked_name(name)
    if not await tx.run(route.on_conflict_do_nothing(index_elements=["kind", "key"])):
        raise SlugTaken
    [tenant] = await tx.take(
        Tenant,
        tx.insert(t.tenants).values(
            slug=slug,
            name=name,
            status=status,
            status_reason="",
            created_at=created_at,
            impersonation_policy=impersonation_policy,
        ),
    )
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


async def listing(
    tx: OperatorTx, *, after: UUID | None, limit: int, status: Status | None = None, q: str | None = None
) -> list[Tenant]:
    """Every tenant, newest first, from just before *after* on.

    Args:
        status: Only those in this state.
        q: The start of a slug or a part of a name, in any case.
    """
    wanted = tx.select(t.tenants)
    if status is not None:
        wanted = wanted.where(t.tenants.c.status == status)
    if q:
        by_slug = t.tenants.c.slug.startswith(q.lower(), autoescape=True)
        wanted = wanted.where(by_slug | t.tenants.c.name.icontains(q, autoescape=True))
    if after is not None:
        wanted = wanted.where(t.tenants.c.tenant_id < after)
    return await tx.all(Tenant, wanted.order_by(t.tenants.c.tenant_id.desc()).limit(limit))


async def rename(tx: TenantTx, actor: Actor, name: str) -> Tenant:
    """Call the tenant something else; its slug, and with it every address, stays.

    Raises:
        NameInvalid: If it cannot be called that.
    """
    [renamed] = await tx.take(Tenant, tx.update(t.tenants).values(name=_checked_name(name)))
    audit.record(tx, actor, "tenant.renamed", _target(tx))
    return renamed


async def demand_second_factor(tx: TenantTx, actor: Actor, demanded: bool) -> Tenant:
    """Let people in with two factors only, or with one again; API keys come in as before."""
    [changed] = await tx.take(Tenant, tx.update(t.tenants).values(mfa_required=demanded))
    audit.record(tx, actor, "tenant.mfa-changed", _target(tx), required=demanded)
    return changed


async def allow_unsealed_reads(tx: TenantTx, actor: Actor, allowed: bool) -> Tenant:
    """Let runtimes' keys open the protocol of the existing client, or not any more. Policies decide as before."""
    [changed] = await tx.take(Tenant, tx.update(t.tenants).values(unsealed_reads=allowed))
    audit.record(tx, actor, "tenant.unsealed-reads-changed", _target(tx), allowed=allowed)
    return changed


async def suspend(tx: TenantTx, actor: Actor, reason: str, message: str = "") -> Tenant:
    """Stop serving the tenant; nothing is deleted. Doing it again changes reason and message.

    Args:
        reason: For operators.
        message: For the tenant's people.
    """
    return await _turn(tx, actor, "suspend", status_reason=reason, status_message=message)


async def resume(tx: TenantTx, actor: Actor) -> Tenant:
    """Serve the tenant again."""
    return await _turn(tx, actor, "resume", status_reason="", status_message="")


async def activate(tx: TenantTx, actor: Actor) -> Tenant:
    """Serve a tenant whose import has finished. It stands in the platform's log: the tenant's own came along as it was."""
    tenant = await _turn(tx, actor, "activate")
    tx.audited = True
    return tenant


async def delete(tx: TenantTx, actor: Actor, grace: timedelta) -> Tenant:
    """Stop serving the tenant, and have everything it has destroyed after *grace*."""
    return await _turn(tx, actor, "delete", purge_at=tx.now + grace)


async def undelete(tx: TenantTx, actor: Actor) -> Tenant:
    """Take a deletion back while there is time: the tenant is what it was."""
    return await _turn(tx, actor, "undelete", purge_at=None)


async def begin_purge(tx: TenantTx, actor: Actor) -> Tenant:
    """From here on there is no way back.

    Raises:
        TransitionRefused: If the tenant is not being deleted, or its grace is not over.
    """
    tenant = await get(tx)
    if tenant.status == "pending_deletion" and (tenant.purge_at is None or tenant.purge_at > tx.now):
        raise TransitionRefused("purge", "pending_deletion and its grace is not over")
    return await _turn(tx, actor, "purge", status_by=tenant.status_by)


async def bury(tx: TenantTx, actor: Actor) -> Tenant:
    """Nothing is left but that there was one. It stands in the platform's log: the tenant has none any more."""
    tenant = await _turn(tx, actor, "bury", slug="", name="", status_reason="", status_message="")
    tx.audited = True
    return tenant


def not_served(tenant: Tenant) -> Refusal:
    """Why the people and keys of a tenant that is not active are turned away."""
    if tenant.status in GONE:
        return NotFound()
    if tenant.status == "pending_deletion":
        return TenantPendingDeletion(tenant.purge_at)
    if tenant.status == "provisioning":
        return TenantProvisioning()
    return TenantSuspended(tenant.status_message, tenant.status_since)


async def _turn(tx: TenantTx, actor: Actor, act: Act, **more: object) -> Tenant:
    now = await tx.first(Tenant, tx.select(t.tenants).with_for_update())
    if now is None:
        raise NotFound
    after = TRANSITIONS[act].get(now.status)  # type: ignore[call-overload]  # the column holds nothing else
    if after is None:
        raise TransitionRefused(act, now.status)
    if act == "undelete" and now.status_before in TRANSITIONS["delete"]:
        after = now.status_before
    by = actor.id or actor.kind
    turned = {"status": after, "status_before": now.status, "status_by": by, "status_since": tx.now}
    [tenant] = await tx.take(Tenant, tx.update(t.tenants).values({**turned, **more}))
    if action := AUDITED.get(act):
        audit.record(tx, actor, action, _target(tx), before=now.status)
    return tenant


AUDITED: Final[Mapping[Act, str]] = MappingProxyType(
    {
        "suspend": "tenant.suspended",
        "resume": "tenant.resumed",
        "delete": "tenant.deleted",
        "undelete": "tenant.undeleted",
        "purge": "tenant.purge-began",
    }
)
"""What acts are called in the tenant's own log. Its import and its burial stand in the platform's."""


def _checked_name(name: str) -> str:
    if not 1 <= len(name.strip()) <= MAX_NAME:
        raise NameInvalid
    return name.strip()


def _target(tx: TenantTx) -> audit.Target:
    return "tenant", text_id("ten", tx.tenant_id)
