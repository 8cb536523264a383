"""What of checkpoints was taken, which chunks wait, and under which keys: written together with the lines that name them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from runtime_agent.outbox import log
from runtime_agent.outbox.file import Outbox
from runtime_agent.wire.records import CheckpointSeen

MISSING = """
    SELECT u.id, u.key FROM units u WHERE u.source = ? AND u.gone_ms IS NULL AND u.id > ? AND EXISTS (
        SELECT 1 FROM entities e WHERE e.unit = u.id AND e.kind = 'checkpoint' AND NOT EXISTS (
            SELECT 1 FROM contents c WHERE c.unit = e.unit AND c.key = e.key))
    ORDER BY u.id LIMIT 1
"""


class Waiting(NamedTuple):
    sha256: bytes
    size: int


def next_unit(outbox: Outbox, source: str, after: int) -> tuple[int, str] | None:
    """The next unit behind the one with the id *after* that has checkpoints whose content nobody looked at."""
    row = outbox.row(MISSING, [source, after])
    return (row[0], row[1]) if row else None


def untaken(outbox: Outbox, unit: int) -> set[str]:
    """Keys of the unit's checkpoints whose content nobody looked at."""
    rows = outbox.rows(
        "SELECT key FROM entities e WHERE unit = ? AND kind = 'checkpoint' AND NOT EXISTS"
        " (SELECT 1 FROM contents c WHERE c.unit = e.unit AND c.key = e.key)",
        [unit],
    )
    return {key for (key,) in rows}


def nothing_to_take(outbox: Outbox, unit: int, keys: Iterable[str]) -> None:
    """Take note that of these checkpoints there is no content any more."""
    with outbox.transaction() as tx:
        tx.executemany("INSERT OR IGNORE INTO contents VALUES (?, ?, NULL)", [(unit, key) for key in keys])


def keep(
    outbox: Outbox, unit: int, key: str, record: CheckpointSeen, chunks: Sequence[tuple[bytes, bytes]], at: datetime
) -> None:
    """Write the line that says what the checkpoint is made of, and its chunks, by their SHA-256: all of it or nothing.

    A chunk that is kept already is asked about again: the server may have given it up since.
    """
    with outbox.transaction() as tx:
        tx.execute("INSERT INTO contents VALUES (?, ?, ?)", [unit, key, record.record_id.bytes])
        tx.executemany(
            "INSERT INTO chunks (sha256, size, waits, body) VALUES (?, ?, 1, ?) ON CONFLICT (sha256) DO UPDATE SET waits = 1",
            [(sha256, len(body), body) for sha256, body in chunks],
        )
        tx.executemany(
            "INSERT OR IGNORE INTO chunk_uses VALUES (?, ?)",
            [(sha256, record.record_id.bytes) for sha256, _ in chunks],
        )
        log.append_in(tx, [record], at)


def waiting(outbox: Outbox, limit: int) -> list[Waiting]:
    """Chunks that the server may lack, the oldest first."""
    rows = outbox.rows("SELECT sha256, size FROM chunks WHERE waits = 1 ORDER BY id LIMIT ?", [limit])
    return [Waiting(*row) for row in rows]


def body(outbox: Outbox, sha256: bytes) -> bytes:
    found: bytes = outbox.row("SELECT body FROM chunks WHERE sha256 = ?", [sha256])[0]
    return found


def settle(outbox: Outbox, hashes: Iterable[bytes]) -> None:
    """The server holds these, or wants none of them."""
    with outbox.transaction() as tx:
        tx.executemany("UPDATE chunks SET waits = 0 WHERE sha256 = ?", [(sha256,) for sha256 in hashes])


def speaks_to(outbox: Outbox, store_id: UUID) -> None:
    """Of another store than before, nobody knows what it holds: everything is asked about again."""
    row = outbox.row("SELECT store_id FROM content_store")
    if row is not None and row[0] == store_id.bytes:
        return
    with outbox.transaction() as tx:
        tx.execute("UPDATE chunks SET waits = 1")
        tx.execute("INSERT OR REPLACE INTO content_store VALUES (1, ?)", [store_id.bytes])


def size(outbox: Outbox) -> int:
    """Bytes of all chunks that are kept."""
    return int(outbox.row("SELECT coalesce(sum(size), 0) FROM chunks")[0])


def pending(outbox: Outbox) -> int:
    """How many chunks wait."""
    return int(outbox.row("SELECT count(*) FROM chunks WHERE waits = 1")[0])


def prune(outbox: Outbox) -> int:
    """Forget chunks that the server holds, once the lines that name them are forgotten too; return how many."""
    if outbox.row("SELECT 1 FROM chunks LIMIT 1") is None:
        return 0
    with outbox.transaction() as tx:
        tx.execute("DELETE FROM chunk_uses WHERE record_id NOT IN (SELECT record_id FROM log)")
        gone = tx.execute(
            "DELETE FROM chunks WHERE waits = 0 AND NOT EXISTS"
            " (SELECT 1 FROM chunk_uses u WHERE u.sha256 = chunks.sha256)"
        )
        return gone.rowcount


def content_key(outbox: Outbox, kid: str) -> tuple[bytes, bytes] | None:
    """The content key for that key of the tenant, and its envelope."""
    row = outbox.row("SELECT material, sealed FROM content_keys WHERE kid = ?", [kid])
    return (row[0], row[1]) if row else None


def keep_content_key(outbox: Outbox, kid: str, material: bytes, sealed: bytes) -> None:
    with outbox.transaction() as tx:
        tx.execute("INSERT INTO content_keys VALUES (?, ?, ?)", [kid, material, sealed])
