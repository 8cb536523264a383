"""Monthly partitions of the big tables: made ahead by a chore, and for past months when they are first needed."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import Database

AHEAD_MONTHS = 3

MAKE = text("SELECT make_partition(:parent, :month) AS made")


class _Made(Struct, frozen=True):
    made: bool


class Partitions:
    """Knows which months this process has seen to, so that the question costs nothing after the first time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.there: set[tuple[str, datetime]] = set()
        """Table and first instant of a month: partitions that are there for sure."""

    async def see_to(self, needed: Iterable[tuple[str, datetime]]) -> int:
        """Make what is missing for rows of a table born at an instant (UTC). Returns how many were made.

        In transactions of its own: call it before the one that writes the rows.
        """
        made = 0
        for parent, month in {(parent, _month(instant)) for parent, instant in needed} - self.there:
            async with self._db.platform() as tx:
                [answer] = await tx.query(_Made, MAKE, parent=parent, month=month.date())
            self.there.add((parent, month))
            made += answer.made
        return made

    async def make_ahead(self) -> int:
        """This month's partitions and those of the next :data:`AHEAD_MONTHS`."""
        now = self._db.clock()
        months = [now]
        for _ in range(AHEAD_MONTHS):
            months.append(months[-1].replace(day=1) + timedelta(days=32))
        return await self.see_to((table.name, month) for table in t.PARTITIONED for month in months)


def _month(instant: datetime) -> datetime:
    return datetime(instant.year, instant.month, 1, tzinfo=UTC)
