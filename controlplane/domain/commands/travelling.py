"""Commands that bring a session back to one of its checkpoints, and what can be taken back of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import checkpoints
from controlplane.domain.newest import Reading
from controlplane.domain.sessions import Session
from controlplane.kit.ids import CommandId, RuntimeId
from controlplane.kit.problems import NotFound, Refusal

KEPT_FOR: Final = timedelta(days=30)
"""How long agents keep what a session was before it was rolled back."""

UNDOABLE: Final = text("""
    SELECT DISTINCT ON (c.session_id) c.id, c.session_id, c.checkpoint FROM commands c
    WHERE c.tenant_id = ANY (CAST(:tenants AS uuid[])) AND c.session_id = ANY (CAST(:sessions AS uuid[]))
        AND c.kind = 'rollback' AND c.state = 'succeeded' AND c.ended_at > :since
        AND NOT EXISTS (
            SELECT FROM commands u WHERE u.tenant_id = c.tenant_id AND u.session_id = c.session_id
                AND u.undoes = c.id AND u.state = 'succeeded')
    ORDER BY c.session_id, c.number DESC
""")
"""The last rollback of each that was not taken back: they come off in the order opposite to that in which they went on."""


class NothingToUndo(Refusal):
    code, status, title = "nothing-to-undo", 409, "This session was not rolled back, or that was taken back already"
    hint = f"What a session was before a rollback is kept beside its runtime for {KEPT_FOR.days} days."


class Place(Struct, frozen=True, kw_only=True):
    """What a command says of checkpoints, as its columns."""

    checkpoint_id: UUID | None = None
    checkpoint: str | None = None
    checkpoint_made_at: datetime | None = None
    undoes: UUID | None = None


class Undoable(Struct, frozen=True):
    """A rollback that can be taken back."""

    id: CommandId
    session_id: UUID
    checkpoint: str | None
    """The source's own name of where it went."""


async def place(tx: TenantTx, kind: str, session: Session | None, checkpoint_id: UUID | None) -> Place:
    """What a command of *kind* is about, beside its session.

    Raises:
        NotFound: If the session has no such checkpoint.
        NothingToUndo: If there is nothing that an undo could take back.
    """
    if session is None:
        return Place()
    if kind == "undo":
        found = (await undoable(tx, [session.tenant_id], [session.id])).get(session.id)
        if found is None:
            raise NothingToUndo
        return Place(undoes=found.id, checkpoint=found.checkpoint)
    if checkpoint_id is None:
        return Place()
    wanted = await checkpoints.get(tx, checkpoint_id)
    if wanted.session_id != session.id:
        raise NotFound
    return Place(checkpoint_id=wanted.id, checkpoint=wanted.source_id, checkpoint_made_at=wanted.created_at)


async def wanted_by(tx: TenantTx, runtime_id: RuntimeId, checkpoint_id: UUID) -> UUID:
    """*checkpoint_id* again, which the runtime is to bring a session back to.

    Raises:
        NotFound: If nobody has asked it to, or it is done.
    """
    its = t.commands.c
    asked = tx.select(t.commands).where(
        its.runtime_id == runtime_id,
        its.checkpoint_id == checkpoint_id,
        its.kind == "rollback",
        its.state.in_(("delivered", "running")),
    )
    if await tx.first(_Asked, asked.limit(1)) is None:
        raise NotFound
    return checkpoint_id


class _Asked(Struct, frozen=True):
    id: UUID


async def undoable(tx: Reading, tenants: Sequence[UUID], sessions: Sequence[UUID]) -> dict[UUID, Undoable]:
    """Of each of *sessions* what an undo would take back now."""
    since = tx.now - KEPT_FOR
    rows = await tx.query(Undoable, UNDOABLE, tenants=list(tenants), sessions=list(sessions), since=since)
    return {row.session_id: row for row in rows}
