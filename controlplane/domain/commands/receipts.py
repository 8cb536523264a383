"""Looking at commands: each is its own receipt."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import events
from controlplane.domain.events.catalogue import CommandTurned
from controlplane.domain.newest import Reading
from controlplane.kit.ids import CommandId, RuntimeId, text_id
from controlplane.kit.problems import NotFound

State: TypeAlias = Literal["queued", "delivered", "running", "succeeded", "failed", "expired", "superseded"]


class Command(Struct, frozen=True, kw_only=True):
    id: CommandId
    runtime_id: RuntimeId
    number: int
    kind: str
    session_id: UUID | None
    agent: str
    source_id: str
    session_changed_at: datetime | None
    """Of a decision: the state of the session that it was made on."""
    comment: str
    state: State
    code: str
    """Why it did not succeed."""
    detail: str
    created_by: str
    created_at: datetime
    not_after: datetime
    delivered_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    superseded_by: UUID | None
    checkpoint_id: UUID | None
    checkpoint: str | None
    """The source's own name of it."""
    checkpoint_made_at: datetime | None
    undoes: UUID | None
    """The command that this one takes back."""
    logs: list[str] | None
    """What is to be collected; None: it is about something else."""
    logged_since: datetime | None
    logged_until: datetime | None
    bundle: dict[str, Any] | None
    """What the runtime says of the file that it made: a :class:`runtime_agent.wire.commands.Bundle`."""
    though_lost: bool
    """Whoever asked has made sure that a session which looks lost has ended."""


class Which(Struct, frozen=True, kw_only=True):
    """What commands have in common; None does not narrow."""

    runtime_id: UUID | None = None
    session_id: UUID | None = None
    state: State | None = None
    kind: str | None = None


class Turned(Struct, frozen=True):
    """A command that stands as it did not stand before."""

    id: UUID
    runtime_id: UUID
    kind: str
    session_id: UUID | None
    state: State
    code: str


NEWEST: Final = text("""
    SELECT DISTINCT ON (c.session_id) c.id, c.runtime_id, c.number, c.kind, c.session_id, c.agent, c.source_id,
        c.session_changed_at, c.comment,
        c.state, c.code, c.detail, c.created_by, c.created_at, c.not_after, c.delivered_at, c.started_at, c.ended_at,
        c.superseded_by, c.checkpoint_id, c.checkpoint, c.checkpoint_made_at, c.undoes, c.logs, c.logged_since,
        c.logged_until, NULL AS bundle, c.though_lost
    FROM commands c
    WHERE c.tenant_id = ANY (CAST(:tenants AS uuid[])) AND c.session_id = ANY (CAST(:sessions AS uuid[]))
        AND c.kind = ANY (CAST(:kinds AS text[]))
    ORDER BY c.session_id, c.number DESC
""")


async def listing(tx: Reading, which: Which, *, before: UUID | None = None, limit: int = 50) -> list[Command]:
    """Newest first, from the first one older than *before*."""
    its = t.commands.c
    given = (
        (its.runtime_id, which.runtime_id),
        (its.session_id, which.session_id),
        (its.state, which.state),
        (its.kind, which.kind),
    )
    wanted = tx.select(t.commands).where(*(column == value for column, value in given if value is not None))
    if before is not None:
        wanted = wanted.where(its.id < before)
    return await tx.all(Command, wanted.order_by(its.id.desc()).limit(limit))


async def get(tx: Reading, command_id: UUID) -> Command:
    """
    Raises:
        NotFound: If there is none that *tx* can see.
    """
    found = await tx.first(Command, tx.select(t.commands).where(t.commands.c.id == command_id))
    if found is None:
        raise NotFound
    return found


async def newest_of_sessions(
    tx: Reading, tenants: Sequence[UUID], sessions: Sequence[UUID], kinds: Sequence[str]
) -> dict[UUID, Command]:
    """The last command of *kinds*, none of which makes a bundle, to each of *sessions*, in one statement."""
    if not sessions:
        return {}
    rows = await tx.query(Command, NEWEST, tenants=list(tenants), sessions=list(sessions), kinds=list(kinds))
    return {row.session_id: row for row in rows if row.session_id is not None}


def tell(tx: TenantTx, turned: Turned) -> None:
    """Have an event written for it, when *tx* commits."""
    name = {"delivered": "command.delivered", "running": "command.started"}.get(turned.state, "command.finished")
    told = CommandTurned(
        command=text_id("cmd", turned.id),
        runtime=text_id("rt", turned.runtime_id),
        kind=turned.kind,
        state=turned.state,
        session=text_id("ses", turned.session_id) if turned.session_id else None,
        code=turned.code,
    )
    events.tell(tx, name, told)
