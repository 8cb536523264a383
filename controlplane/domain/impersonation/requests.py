"""Who asked to work as whom, what the tenant said, and what became of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import OperatorTx, TenantTx
from controlplane.domain import audit, people, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.impersonation import notices
from controlplane.domain.impersonation.notices import Notice
from controlplane.domain.masks import Mode
from controlplane.domain.tenants import ImpersonationPolicy
from controlplane.kit.ids import AccountId, ImpersonationId, TenantId, UserId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

ANSWERED_WITHIN: Final = timedelta(hours=24)
"""How long a request waits for somebody's consent."""

BEGUN_WITHIN: Final = timedelta(hours=8)
"""How long a consent that was not used yet can be."""

LONGEST_MINUTES: Final = 60
MAX_REASON: Final = 500
MAX_TICKET: Final = 100

State: TypeAlias = Literal["requested", "consented", "active", "refused", "expired", "ended"]

How: TypeAlias = Literal["refused", "expired", "operator", "owner", "time", "policy", "person", "tenant", "signed-out"]
"""How it came to its end: the last three because of whom it was about, the tenant's state, or the operator's session
or role."""

STATES: Final[Mapping[str, State]] = MappingProxyType({"refused": "refused", "expired": "expired"})
"""By how it ended; all others have simply ended."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What an operator asks for."""

    user_id: UUID
    reason: str
    ticket: str = ""
    """Number or address of the case, wherever cases are kept."""
    minutes: int = 30
    mode: Mode = "read_only"


class Impersonation(Struct, frozen=True, kw_only=True):
    id: ImpersonationId
    tenant_id: TenantId
    user_id: UserId
    operator_id: AccountId
    reason: str
    ticket: str
    mode: Mode
    minutes: int
    requested_at: datetime
    expires_at: datetime
    """Until when it can be agreed to; once it is, until when it can begin."""
    consented_at: datetime | None
    consented_by: str
    """``acc_…``, ``key_…``, or ``policy`` where the tenant allows it."""
    started_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    outcome: str
    """One of :data:`How`; empty while it is open."""

    def state(self, now: datetime) -> State:
        if self.ended_at is not None:
            return STATES.get(self.outcome, "ended")
        if self.ends_at is not None:
            return "active" if self.ends_at > now else "ended"
        if self.expires_at <= now:
            return "expired"
        return "requested" if self.consented_at is None else "consented"


class ImpersonationNever(Refusal):
    code, status, title = "impersonation-never", 403, "This tenant lets nobody work as its people"
    hint = "Ask an owner: they can change impersonation_policy in the tenant's settings."


class ImpersonationAsked(Refusal):
    code, status, title = "impersonation-asked", 409, "You have asked for this already"
    hint = "Wait for an owner's answer, or end the earlier one first: GET /v1/operator/impersonations."


class ImpersonationOfNobody(Refusal):
    code, status, title = "impersonation-of-nobody", 409, "There is nobody to work as"
    hint = "Only somebody who has come in and is active can be worked as."


class ImpersonationElsewhere(Refusal):
    """What somebody wants to do with an impersonation does not follow from the state it is in."""

    code, status, title = "impersonation-state-conflict", 409, "This impersonation is in another state"
    hint = "Look at its state first."

    def __init__(self, state: State) -> None:
        super().__init__(f"it is {state}")
        self.state = state

    def facts(self) -> dict[str, object]:
        return {"state": self.state}


class ImpersonationOwnRequest(Refusal):
    code, status, title = "impersonation-own-request", 403, "Somebody else has to agree to it"
    hint = "Ask another owner: nobody agrees to what they asked for themselves."


