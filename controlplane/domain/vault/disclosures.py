"""A credential in the clear, for people: one asks and says why, another agrees, the first reads it, once and soon.

Nobody else shows what opens an account. It is shut unless the tenant's owners have opened it, every owner gets a letter
that no setting keeps back, and every event about it has both names. Refresh tokens and secrets of apps are never read.
"""

from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, letters, mails, people, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.impersonation.notices import OWNERS, Owner
from controlplane.domain.keys import Keyring
from controlplane.domain.tenants import DisclosurePolicy
from controlplane.domain.vault import connections, prints
from controlplane.domain.vault.connections import SERVED, Connection
from controlplane.domain.vault.contents import secrets_in
from controlplane.domain.vault.sealed import Access
from controlplane.domain.vault.turned_down import ConnectionNotServed
from controlplane.kit.ids import AccountId, ConnectionId, DisclosureId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

ANSWERED_WITHIN: Final = timedelta(hours=24)
"""How long a request waits for a second person."""

READ_WITHIN: Final = timedelta(minutes=15)
"""How long what was agreed to can be read."""

MAX_REASON: Final = 500

State: TypeAlias = Literal["requested", "approved", "read", "refused", "withdrawn", "expired", "closed"]
"""``closed``: the owners have shut this for everybody."""

How: TypeAlias = Literal["refused", "withdrawn", "closed"]


class Disclosure(Struct, frozen=True, kw_only=True):
    id: DisclosureId
    connection_id: ConnectionId
    reason: str
    requested_by: AccountId
    requested_at: datetime
    approved_by: AccountId | None
    approved_at: datetime | None
    expires_at: datetime
    """Until when it can be agreed to; once it is, until when it can be read."""
    read_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    outcome: How | Literal[""]

    def state(self, now: datetime) -> State:
        if self.outcome:
            return self.outcome
        if self.read_at is not None:
            return "read"
        if self.expires_at <= now:
            return "expired"
        return "requested" if self.approved_at is None else "approved"

    def names(self) -> dict[str, Any]:
        """Both of them, for every event."""
        by = text_id("acc", self.approved_by) if self.approved_by else None
        shown = text_id("con", self.connection_id)
        return {"connection": shown, "requested_by": text_id("acc", self.requested_by), "approved_by": by}


class Read(Struct, frozen=True, kw_only=True):
    """What is shown this once."""

    disclosure: Disclosure
    connection: Connection
    access: Access


class DisclosureNever(Refusal):
    code, status, title = "disclosure-never", 403, "In this tenant nobody reads credentials"
    hint = "Owners can change disclosure_policy in the settings. Replacing the credential needs nobody to read it."


class DisclosureOwnRequest(Refusal):
    code, status, title = "disclosure-own-request", 403, "Somebody else has to agree to it"
    hint = "Ask another person who may: nobody agrees to what they asked for themselves."


class DisclosureNotYours(Refusal):
    code, status, title = "disclosure-not-yours", 403, "Somebody else has asked to read it"
    hint = "Ask for one of your own."


class DisclosureAsked(Refusal):
    code, status, title = "disclosure-asked", 409, "You have asked for this already"
    hint = "Wait for the answer, or withdraw the earlier one first."


class DisclosureElsewhere(Refusal):
    """What somebody wants to do with a disclosure does not follow from the state it is in."""

    code, status, title = "disclosure-state-conflict", 409, "This disclosure is in another state"
    hint = "Look at its state first. It is read once, within fifteen minutes of the agreement."

    def __init__(self, state: State) -> None:
        super().__init__(f"it is {state}")
        self.state = state

    def facts(self) -> dict[str, object]:
        return {"state": self.state}


class Who(Struct, frozen=True, kw_only=True):
    """A person, and where their letters lead to."""

    account_id: AccountId
    name: str
    public_url: str


