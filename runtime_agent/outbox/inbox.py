"""Commands on this disk: each is kept before it is acknowledged, begun at most once, and ended with its record.

That one has begun, or has ended, is written in the same transaction as the record that says so: whenever the program
dies, disk and log tell the same.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from runtime_agent.clock import to_ms
from runtime_agent.outbox import log
from runtime_agent.outbox.file import Outbox
from runtime_agent.outbox.lines import new_record_id
from runtime_agent.wire.commands import Bundle, Command, Reached
from runtime_agent.wire.records import CommandState

KEPT_FOR = timedelta(days=30)
"""After a command could have begun: until then the same one is known again."""

State: TypeAlias = Literal["kept", "accepted", "running", "done", "void"]
"""``kept``: on disk. ``accepted``: and the control plane has confirmed it. ``void``: and has called it off."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of a command."""

    state: Reached
    code: str = ""
    line: str = ""
    bundle: Bundle | None = None
    """Of logs that were collected."""


def keep(outbox: Outbox, store_id: UUID, commands: Sequence[Command]) -> list[str]:
    """Write down what is not here yet; one that is, is what it was.

    Returns:
        Those that were confirmed before, and that the control plane does not know to be here any more.
    """
    rows = [
        (each.command, store_id.bytes, each.number, msgspec.json.encode(each), _until_ms(each)) for each in commands
    ]
    with outbox.transaction() as tx:
        tx.executemany(
            "INSERT INTO inbox (id, store, number, body, state, until_ms) VALUES (?, ?, ?, ?, 'kept', ?)"
            " ON CONFLICT (id) DO UPDATE SET store = excluded.store, number = excluded.number",
            rows,
        )
        asked = "SELECT 1 FROM inbox WHERE id = ? AND state <> 'kept'"
        return [each.command for each in commands if tx.execute(asked, [each.command]).fetchone()]


def reached(outbox: Outbox, store_id: UUID) -> int:
    """The highest number that is here of that database's; 0: none."""
    return int(outbox.row("SELECT coalesce(max(number), 0) FROM inbox WHERE store = ?", [store_id.bytes])[0])


def unconfirmed(outbox: Outbox, limit: int) -> list[str]:
    """What the control plane does not know to be here."""
    return [row[0] for row in outbox.rows("SELECT id FROM inbox WHERE state = 'kept' ORDER BY number LIMIT ?", [limit])]


def confirm(outbox: Outbox, commands: Sequence[str], void: Sequence[str]) -> None:
    """The control plane knows that these are here; those of *void* are not to be carried out after all.

    One that had begun before this disk went back to an earlier copy goes on from there.
    """
    with outbox.transaction() as tx:
        tx.executemany(
            "UPDATE inbox SET state = iif(json_extract(body, '$.begun'), 'running', 'accepted')"
            " WHERE id = ? AND state = 'kept'",
            ([each] for each in commands if each not in void),
        )
        tx.executemany("UPDATE inbox SET state = 'void' WHERE id = ? AND state = 'kept'", ([each] for each in void))


def interrupted(outbox: Outbox) -> Command | None:
    """The oldest that has begun and not ended."""
    return _first(outbox, "running")


def next_accepted(outbox: Outbox) -> Command | None:
    """The oldest that may begin."""
    return _first(outbox, "accepted")


def begin(outbox: Outbox, command: Command, at: datetime) -> None:
    """It begins: from here on it is not begun again."""
    _reach(outbox, command, "running", Outcome(state="running"), at)


def end(outbox: Outbox, command: Command, outcome: Outcome, at: datetime) -> None:
    """It has ended, whether or not it had begun."""
    _reach(outbox, command, "done", outcome, at)


def draining(outbox: Outbox) -> bool:
    """Whether everything is being brought out right now."""
    begun = outbox.rows("SELECT body FROM inbox WHERE state = 'running'")
    return any(_decoded(body).kind == "drain" for (body,) in begun)


def forget(outbox: Outbox, now: datetime) -> None:
    """Drop the memory of what ended long ago."""
    outbox.rows("DELETE FROM inbox WHERE state IN ('done', 'void') AND until_ms < ?", [to_ms(now - KEPT_FOR)])


def _first(outbox: Outbox, state: State) -> Command | None:
    row = outbox.row("SELECT body FROM inbox WHERE state = ? ORDER BY number LIMIT 1", [state])
    return _decoded(row[0]) if row else None


def _reach(outbox: Outbox, command: Command, state: State, outcome: Outcome, at: datetime) -> None:
    record = CommandState(
        record_id=new_record_id(at),
        occurred_at=at,
        command=command.command,
        state=outcome.state,
        code=outcome.code,
        line=outcome.line,
        bundle=outcome.bundle,
    )
    with outbox.transaction() as tx:
        tx.execute("UPDATE inbox SET state = ? WHERE id = ?", [state, command.command])
        log.append_in(tx, [record], at)


def _until_ms(command: Command) -> int:
    return to_ms(datetime.fromisoformat(command.not_after))


def _decoded(body: bytes) -> Command:
    return msgspec.json.decode(body, type=Command)
