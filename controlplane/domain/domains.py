"""Domains: which tenant a mail domain belongs to, proved by a record in the DNS and looked at again every week."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import OperatorTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.kit.ids import DomainId, TenantId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

ROUTE: Final = "domain"
"""Kind of the route from a verified domain to its tenant: one at most."""

RECORD: Final = "_engine-cloud"
VALUE: Final = "engine-cloud-domain="

LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
NAME: Final = re.compile(rf"(?=.{{4,240}}\Z)({LABEL}\.)+(?=[a-z])(?:{LABEL})\Z")

CONSUMER: Final = frozenset(Path(__file__).with_name("consumer_mail_domains.txt").read_text(encoding="ascii").split())
"""Where everybody can have an address: such a domain is nobody's."""

MOST: Final = 100
CHECKED_EVERY: Final = timedelta(days=7)
FAILED_AGAIN_AFTER: Final = timedelta(days=1)
MOST_FAILED: Final = 4
"""In a row; then the domain is let go."""

AT_ONCE: Final = 200

Status: TypeAlias = Literal["pending", "verified", "lapsed"]
Finding: TypeAlias = Literal["", "found", "no-record", "other-value", "not-answered"]

CHORE: Final = Actor(kind="chore", id="check-domains")


class Domain(Struct, frozen=True, kw_only=True):
    id: DomainId
    name: str
    challenge: str
    """What has to stand in the record. No secret: the DNS is public."""
    status: Status
    created_by: str
    created_at: datetime
    verified_at: datetime | None
    checked_at: datetime | None
    failed_checks: int
    finding: Finding
    """What the last look at the DNS found."""

    @property
    def record(self) -> str:
        """The name of the TXT record."""
        return f"{RECORD}.{self.name}"

    @property
    def value(self) -> str:
        return VALUE + self.challenge


class Due(Struct, frozen=True, kw_only=True):
    """A verified domain whose record is to be looked for again."""

    tenant_id: TenantId
    id: DomainId
    name: str


class DomainInvalid(Refusal):
    code, status, title = "domain-invalid", 400, "This is not a domain"
    hint = "Write it as in addresses after the @: example.com. Others than ASCII are written xn--…"


class DomainIsForEverybody(Refusal):
    """At a consumer mail service everybody can have an address."""

    code, status, title = (
        "domain-for-everybody",
        400,
        "This domain is a mail service's, where everybody can have an address",
    )
    hint = "Use a domain of your own."


class DomainExists(Refusal):
    code, status, title = "domain-exists", 409, "This tenant has the domain already"
    hint = "Look at the list of domains."


class DomainTaken(Refusal):
    """Said only to whoever has just proved that the domain is theirs."""

    code, status, title = "domain-taken", 409, "The domain belongs to another tenant here"
    hint = "Have it removed there first; whoever runs the service can help."


class TooManyDomains(Refusal):
    code, status, title = "domains-too-many", 409, f"A tenant has at most {MOST} domains"
    hint = "Delete one that is not needed any more."


async def create(tx: TenantTx, actor: Actor, name: str) -> Domain:
    """Begin to claim a domain; it counts for nothing until the record has been found.

    Raises:
        DomainInvalid, DomainIsForEverybody: If it cannot be anybody's.
        DomainExists, TooManyDomains: If the tenant has it, or enough.
    """
    wanted = normalized(name)
    if not NAME.fullmatch(wanted):
        raise DomainInvalid
    if wanted in CONSUMER:
        raise DomainIsForEverybody
    if len(await listing(tx, after=None, limit=MOST)) >= MOST:
        raise TooManyDomains
    made = await tx.take(
        Domain,
        tx.insert(t.domains)
        .values(
            id=new_id(tx.now),
            name=wanted,
            challenge=secrets.token_urlsafe(24),
            status="pending",
            created_by=actor.id,
            created_at=tx.now,
            failed_checks=0,
            finding="",
        )
        .on_conflict_do_nothing(),
    )
    if not made:
        raise DomainExists
    audit.record(tx, actor, "domain.created", _target(made[0].id), own={"domain": wanted})
    return made[0]


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Domain]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.domains)
    if after is not None:
        wanted = wanted.where(t.domains.c.id < after)
    return await tx.all(Domain, wanted.order_by(t.domains.c.id.desc()).limit(limit))


async def get(tx: TenantTx, domain_id: UUID) -> Domain:
    """
    Raises:
        NotFound: If this tenant has no such domain.
    """
    found = await tx.first(Domain, tx.select(t.domains).where(t.domains.c.id == domain_id))
    if found is None:
        raise NotFound
    return found


