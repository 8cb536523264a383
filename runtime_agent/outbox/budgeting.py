"""Slices of budgets on this disk: what was leased, what was said of each, and which sessions were paused for them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple, TypeAlias

import msgspec

from runtime_agent.clock import to_ms
from runtime_agent.outbox import log
from runtime_agent.outbox.file import Outbox
from runtime_agent.wire.budgets import Leased, Slice
from runtime_agent.wire.records import BudgetState

Period: TypeAlias = tuple[str, int]
"""A budget, and when the period begins, in milliseconds since 1970."""


class Mark(NamedTuple):
    """What is remembered of a slice."""

    beyond: int = 0
    """Used, as was once said, by what is not on this machine any more."""
    warned: int = 0
    """The highest threshold that was told."""
    exhausted: bool = False
    """It was told that it is used up."""
    unenforced: str = ""
    """It was told that what runs could not be paused, and why."""


def period(its: Slice) -> Period:
    return its.budget, its.starts_ms


def held(outbox: Outbox) -> Leased | None:
    """What was leased last."""
    row = outbox.row("SELECT body FROM slices")
    return msgspec.json.decode(row[0], type=Leased) if row else None


def take(outbox: Outbox, leased: Leased, beyond: Mapping[Period, int]) -> None:
    """Hold *leased* from now on, all of it or nothing; marks of other periods go once their end was told."""
    with outbox.transaction() as tx:
        tx.execute("INSERT OR REPLACE INTO slices VALUES (1, ?)", [msgspec.json.encode(leased)])
        tx.executemany(
            "INSERT INTO slice_marks VALUES (?, ?, ?, 0, 0, '') ON CONFLICT DO UPDATE SET beyond = excluded.beyond",
            [(*key, amount) for key, amount in beyond.items()],
        )
        known = [period(each) for each in leased.slices.slices]
        gone = [
            key
            for key in tx.execute("SELECT budget, starts_ms FROM slice_marks WHERE NOT exhausted")
            if key not in known
        ]
        tx.executemany("DELETE FROM slice_marks WHERE budget = ? AND starts_ms = ?", gone)


def marks(outbox: Outbox) -> dict[Period, Mark]:
    rows = outbox.rows("SELECT budget, starts_ms, beyond, warned, exhausted, unenforced FROM slice_marks")
    return {
        (budget, starts): Mark(beyond, warned, bool(done), why) for budget, starts, beyond, warned, done, why in rows
    }


def tell(outbox: Outbox, records: Iterable[BudgetState], marked: Mapping[Period, Mark], at: datetime) -> None:
    """Say in the log what became of slices, and that it was said."""
    with outbox.transaction() as tx:
        tx.executemany(
            "INSERT OR REPLACE INTO slice_marks VALUES (?, ?, ?, ?, ?, ?)",
            [(*key, *mark) for key, mark in marked.items()],
        )
        log.append_in(tx, records, at)


def hold_back(outbox: Outbox, key: str, at: datetime) -> None:
    """A session is about to be paused: whoever finds it paused knows by whom."""
    with outbox.transaction() as tx:
        tx.execute("INSERT OR IGNORE INTO held_back VALUES (?, ?)", [key, to_ms(at)])


def let_go(outbox: Outbox, key: str) -> None:
    with outbox.transaction() as tx:
        tx.execute("DELETE FROM held_back WHERE key = ?", [key])


def held_back(outbox: Outbox, limit: int) -> list[tuple[str, int]]:
    """Sessions that were paused for a budget, and when, in milliseconds since 1970; the oldest first."""
    rows: list[tuple[str, int]] = outbox.rows("SELECT key, at_ms FROM held_back ORDER BY at_ms LIMIT ?", [limit])
    return rows
