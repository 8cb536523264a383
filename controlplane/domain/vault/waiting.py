"""Waiting for consent on another device (RFC 8628): a code that a person types in elsewhere, and asking whether they have.

Whoever shows the code to somebody else gets that person's account, and nothing here can tell: a tenant has to turn it on.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connecting, sealed
from controlplane.kit.ids import ConnectSessionId, new_id, text_id
from controlplane.kit.oauth.devices import SLOWER_S, Device
from controlplane.kit.problems import NotFound, Refusal

LEAST_INTERVAL_S: Final = 5
"""Between two questions, whatever the provider would let us."""

LONGEST_INTERVAL_S: Final = 60
WAITS_FOR: Final = timedelta(minutes=15)
"""At most; sooner where the provider says so."""

CLAIM: Final = text("""
    UPDATE device_transactions SET polls = polls + 1,
        next_poll_at = CAST(:now AS timestamptz) + make_interval(secs => interval_s)
    WHERE tenant_id = :tenant_id AND session_id = :session_id AND ended_at IS NULL
        AND expires_at > CAST(:now AS timestamptz) AND next_poll_at <= CAST(:now AS timestamptz)
    RETURNING id, session_id, code_blob, user_code, address, endpoints, interval_s, polls, next_poll_at, begun_at,
        expires_at, ended_at
""")
"""One asks, however many want to know."""


class Waiting(Struct, frozen=True, kw_only=True):
    """For whoever is to consent."""

    id: UUID
    session_id: ConnectSessionId
    code_blob: bytes | None
    """That is asked with; None: it has ended."""
    user_code: str
    """What the person types in …"""
    address: str
    """… and where."""
    endpoints: dict[str, Any]
    interval_s: int
    polls: int
    next_poll_at: datetime
    begun_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class DeviceFlowOff(Refusal):
    code, status, title = "connect-device-off", 403, "This tenant connects no accounts on other devices"
    hint = "An owner turns it on: PATCH …/settings, device_flow. Read before what it lets people do."


async def allow(tx: TenantTx, actor: Actor, allowed: bool) -> tenants.Tenant:
    """Let accounts be connected by a code that is typed in elsewhere, or no more: what waits is over."""
    before = await tenants.get(tx)
    if before.device_flow == allowed:
        return before
    [changed] = await tx.take(tenants.Tenant, tx.update(t.tenants).values(device_flow=allowed))
    audit.record(
        tx, actor, "tenant.device-flow-changed", ("tenant", text_id("ten", tx.tenant_id)), own={"allowed": allowed}
    )
    return changed


async def check_allowed(tx: TenantTx) -> None:
    """
    Raises:
        DeviceFlowOff: If this tenant has not turned it on.
    """
    if not (await tenants.get(tx)).device_flow:
        raise DeviceFlowOff


async def begin(
    tx: TenantTx, actor: Actor, session_id: ConnectSessionId, device: Device, endpoints: dict[str, Any]
) -> Waiting:
    """Write down that somebody is to consent elsewhere."""
    transaction_id, interval_s = new_id(tx.now), max(device.interval_s, LEAST_INTERVAL_S)
    lasts = min(timedelta(seconds=device.expires_in_s), WAITS_FOR)
    values = {
        "session_id": session_id,
        "code_blob": await sealed.seal_code(tx, transaction_id, device.code),
        "user_code": device.user_code,
        "address": device.address,
        "endpoints": endpoints,
        "interval_s": interval_s,
        "polls": 0,
        "next_poll_at": tx.now + timedelta(seconds=interval_s),
        "begun_at": tx.now,
        "expires_at": tx.now + lasts,
    }
    [waiting] = await tx.take(Waiting, tx.insert(t.device_transactions).values(id=transaction_id, **values))
    audit.record(tx, actor, "connection.departed", connecting.target(session_id), device=True)
    return waiting


async def get(tx: TenantTx, session_id: UUID) -> Waiting:
    """
    Raises:
        NotFound: If nobody is to consent elsewhere for this session.
    """
    wanted = tx.select(t.device_transactions).where(t.device_transactions.c.session_id == session_id)
    found = await tx.first(Waiting, wanted)
    if found is None:
        raise NotFound
    return found


async def under_way(tx: TenantTx, session_id: UUID) -> Waiting | None:
    """What is waited for in this session, as long as it is."""
    its = t.device_transactions.c
    wanted = tx.select(t.device_transactions).where(
        its.session_id == session_id, its.ended_at.is_(None), its.expires_at > tx.now
    )
    return await tx.first(Waiting, wanted)


async def claim(tx: TenantTx, session_id: UUID) -> Waiting | None:
    """The right to ask the provider once; None: it is over, or too soon, or somebody else's."""
    found = await tx.query(Waiting, CLAIM, tenant_id=tx.tenant_id, session_id=session_id, now=tx.now)
    return found[0] if found else None


async def slower(tx: TenantTx, waiting: Waiting) -> None:
    """Wait longer from now on: the provider asks for it, or has not answered (RFC 8628, section 3.5)."""
    interval_s = min(waiting.interval_s + SLOWER_S, LONGEST_INTERVAL_S)
    mine = tx.update(t.device_transactions).where(t.device_transactions.c.id == waiting.id)
    await tx.run(mine.values(interval_s=interval_s, next_poll_at=tx.now + timedelta(seconds=interval_s)))


async def end(tx: TenantTx, waiting: Waiting) -> None:
    """Ask no more, and forget what was asked with."""
    mine = tx.update(t.device_transactions).where(t.device_transactions.c.id == waiting.id)
    await tx.run(mine.values(ended_at=tx.now, code_blob=None, user_code=""))