async def is_verified(tx: TenantTx, name: str) -> bool:
    """Whether the mail domain *name* is this tenant's, by proof."""
    its = t.domains.c
    mine = tx.select(t.domains).where(its.name == normalized(name), its.status == "verified")
    return await tx.first(Domain, mine) is not None


async def settle(tx: TenantTx, actor: Actor, domain_id: UUID, records: Sequence[str] | None) -> Domain:
    """Write down what a look at the DNS found: the domain is the tenant's from now on, still, or no longer.

    Args:
        records: The TXT records that stand there; None: nobody could say, which proves nothing.

    Raises:
        NotFound: If this tenant has no such domain.
        DomainTaken: If the record is right, and another tenant has the domain.
    """
    domain = await _locked(tx, domain_id)
    if records is None:
        due = tx.now + FAILED_AGAIN_AFTER if domain.status == "verified" else None
        return await _write(tx, actor, domain_id, finding="not-answered", check_due_at=due)
    if domain.value in records:
        return await _verify(tx, actor, domain)
    finding: Finding = "other-value" if records else "no-record"
    if domain.status != "verified":
        return await _write(tx, actor, domain_id, finding=finding)
    failed = domain.failed_checks + 1
    if failed < MOST_FAILED:
        due = tx.now + FAILED_AGAIN_AFTER
        return await _write(tx, actor, domain_id, finding=finding, failed_checks=failed, check_due_at=due)
    await _let_go(tx, domain.name)
    audit.record(tx, actor, "domain.lapsed", _target(domain.id), own={"domain": domain.name})
    return await _write(tx, actor, domain_id, finding=finding, failed_checks=failed, check_due_at=None, status="lapsed")


async def delete(tx: TenantTx, actor: Actor, domain_id: UUID) -> None:
    """Let the domain go.

    Raises:
        NotFound: If this tenant has no such domain.
    """
    gone = await tx.take(_Named, tx.delete(t.domains).where(t.domains.c.id == domain_id))
    if not gone:
        raise NotFound
    await _let_go(tx, gone[0].name)
    audit.record(tx, actor, "domain.deleted", _target(DomainId(domain_id)), own={"domain": gone[0].name})


async def due(tx: OperatorTx) -> list[Due]:
    """Domains of all tenants whose record is to be looked for now."""
    late = tx.select(t.domains).where(t.domains.c.check_due_at <= tx.now)
    return await tx.all(Due, late.order_by(t.domains.c.check_due_at).limit(AT_ONCE))


def normalized(name: str) -> str:
    return name.strip().removesuffix(".").casefold()


def of_address(email: str) -> str:
    """The domain of an address."""
    return normalized(email.rpartition("@")[2])


class _Named(Struct, frozen=True):
    name: str


async def _locked(tx: TenantTx, domain_id: UUID) -> Domain:
    mine = tx.select(t.domains).where(t.domains.c.id == domain_id)
    domain = await tx.first(Domain, mine.with_for_update())
    if domain is None:
        raise NotFound
    return domain


async def _verify(tx: TenantTx, actor: Actor, domain: Domain) -> Domain:
    key = domain.name.encode()
    route = tx.insert(t.routes).values(kind=ROUTE, key=key)
    if not await tx.run(route.on_conflict_do_nothing(index_elements=["kind", "key"])):
        ours = tx.select(t.routes).where(t.routes.c.kind == ROUTE, t.routes.c.key == key)
        if await tx.first(_Route, ours) is None:
            raise DomainTaken
    if domain.status != "verified":
        audit.record(tx, actor, "domain.verified", _target(domain.id), own={"domain": domain.name})
    since = domain.verified_at if domain.status == "verified" else tx.now
    due = tx.now + CHECKED_EVERY
    settled = {"status": "verified", "verified_at": since, "check_due_at": due, "failed_checks": 0}
    return await _write(tx, actor, domain.id, finding="found", **settled)


async def _write(tx: TenantTx, actor: Actor, domain_id: UUID, **values: object) -> Domain:
    mine = tx.update(t.domains).where(t.domains.c.id == domain_id)
    [domain] = await tx.take(Domain, mine.values(checked_at=tx.now, **values))
    audit.record(tx, actor, "domain.checked", _target(domain.id), finding=domain.finding)
    return domain


async def _let_go(tx: TenantTx, name: str) -> None:
    await tx.run(tx.delete(t.routes).where(t.routes.c.kind == ROUTE, t.routes.c.key == name.encode()))


class _Route(Struct, frozen=True):
    kind: str


def _target(domain_id: DomainId) -> audit.Target:
    return "domain", text_id("dom", domain_id)
