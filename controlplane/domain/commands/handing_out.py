"""Handing commands to their runtime: what waits there, signed, and what it says it has."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain import keys
from controlplane.domain.commands import receipts
from controlplane.domain.commands.receipts import Turned
from controlplane.domain.events.catalogue import Act
from controlplane.domain.keys import Keyring
from controlplane.domain.vault.prints import base64url
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import RuntimeId, text_id
from runtime_agent.wire.commands import MOST_AT_ONCE, Collecting, Command, Order, Place

WAITING: Final = text("""
    SELECT c.id, c.number, c.kind, c.agent, c.source_id, c.session_changed_at, c.comment, c.not_after,
        c.state = 'running' AS begun, n.slug AS tenant, c.checkpoint_id, c.checkpoint, c.checkpoint_made_at, c.undoes,
        c.though_lost, h.digest, coalesce(h.kid, '') AS kid, c.logs, c.logged_since, c.logged_until
    FROM commands c JOIN tenants n ON n.tenant_id = c.tenant_id
    LEFT JOIN contents h ON h.tenant_id = c.tenant_id AND h.checkpoint_id = c.checkpoint_id
    WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id AND c.ended_at IS NULL
        AND (c.state = 'queued' AND c.not_after > :now OR c.state <> 'queued' AND c.number > :after)
    ORDER BY c.number LIMIT :most
""")
"""A queued one again and again, until it is acknowledged. One that was acknowledged again where the runtime has not
kept it: its disk went back, or its numbers are of another database."""

ACCEPT: Final = text("""
    UPDATE commands c SET state = 'delivered', delivered_at = :now
    WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id AND c.id = ANY (CAST(:ids AS uuid[]))
        AND c.state = 'queued'
    RETURNING c.id, c.runtime_id, c.kind, c.session_id, c.state, c.code
""")

UNFINISHED: Final = text("""
    SELECT c.id FROM commands c
    WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id AND c.id = ANY (CAST(:ids AS uuid[]))
        AND c.ended_at IS NULL
""")


class _Waiting(Struct, frozen=True):
    id: UUID
    number: int
    kind: str
    agent: str
    source_id: str
    session_changed_at: datetime | None
    comment: str
    not_after: datetime
    begun: bool
    tenant: str
    checkpoint_id: UUID | None
    checkpoint: str | None
    checkpoint_made_at: datetime | None
    undoes: UUID | None
    though_lost: bool
    digest: bytes | None
    kid: str
    logs: list[str] | None
    logged_since: datetime | None
    logged_until: datetime | None


class _Id(Struct, frozen=True):
    id: UUID


async def waiting(tx: TenantTx, keyring: Keyring, runtime_id: RuntimeId, after: int) -> list[Order]:
    """What there is for the runtime to do, oldest first, each signed.

    Args:
        after: The last number that it has kept; 0 if it has kept none of this database.
    """
    rows = await tx.query(
        _Waiting,
        WAITING,
        tenant_id=tx.tenant_id,
        runtime_id=runtime_id,
        now=tx.now,
        after=after,
        most=MOST_AT_ONCE,
    )
    return [_order(keyring, runtime_id, row) for row in rows]


async def accept(tx: TenantTx, runtime_id: RuntimeId, ids: Sequence[UUID]) -> set[UUID]:
    """The runtime has these on its disk; returns those that it is to carry out.

    The others were withdrawn, superseded or ran out meanwhile, or are not known here any more.
    """
    these = {"tenant_id": tx.tenant_id, "runtime_id": runtime_id, "ids": list(ids)}
    for each in await tx.query(Turned, ACCEPT, now=tx.now, **these):
        receipts.tell(tx, each)
    return {row.id for row in await tx.query(_Id, UNFINISHED, **these)}


def topic(runtime: str) -> str:
    """What is nudged when there is something for this runtime, ``rt_…``, to do."""
    return f"commands:{runtime}"


def addressed(told: Iterable[dict[str, Any]]) -> set[str]:
    """The runtimes, ``rt_…``, that the events that were just written ask to do something, or let in no more."""
    found = list(told)
    asked = {each["data"].runtime for each in found if each["type"] == "command.created"}
    turned = (each["data"] for each in found if each["type"].startswith("runtime."))
    return asked | {data.object.id for data in turned if isinstance(data, Act)}


def _order(keyring: Keyring, runtime_id: RuntimeId, row: _Waiting) -> Order:
    command = Command(
        tenant=row.tenant,
        runtime=text_id("rt", runtime_id),
        command=text_id("cmd", row.id),
        number=row.number,
        kind=row.kind,
        agent=row.agent,
        session=row.source_id,
        changed_at=rfc3339(row.session_changed_at) if row.session_changed_at else "",
        comment=row.comment,
        place=_place(row),
        undoes=text_id("cmd", row.undoes) if row.undoes else "",
        collecting=_collecting(row),
        though_lost=row.though_lost,
        not_after=rfc3339(row.not_after),
        begun=row.begun,
    )
    key = keys.lease_keys(keyring)[keyring.current]
    return Order(command=command, key=keyring.current, signature=base64url(key.sign(command.signed())))


def _place(row: _Waiting) -> Place | None:
    if row.checkpoint_id is None or row.checkpoint_made_at is None:
        return None
    return Place(
        id=text_id("cp", row.checkpoint_id),
        checkpoint=row.checkpoint or "",
        created_at=rfc3339(row.checkpoint_made_at),
        digest=row.digest.hex() if row.digest else "",
        kid=row.kid,
    )


def _collecting(row: _Waiting) -> Collecting | None:
    if row.logs is None:
        return None
    since, until = (rfc3339(at) if at else "" for at in (row.logged_since, row.logged_until))
    return Collecting(logs=row.logs, since=since, until=until)
