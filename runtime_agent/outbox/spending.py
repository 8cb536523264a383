"""What each unit has used up to when, written with the records that tell of it; what a period took is computed from that.

A row says how much a unit had used in all by the end of a quarter of an hour. Reading the same again writes the same, and
what is read late, or after a loss of this file, comes to the same sum.
"""

import sqlite3
from datetime import datetime
from typing import Final

from runtime_agent.clock import to_ms
from runtime_agent.outbox.file import Outbox
from runtime_agent.sources import Spent
from runtime_agent.wire.budgets import Slice, Unit

QUARTER_MS: Final = 900_000
"""Periods begin where a quarter of an hour does, in every zone there is."""

USED: Final = """
    SELECT coalesce(sum(upto - before), 0) FROM (
        SELECT coalesce(max(iif(quarter < ?2, {unit}, NULL)), 0) AS upto,
            coalesce(max(iif(quarter < ?1, {unit}, NULL)), 0) AS before
        FROM spent WHERE key IN (SELECT key FROM spent WHERE quarter >= ?1 AND quarter < ?2) GROUP BY key)
"""

STATEMENTS: Final[dict[Unit, str]] = {
    "tokens": USED.format(unit="tokens"),
    "micro_usd": USED.format(unit="micro_usd"),
}


def note(tx: sqlite3.Connection, key: str, spent: Spent, at: datetime) -> None:
    """Take note of what a unit has used by now, where that is more than was known.

    Args:
        at: The agent's clock: nothing was used later than that, whatever the source's files say.
    """
    tokens, micro_usd = tx.execute("SELECT max(tokens), max(micro_usd) FROM spent WHERE key = ?", [key]).fetchone()
    more = spent.tokens > (tokens or 0) or (spent.micro_usd is not None and spent.micro_usd > (micro_usd or -1))
    if not more:
        return
    quarter = to_ms(min(spent.at, at)) // QUARTER_MS
    price = micro_usd if spent.micro_usd is None else max(spent.micro_usd, micro_usd or 0)
    tx.execute(
        "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET tokens = excluded.tokens,"
        " micro_usd = excluded.micro_usd",
        [key, quarter, max(spent.tokens, tokens or 0), price],
    )


def used(outbox: Outbox, its: Slice) -> int:
    """How much of its unit all that was read has used in the period of *its*."""
    bounds = [its.starts_ms // QUARTER_MS, -(-its.ends_ms // QUARTER_MS)]
    return int(outbox.row(STATEMENTS[its.unit], bounds)[0])


def is_priced(outbox: Outbox) -> bool:
    """Whether any file has ever told a price."""
    return bool(outbox.row("SELECT EXISTS (SELECT 1 FROM spent WHERE micro_usd IS NOT NULL)")[0])
