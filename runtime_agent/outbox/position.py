"""Where the log stands, and which history it stands for."""

import sqlite3

from msgspec import Struct

from runtime_agent.outbox.file import Outbox


class Position(Struct, frozen=True, kw_only=True):
    """Where the log stands."""

    epoch: int
    """0 before the first was granted."""
    last_seq: int
    head: bytes
    upto_bytes: int
    acked: int
    pruned: int
    pruned_head: bytes
    backed_up: bool

    @property
    def first_retained(self) -> int:
        return self.pruned + 1


def position(outbox: Outbox) -> Position:
    return _position(outbox.row(_STATE))


def position_in(tx: sqlite3.Connection) -> Position:
    """The same, inside a transaction that goes on to change it."""
    return _position(tx.execute(_STATE).fetchone())


_STATE = "SELECT epoch, last_seq, head, upto_bytes, acked, pruned, pruned_head, backed_up FROM state"


def _position(row: tuple[int, int, bytes, int, int, int, bytes, int]) -> Position:
    epoch, last_seq, head, upto_bytes, acked, pruned, pruned_head, backed_up = row
    return Position(
        epoch=epoch,
        last_seq=last_seq,
        head=head,
        upto_bytes=upto_bytes,
        acked=acked,
        pruned=pruned,
        pruned_head=pruned_head,
        backed_up=bool(backed_up),
    )


def head_at(tx: sqlite3.Connection, seq: int) -> bytes | None:
    """Chain head of the current epoch at *seq*; None where this log does not reach or was pruned."""
    where = position_in(tx)
    if seq == where.last_seq:
        return where.head
    if seq == where.pruned:
        return where.pruned_head
    row = tx.execute("SELECT head FROM log WHERE epoch = ? AND seq = ?", [where.epoch, seq]).fetchone()
    return row[0] if row else None


def same_history(outbox: Outbox, epoch: int, seq: int, head: str) -> bool:
    """Whether this log, if it still is of *epoch*, has chain *head* (hexadecimal) at *seq*."""
    with outbox.transaction() as tx:
        own = head_at(tx, seq) if position_in(tx).epoch == epoch else None
    return own is not None and own.hex() == head
