"""Starting the log again under an epoch that the server granted: what it lacks is numbered anew, once."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from runtime_agent.clock import to_ms
from runtime_agent.outbox.file import Outbox
from runtime_agent.outbox.position import position_in
from runtime_agent.wire import chain

PAGE = 1000


def retained_ids(outbox: Outbox, page: int) -> Iterator[list[UUID]]:
    """Ids of all records that could still be sent, oldest first, each once, *page* at a time.

    Those that are there now: what is written meanwhile need not be asked about.
    """
    outbox.rows("DELETE FROM known")
    (newest,) = outbox.row("SELECT coalesce(max(id), 0) FROM log")
    epoch, seq = -1, 0
    while rows := outbox.rows(
        "SELECT epoch, seq, record_id FROM log WHERE (epoch, seq) > (?, ?) AND id <= ? ORDER BY epoch, seq LIMIT ?",
        [epoch, seq, newest, page],
    ):
        epoch, seq, _ = rows[-1]
        yield [UUID(bytes=record_id) for _, _, record_id in rows]


def note_known(outbox: Outbox, record_ids: Sequence[UUID]) -> None:
    """Remember, until the next :func:`begin`, that the server holds these."""
    with outbox.transaction() as tx:
        tx.executemany("INSERT OR IGNORE INTO known VALUES (?)", ([record_id.bytes] for record_id in record_ids))


def begin(outbox: Outbox, epoch: int, at: datetime) -> bool:
    """Start *epoch* with every retained record that is not known to the server, in order, as seq 1, 2, 3, ….

    What was written while the server was being asked is among them. What it knows stays behind as leftovers.

    Returns:
        False when *epoch* is not beyond our own: an answer from before.
    """
    with outbox.transaction() as tx:
        where = position_in(tx)
        if epoch <= where.epoch:
            return False
        tx.execute("DELETE FROM moving")
        tx.execute(
            "INSERT INTO moving (id) SELECT id FROM log WHERE record_id NOT IN (SELECT record_id FROM known)"
            " ORDER BY epoch, seq"
        )
        seq, upto, origin = 0, 0, chain.origin(outbox.runtime_id, epoch)
        head = origin
        while rows := tx.execute(
            "SELECT log.id, line FROM moving JOIN log USING (id) WHERE n > ? ORDER BY n LIMIT ?", [seq, PAGE]
        ).fetchall():
            moved = []
            for row_id, line in rows:
                seq, upto, head = seq + 1, upto + len(line), chain.extend(head, [line])
                moved.append((epoch, seq, head, upto, row_id))
            tx.executemany("UPDATE log SET epoch = ?, seq = ?, head = ?, upto_bytes = ? WHERE id = ?", moved)
        tx.execute("DELETE FROM acks")
        tx.execute(
            "INSERT INTO acks SELECT epoch, max(seq), ? FROM log WHERE epoch < ? GROUP BY epoch", [to_ms(at), epoch]
        )
        tx.execute(
            "UPDATE state SET epoch = ?, last_seq = ?, head = ?, upto_bytes = ?, acked = 0, pruned = 0, pruned_head = ?",
            [epoch, seq, head, upto, origin],
        )
        tx.execute("DELETE FROM moving")
        tx.execute("DELETE FROM known")
    return True