async def request(tx: TenantTx, actor: Actor, who: Who, connection_id: UUID, reason: str) -> Disclosure:
    """Ask, and write to the owners.

    Raises:
        NotFound: If this tenant has no such connection.
        DisclosureNever: If the tenant lets nobody.
        DisclosureAsked: If they have an open one of the same connection.
    """
    await _check_open(tx)
    connection = await connections.get(tx, connection_id)
    await tx.alone(f"disclose {tx.tenant_id} {connection.id}")
    if any(
        each.requested_by == who.account_id and each.state(tx.now) in ("requested", "approved")
        for each in await listing(tx, connection.id, limit=100)
    ):
        raise DisclosureAsked
    row = {"id": new_id(tx.now), "connection_id": connection.id, "reason": reason, "requested_by": who.account_id}
    open_ = {"requested_at": tx.now, "expires_at": tx.now + ANSWERED_WITHIN, "ended_by": "", "outcome": ""}
    [made] = await tx.take(Disclosure, tx.insert(t.disclosures).values(**row, **open_))
    audit.record(tx, actor, "disclosure.requested", target(made.id), own={"reason": reason}, **made.names())
    said = f"{who.name} asks to read what opens the connection {connection.name}. Another person has to agree."
    await _tell(tx, who, connection, [said, f"The reason given: {reason}"])
    return made


async def approve(tx: TenantTx, actor: Actor, who: Who, disclosure_id: UUID) -> Disclosure:
    """Let it be read, within :data:`READ_WITHIN`.

    Raises:
        NotFound: If there is no such disclosure.
        DisclosureNever: If the tenant lets nobody any more.
        DisclosureElsewhere: If nobody waits for an answer.
        DisclosureOwnRequest: If the same human has asked for it.
    """
    await _check_open(tx)
    found = await _locked(tx, disclosure_id, "requested")
    if found.requested_by == who.account_id:
        raise DisclosureOwnRequest
    until = tx.now + READ_WITHIN
    made = await _changed(tx, found.id, approved_by=who.account_id, approved_at=tx.now, expires_at=until)
    audit.record(tx, actor, "disclosure.approved", target(found.id), **made.names())
    connection = await connections.get(tx, found.connection_id)
    said = f"{who.name} has agreed: what opens the connection {connection.name} can be read once within 15 minutes."
    await _tell(tx, who, connection, [said, f"The reason given: {found.reason}"])
    return made


async def refuse(tx: TenantTx, actor: Actor, who: Who, disclosure_id: UUID) -> Disclosure:
    """Do not let it be read; who asked takes it back like this.

    Raises:
        NotFound: If there is no such disclosure.
        DisclosureElsewhere: If it was read, or has ended.
    """
    found = await _locked(tx, disclosure_id, "requested", "approved")
    return await _close(tx, actor, found, "withdrawn" if found.requested_by == who.account_id else "refused")


async def read(tx: TenantTx, actor: Actor, who: Who, keyring: Keyring, disclosure_id: UUID) -> Read:
    """The credential as it is now. It is on record before anybody has it, and not shown again.

    Raises:
        NotFound: If there is no such disclosure.
        DisclosureNever: If the tenant lets nobody any more.
        DisclosureNotYours: If somebody else has asked for it.
        DisclosureElsewhere: If nobody has agreed, or it is too late, or it was read.
        ConnectionNotServed: If there is nothing to be read.
    """
    await _check_open(tx)
    found = await _locked(tx, disclosure_id)
    if found.requested_by != who.account_id:
        raise DisclosureNotYours
    if found.state(tx.now) != "approved":
        raise DisclosureElsewhere(found.state(tx.now))
    connection, access = await connections.access(tx, found.connection_id)
    if connection.state not in SERVED or access is None:
        raise ConnectionNotServed(connection.state, connection.state_reason)
    done = await _changed(tx, found.id, read_at=tx.now)
    known = [prints.print_of(keyring, tx.tenant_id, each).hex() for each in secrets_in(access)]
    facts: dict[str, Any] = {**done.names(), "cred_version": connection.cred_version, "fingerprints": known}
    audit.record(tx, actor, "disclosure.read", target(found.id), **facts)
    await _tell(tx, who, connection, [f"{who.name} has read what opens the connection {connection.name}."])
    return Read(disclosure=done, connection=connection, access=access)