async def request(
    tx: TenantTx, actor: Actor, operator_id: AccountId, public_url: str, wanted: Wanted
) -> Impersonation | None:
    """Ask, and write to the owners. None: the tenant lets nobody, which is on record as well, and written to them.

    Raises:
        NotFound: If there is no such tenant or person in it.
        ImpersonationOfNobody: If they have never come in, or are deactivated, or the tenant is not served.
        ImpersonationAsked: If this operator has an open one of the same person.
    """
    tenant, user = await tenants.get(tx), await people.user(tx, wanted.user_id)
    facts = {"user": text_id("usr", user.id), "mode": wanted.mode, "minutes": wanted.minutes, "ticket": wanted.ticket}
    if tenant.impersonation_policy == "never":
        audit.denied(tx, actor, "impersonation.requested", ("tenant", text_id("ten", tx.tenant_id)), **facts)
        tried = Notice(what=notices.TRIED, operator_id=operator_id, user=user, reason=wanted.reason)
        await notices.write(tx, public_url, tried)
        return None
    if user.account_id is None or user.status != "active" or tenant.status != "active":
        raise ImpersonationOfNobody
    await tx.alone(f"impersonate {tx.tenant_id} {user.id}")
    if await _open_ones(tx, operator_id, user.id):
        raise ImpersonationAsked
    allowed = tenant.impersonation_policy == "allow"
    made = await _made(tx, operator_id, wanted, allowed=allowed)
    audit.record(tx, actor, "impersonation.requested", target(made.id), own={"reason": wanted.reason}, **facts)
    what = notices.MAY if allowed else notices.ASKS
    await notices.write(tx, public_url, Notice(what=what, operator_id=operator_id, user=user, reason=wanted.reason))
    return made


async def get(tx: TenantTx, impersonation_id: UUID) -> Impersonation:
    """
    Raises:
        NotFound: If this tenant has no such impersonation.
    """
    found = await tx.first(Impersonation, tx.select(t.impersonations).where(t.impersonations.c.id == impersonation_id))
    if found is None:
        raise NotFound
    return found


async def anywhere(tx: OperatorTx, impersonation_id: UUID) -> Impersonation:
    """As :func:`get`, in whichever tenant."""
    found = await tx.first(Impersonation, tx.select(t.impersonations).where(t.impersonations.c.id == impersonation_id))
    if found is None:
        raise NotFound
    return found


async def listing(
    tx: TenantTx | OperatorTx, *, after: UUID | None, limit: int, tenant_id: UUID | None = None
) -> list[Impersonation]:
    """The newest first, from just before *after* on."""
    its, wanted = t.impersonations.c, tx.select(t.impersonations)
    if tenant_id is not None:
        wanted = wanted.where(its.tenant_id == tenant_id)
    if after is not None:
        wanted = wanted.where(its.id < after)
    return await tx.all(Impersonation, wanted.order_by(its.id.desc()).limit(limit))


async def consent(tx: TenantTx, actor: Actor, by: Holder, impersonation_id: UUID) -> Impersonation:
    """Let it be begun, within :data:`BEGUN_WITHIN`.

    Args:
        by: Who in the tenant agrees; of a key its owner.

    Raises:
        NotFound: If there is no such impersonation.
        ImpersonationElsewhere: If nobody waits for an answer.
        ImpersonationOwnRequest: If the same human asked for it.
    """
    found = await locked(tx, impersonation_id, "requested")
    if by.kind == "user" and (await people.user(tx, by.id)).account_id == found.operator_id:
        raise ImpersonationOwnRequest
    agreed = {"consented_at": tx.now, "consented_by": actor.id, "expires_at": tx.now + BEGUN_WITHIN}
    audit.record(tx, actor, "impersonation.consented", target(found.id))
    return await changed(tx, found.id, **agreed)


async def refuse(tx: TenantTx, actor: Actor, impersonation_id: UUID) -> Impersonation:
    """
    Raises:
        NotFound: If there is no such impersonation.
        ImpersonationElsewhere: If nobody waits for an answer.
    """
    found = await locked(tx, impersonation_id, "requested")
    audit.record(tx, actor, "impersonation.refused", target(found.id))
    return await changed(tx, found.id, ended_at=tx.now, ended_by=actor.id, outcome="refused")


