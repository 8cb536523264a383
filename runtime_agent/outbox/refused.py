"""What the server would not take, so that the same is not said at every look, and yet not silent for ever.

A refused record counts as said: its entity keeps the digest, and another content is said at once. The place in time
that the record had is forgotten, for nobody holds it. The same content is said again after a week, by when the server
may know better, or as soon as this machine's clock turns out to have been ahead when it was refused.
"""

import sqlite3
from datetime import datetime, timedelta

import msgspec

from runtime_agent.clock import to_ms, to_us
from runtime_agent.wire.records import AnyRecord, CheckpointSeen, CostLine, RunState, SessionState

QUIET_FOR = timedelta(days=7)

_decode = msgspec.json.Decoder(AnyRecord).decode


def note(tx: sqlite3.Connection, line: bytes, at: datetime) -> None:
    """Remember that the record in *line* was refused, if it is what was said last of its entity."""
    try:
        record = _decode(line)
    except (msgspec.MsgspecError, ValueError):
        return
    if not (key := _key(record)) or not isinstance(record, SessionState | RunState | CheckpointSeen | CostLine):
        return
    unit, kind = f"{record.agent}/{record.session}", str(record.__struct_config__.tag)
    changed_us = to_us(record.changed_at) if isinstance(record, SessionState | RunState) else None
    noted = tx.execute(
        "UPDATE entities SET changed_us = NULL WHERE unit IN (SELECT id FROM units WHERE key = ?)"
        " AND kind = ? AND key = ? AND (changed_us IS NULL OR changed_us = ?) RETURNING unit",
        [unit, kind, key, changed_us],
    ).fetchall()
    tx.executemany(
        "INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?)", [[unit_id, kind, key, to_ms(at)] for (unit_id,) in noted]
    )


def _key(record: AnyRecord) -> str:
    """As the source's drafts have it; empty of what is no entity."""
    match record:
        case SessionState():
            return f"{record.agent}/{record.session}"
        case RunState():
            return f"{record.agent}/{record.session}/{record.run}"
        case CheckpointSeen():
            return f"{record.agent}/{record.session}/{record.checkpoint}/{record.created_raw}"
        case CostLine():
            return f"{record.agent}/{record.session}/{record.entry}"
        case _:
            return ""


def quiet(now: datetime) -> tuple[int, int]:
    """Refusals from the first to the second, milliseconds since 1970, are left alone at *now*; others are due."""
    return to_ms(now - QUIET_FOR), to_ms(now)


def give_another_chance(tx: sqlite3.Connection, unit_id: int, now: datetime) -> None:
    """Forget that what is due of this unit was ever said."""
    due = tx.execute(
        "DELETE FROM refused WHERE unit = ? AND at_ms NOT BETWEEN ? AND ? RETURNING kind, key", [unit_id, *quiet(now)]
    ).fetchall()
    tx.executemany(
        "DELETE FROM entities WHERE unit = ? AND kind = ? AND key = ?", [[unit_id, kind, key] for kind, key in due]
    )
