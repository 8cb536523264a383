"""Records that cannot be sent: their place in the log is taken by a note, they themselves stay here."""

import sqlite3
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from runtime_agent.clock import to_ms
from runtime_agent.outbox import refused
from runtime_agent.outbox.file import Outbox
from runtime_agent.outbox.lines import encode, new_record_id
from runtime_agent.outbox.position import head_at, position_in
from runtime_agent.wire import chain
from runtime_agent.wire.records import Quarantine


class _Head(Struct):
    kind: str = ""


class Reason(NamedTuple):
    """Why a record is put aside."""

    code: str
    """The server's problem code, or our own."""
    detail: str = ""
    was_seq: int | None = None


def put_aside(tx: sqlite3.Connection, record_id: UUID, line: bytes, reason: Reason, at: datetime) -> Quarantine:
    """Keep *line* here and return the record that stands in for it."""
    tx.execute(
        "INSERT INTO quarantine (record_id, code, detail, at_ms, line) VALUES (?, ?, ?, ?, ?)",
        [record_id.bytes, reason.code, reason.detail, to_ms(at), line],
    )
    return Quarantine(
        record_id=new_record_id(at),
        occurred_at=at,
        code=reason.code[:200],
        sha256=sha256(line).hexdigest(),
        bytes=len(line),
        of_kind=_kind(line),
        detail=reason.detail[:500],
        was_seq=reason.was_seq,
    )


def _kind(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Head).kind[:64]
    except msgspec.DecodeError:
        return ""


def replace(outbox: Outbox, epoch: int, seq: int, reason: Reason, at: datetime) -> bool:
    """Put the record at *seq* aside, its stand-in at the same place, and chain everything after it anew.

    Returns:
        False when there is no such record, or when the one there is a stand-in already: a server that refuses even
        that cannot be helped by another one.
    """
    with outbox.transaction() as tx:
        row = tx.execute(
            "SELECT record_id, line, upto_bytes FROM log"
            " WHERE epoch = ? AND seq = ? AND epoch = (SELECT epoch FROM state)",
            [epoch, seq],
        ).fetchone()
        if row is None or _kind(row[1]) == "quarantine":
            return False
        record_id, line, upto = row
        note = put_aside(tx, UUID(bytes=record_id), line, reason, at)
        refused.note(tx, line, at)
        tx.execute(
            "UPDATE log SET record_id = ?, line = ? WHERE epoch = ? AND seq = ?",
            [note.record_id.bytes, encode(note), epoch, seq],
        )
        _chain_anew(tx, seq, upto - len(line))
    return True


def _chain_anew(tx: sqlite3.Connection, first: int, upto: int) -> None:
    """Compute head and size again of every row from *first* on; *upto* is the size before it."""
    where, head = position_in(tx), head_at(tx, first - 1)
    assert head is not None, "a record that is retained follows one that is, or the pruned ones"
    for seq in range(first, where.last_seq + 1):
        (line,) = tx.execute("SELECT line FROM log WHERE epoch = ? AND seq = ?", [where.epoch, seq]).fetchone()
        head, upto = chain.extend(head, [line]), upto + len(line)
        tx.execute(
            "UPDATE log SET head = ?, upto_bytes = ? WHERE epoch = ? AND seq = ?", [head, upto, where.epoch, seq]
        )
    tx.execute("UPDATE state SET head = ?, upto_bytes = ?", [head, upto])


def count(outbox: Outbox) -> int:
    """How many records are put aside here."""
    return int(outbox.row("SELECT count(*) FROM quarantine")[0])