async def end(tx: TenantTx, actor: Actor, impersonation_id: UUID, how: How) -> Impersonation:
    """End what is under way, or what has not begun yet; whoever works in it is out with this commit.

    Raises:
        NotFound: If there is no such impersonation.
        ImpersonationElsewhere: If it has come to its end.
    """
    found = await locked(tx, impersonation_id, "requested", "consented", "active")
    return await close(tx, actor, found, how)


async def close(tx: TenantTx, actor: Actor, found: Impersonation, how: How) -> Impersonation:
    """Note the end of what is open, and take the session away in which it was done."""
    platform = tx.on_platform()
    await platform.run(
        platform.delete(t.impersonation_sessions).where(t.impersonation_sessions.c.impersonation_id == found.id)
    )
    audit.record(tx, actor, "impersonation.ended", target(found.id), how=how)
    return await changed(tx, found.id, ended_at=tx.now, ended_by=actor.id or actor.kind, outcome=how)


async def set_policy(tx: TenantTx, actor: Actor, policy: ImpersonationPolicy) -> tenants.Tenant:
    """Decide whether operators may work as the tenant's people. With ``never`` all that is open ends."""
    before = await tenants.get(tx)
    if policy == before.impersonation_policy:
        return before
    [tenant] = await tx.take(tenants.Tenant, tx.update(t.tenants).values(impersonation_policy=policy))
    own_id = text_id("ten", tx.tenant_id)
    was = before.impersonation_policy
    audit.record(tx, actor, "tenant.impersonation-policy-changed", ("tenant", own_id), before=was, after=policy)
    if policy == "never":
        still = tx.select(t.impersonations).where(t.impersonations.c.ended_at.is_(None)).with_for_update()
        for each in await tx.all(Impersonation, still):
            await close(tx, actor, each, "policy")
    return tenant


async def locked(tx: TenantTx, impersonation_id: UUID, *states: State) -> Impersonation:
    """The impersonation, which nobody else changes before this transaction ends.

    Raises:
        NotFound: If there is no such impersonation.
        ImpersonationElsewhere: If it is in none of *states*.
    """
    its = tx.select(t.impersonations).where(t.impersonations.c.id == impersonation_id)
    found = await tx.first(Impersonation, its.with_for_update())
    if found is None:
        raise NotFound
    if found.state(tx.now) not in states:
        raise ImpersonationElsewhere(found.state(tx.now))
    return found


async def changed(tx: TenantTx, impersonation_id: UUID, **values: object) -> Impersonation:
    its = tx.update(t.impersonations).where(t.impersonations.c.id == impersonation_id)
    [row] = await tx.take(Impersonation, its.values(**values))
    return row


def target(impersonation_id: UUID) -> audit.Target:
    return "impersonation", text_id("imp", impersonation_id)


async def _open_ones(tx: TenantTx, operator_id: AccountId, user_id: UserId) -> bool:
    its = t.impersonations.c
    still = tx.select(t.impersonations).where(its.operator_id == operator_id, its.user_id == user_id)
    rows = await tx.all(Impersonation, still.where(its.ended_at.is_(None)))
    return any(row.state(tx.now) in ("requested", "consented", "active") for row in rows)


async def _made(tx: TenantTx, operator_id: AccountId, wanted: Wanted, *, allowed: bool) -> Impersonation:
    row = {
        "id": new_id(tx.now),
        "user_id": wanted.user_id,
        "operator_id": operator_id,
        "reason": wanted.reason,
        "ticket": wanted.ticket,
        "mode": wanted.mode,
        "minutes": wanted.minutes,
        "requested_at": tx.now,
        "expires_at": tx.now + (BEGUN_WITHIN if allowed else ANSWERED_WITHIN),
        "consented_at": tx.now if allowed else None,
        "consented_by": "policy" if allowed else "",
        "ended_by": "",
        "outcome": "",
    }
    [made] = await tx.take(Impersonation, tx.insert(t.impersonations).values(**row))
    return made