async def get(tx: TenantTx, disclosure_id: UUID) -> Disclosure:
    """
    Raises:
        NotFound: If this tenant has no such disclosure.
    """
    found = await tx.first(Disclosure, tx.select(t.disclosures).where(t.disclosures.c.id == disclosure_id))
    if found is None:
        raise NotFound
    return found


async def listing(
    tx: TenantTx, connection_id: UUID | None = None, *, after: UUID | None = None, limit: int
) -> list[Disclosure]:
    """The newest first, from just before *after* on."""
    its, wanted = t.disclosures.c, tx.select(t.disclosures)
    if connection_id is not None:
        wanted = wanted.where(its.connection_id == connection_id)
    if after is not None:
        wanted = wanted.where(its.id < after)
    return await tx.all(Disclosure, wanted.order_by(its.id.desc()).limit(limit))


async def set_policy(tx: TenantTx, actor: Actor, policy: DisclosurePolicy) -> tenants.Tenant:
    """Decide whether two people may read a credential. With ``never`` all that is open ends."""
    before = await tenants.get(tx)
    if policy == before.disclosure_policy:
        return before
    [tenant] = await tx.take(tenants.Tenant, tx.update(t.tenants).values(disclosure_policy=policy))
    own = ("tenant", text_id("ten", tx.tenant_id))
    audit.record(tx, actor, "tenant.disclosure-policy-changed", own, before=before.disclosure_policy, after=policy)
    if policy == "never":
        still = tx.select(t.disclosures).where(t.disclosures.c.outcome == "", t.disclosures.c.read_at.is_(None))
        for each in await tx.all(Disclosure, still.with_for_update()):
            if each.state(tx.now) != "expired":
                await _close(tx, actor, each, "closed")
    return tenant


def target(disclosure_id: UUID) -> audit.Target:
    return "disclosure", text_id("dis", disclosure_id)


async def _check_open(tx: TenantTx) -> None:
    """
    Raises:
        DisclosureNever: If the tenant lets nobody.
    """
    if (await tenants.get(tx)).disclosure_policy == "never":
        raise DisclosureNever


async def _close(tx: TenantTx, actor: Actor, found: Disclosure, how: How) -> Disclosure:
    audit.record(tx, actor, "disclosure.ended", target(found.id), how=how, **found.names())
    return await _changed(tx, found.id, ended_at=tx.now, ended_by=actor.id or actor.kind, outcome=how)


async def _locked(tx: TenantTx, disclosure_id: UUID, *states: State) -> Disclosure:
    """The disclosure, which nobody else changes before this transaction ends; in one of *states*, if there are any.

    Raises:
        NotFound: If there is no such disclosure.
        DisclosureElsewhere: If it is in another.
    """
    its = tx.select(t.disclosures).where(t.disclosures.c.id == disclosure_id)
    found = await tx.first(Disclosure, its.with_for_update())
    if found is None:
        raise NotFound
    if states and found.state(tx.now) not in states:
        raise DisclosureElsewhere(found.state(tx.now))
    return found


async def _changed(tx: TenantTx, disclosure_id: UUID, **values: object) -> Disclosure:
    its = tx.update(t.disclosures).where(t.disclosures.c.id == disclosure_id)
    [row] = await tx.take(Disclosure, its.values(**values))
    return row


async def _tell(tx: TenantTx, who: Who, connection: Connection, what: list[str]) -> None:
    """Every owner, 20 at most, and whatever anybody has set."""
    for owner in await tx.query(Owner, OWNERS, tenant_id=tx.tenant_id):
        link = f"{who.public_url}/console/t/{owner.slug}/connections/{text_id('con', connection.id)}"
        await mails.write(tx, "disclosure", letters.disclosure(owner.email, what, link))


async def accounts(tx: TenantTx, rows: list[Disclosure]) -> dict[AccountId, people.Account]:
    """Who is behind *rows*; an account that was deleted meanwhile is not among them."""
    both = {each for row in rows for each in (row.requested_by, row.approved_by) if each is not None}
    return await people.accounts(tx.on_platform(), list(both))
