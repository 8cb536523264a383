"""After a restore of the database: refresh tokens in it may be used up, or still be in use by the database it is a copy of.

Where trying one could end the grant of a database that still runs, nothing is tried until somebody who operates the
service says that the other one is gone. Access tokens that are alive are served meanwhile.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault import asking
from controlplane.domain.vault.intents import Intent
from controlplane.domain.vault.provider import Provider
from controlplane.kit.ids import text_id
from controlplane.kit.oauth.failures import Failure

RESTORED: Final = "restored"
"""Why a person has to connect it anew, and why nothing is tried."""

LOOK_AGAIN: Final = timedelta(minutes=5)

RESUME: Final = text("""
    UPDATE store SET refreshing_as = store_id, resumed_at = :now WHERE refreshing_as <> store_id RETURNING store_id
""")


async def holds_back(tx: TenantTx, intent: Intent, provider: Provider) -> bool:
    """Whether this refresh token is from before a restore, and sending it could do harm that nobody has ruled out."""
    if asking.is_replayable(intent, provider.dialect.refreshing):
        return False
    store = await _store(tx)
    return store.store_id != store.refreshing_as and _since(intent) < store.made_at


async def told(tx: TenantTx, intent: Intent, failure: Failure) -> Failure:
    """*failure* by the name that says most: a grant that is dead because of a restore."""
    store = await _store(tx)
    if failure.kind != "grant_dead" or store.resumed_at is None or _since(intent) >= store.made_at:
        return failure
    return Failure("grant_dead", RESTORED, sent=failure.sent, status=failure.status)


async def is_waiting(tx: PlatformTx) -> bool:
    """Whether refreshes wait for :func:`resume`."""
    found = await tx.first(_Store, tx.select(t.store))
    return found is not None and found.store_id != found.refreshing_as


async def resume(tx: PlatformTx, actor: Actor) -> bool:
    """Say that the store this one was restored from is gone; False if nobody was waiting for that."""
    found = await tx.query(_Resumed, RESUME, now=tx.now)
    if not found:
        return False
    audit.record(tx, actor, "vault.refreshes-resumed", ("store", text_id("sto", found[0].store_id)))
    return True


class _Store(Struct, frozen=True):
    store_id: UUID
    refreshing_as: UUID
    made_at: datetime
    resumed_at: datetime | None


class _Resumed(Struct, frozen=True):
    store_id: UUID


def _since(intent: Intent) -> datetime:
    return intent.refreshed_at or intent.created_at


async def _store(tx: TenantTx) -> _Store:
    platform = tx.on_platform()
    found = await platform.first(_Store, platform.select(t.store))
    assert found is not None, "the migrations made it"
    return found
