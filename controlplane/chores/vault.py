"""What connecting leaves to be done: what nobody confirmed is taken back, providers are told, what ended is forgotten."""

import random
from typing import Final

import structlog
from msgspec import Struct
from sqlalchemy import TextClause, text

from controlplane.db.database import Database
from controlplane.domain.vault import apps, confirming, connecting, histories, revocations, servers
from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.contents import texts
from controlplane.domain.vault.revocations import Parcel
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.oauth import revoking
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.oauth.failures import Failure

log = structlog.get_logger("controlplane.vault")

AT_ONCE: Final = 20
"""Of one tenant: the next round has the next."""

UNCONFIRMED: Final = text("SELECT DISTINCT tenant_id FROM connections WHERE confirm_until <= :now")

TO_BE_TOLD: Final = text("SELECT DISTINCT tenant_id FROM connection_revocations WHERE next_at <= :now")
"""Of tenants that are suspended, or wait for their deletion, as well: what has ended has ended."""

OVER: Final = text("""
    SELECT tenant_id FROM connect_sessions WHERE expires_at < :ended
    UNION SELECT tenant_id FROM connection_events WHERE occurred_at < :old
""")

GIVEN_UP: Final = frozenset({"app_fault", "request_fault", "blocked", "malformed"})
"""Failures that another try would not mend."""


class _Tenant(Struct, frozen=True):
    tenant_id: TenantId


async def end_unconfirmed(db: Database) -> int:
    """Take back what nobody has confirmed in time, and return how many."""
    ended = 0
    for tenant_id in await _tenants(db, UNCONFIRMED, now=db.clock()):
        async with db.tenant(tenant_id) as tx:
            ended += await confirming.end_unconfirmed(tx)
    return ended


async def revoke(db: Database, catalogue: Catalogue, caller: Caller) -> int:
    """Tell providers what has ended, and return how many were told. One tries, and another only if that one dies."""
    told = 0
    for tenant_id in await _tenants(db, TO_BE_TOLD, now=db.clock()):
        async with db.tenant(tenant_id) as tx:
            parcels = await revocations.claim(tx, AT_ONCE)
        for parcel in parcels:
            told += await _carry_out(db, catalogue, caller, tenant_id, parcel)
    return told


async def forget(db: Database) -> int:
    """Forget attempts that are over and histories that are old, and return of how many tenants."""
    now = db.clock()
    found = await _tenants(db, OVER, ended=now - connecting.KEPT, old=now - histories.KEPT)
    for tenant_id in found:
        async with db.tenant(tenant_id) as tx:
            await connecting.forget_ended(tx)
            await histories.prune(tx)
    return len(found)


async def _carry_out(db: Database, catalogue: Catalogue, caller: Caller, tenant_id: TenantId, parcel: Parcel) -> bool:
    """In no transaction while the provider is asked. Whether it is over."""
    provider = catalogue.find(parcel.provider)
    async with db.tenant(tenant_id) as tx:
        client = await apps.through(tx, parcel.app_id, parcel.platform_app_id)
        if provider is None or client is None:
            await revocations.ended(tx, parcel, "unsupported", "impossible")
            return True
    server = servers.read(parcel.endpoints, provider)
    facts = texts(parcel.facts)
    try:
        outcome = await revoking.revoke(
            caller, server, client, access=parcel.access, refresh=parcel.refresh, facts=facts
        )
    except Failure as failure:
        return await _failed(db, tenant_id, parcel, failure)
    async with db.tenant(tenant_id) as tx:
        await revocations.ended(tx, parcel, "unsupported" if outcome == "impossible" else "done", outcome)
    return True


async def _failed(db: Database, tenant_id: TenantId, parcel: Parcel, failure: Failure) -> bool:
    why = failure.code or failure.kind
    async with db.tenant(tenant_id) as tx:
        if failure.kind in GIVEN_UP:
            await revocations.ended(tx, parcel, "failed", why)
        else:
            await revocations.postponed(tx, parcel, why, random.random(), failure.retry_after_s)  # noqa: S311 spread
    log.warning(
        "connection.unrevoked",
        tenant=text_id("ten", tenant_id),
        connection=text_id("con", parcel.connection_id),
        kind=failure.kind,
    )
    return failure.kind in GIVEN_UP


async def _tenants(db: Database, which: TextClause, **values: object) -> list[TenantId]:
    async with db.operator() as tx:
        return [row.tenant_id for row in await tx.query(_Tenant, which, **values)]
