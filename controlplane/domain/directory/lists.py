"""Lists by startIndex and count (RFC 7644 section 3.4.2.4), as quick on the last page as on the first.

``startIndex`` counts from the beginning, which a database does row by row. A directory reads page after page, so where
a page has ended is remembered, and the next one goes on from there: also when somebody has gone meanwhile, nobody is
left out. Where nothing is remembered (another replica, a page in the middle) it is counted, along the key alone.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from msgspec import Struct
from scim2_models import ScimFilter
from sqlalchemy import ColumnElement, Table, func

from controlplane.db.database import TenantTx
from controlplane.domain.directory.filters import Condition
from controlplane.domain.directory.refusals import DirectoryInvalid
from controlplane.kit.ids import TenantId

DEFAULT: Final = 100
MOST: Final = 200
"""Rows on a page."""

MOST_LOOKED_AT: Final = 2_000
"""Rows that are looked at one by one for a filter that the database cannot decide."""

REMEMBERED: Final = 1_000
"""Ends of pages, in one process."""

FRESH: Final = timedelta(minutes=10)

Row = TypeVar("Row", bound=Struct)


class Wanted(Struct, frozen=True, kw_only=True):
    """What is asked of a list."""

    filter: ScimFilter[Any] | None = None
    condition: Condition | None = None
    sort: str | None = None
    """One of the names that the list can be sorted by, in lower case; None: as they were made."""
    descending: bool = False
    start: int = 1
    count: int = DEFAULT

    @property
    def place(self) -> tuple[object, ...]:
        """What makes a list the same list."""
        return (str(self.filter), self.sort, self.descending)


class Found(Struct, Generic[Row], frozen=True, kw_only=True):
    total: int
    rows: list[Row]


class _End(Struct, frozen=True):
    last_id: UUID
    total: int
    at: datetime


class Bookmarks:
    """Where pages have ended. Losing them costs time and nothing else."""

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[object, ...], _End] = OrderedDict()

    def find(self, tenant_id: TenantId, table: Table, wanted: Wanted, now: datetime) -> _End | None:
        end = self._ends.get((tenant_id, table.name, wanted.place, wanted.start))
        return end if end is not None and now - end.at < FRESH else None

    def keep(self, tenant_id: TenantId, table: Table, wanted: Wanted, next_start: int, end: _End) -> None:
        key = (tenant_id, table.name, wanted.place, next_start)
        self._ends[key] = end
        self._ends.move_to_end(key)
        if len(self._ends) > REMEMBERED:
            self._ends.popitem(last=False)


class List(Generic[Row]):
    """One kind of resource, as it is listed."""

    def __init__(
        self,
        table: Table,
        into: type[Row],
        sorts: dict[str, ColumnElement[Any]],
        matches: Callable[[ScimFilter[Any], Row], bool],
        only: ColumnElement[bool] | None = None,
    ) -> None:
        """
        Args:
            sorts: What it can be sorted by, in lower case.
            matches: Whether a row is meant by a filter.
            only: What the list is of, if not of all rows.
        """
        self._table, self._into, self._sorts, self._matches, self._only = table, into, sorts, matches, only

    async def page(self, tx: TenantTx, bookmarks: Bookmarks, wanted: Wanted) -> Found[Row]:
        """
        Raises:
            DirectoryInvalid: If it cannot be sorted like that, or too much would have to be looked at.
        """
        if wanted.sort is not None and wanted.sort not in self._sorts:
            raise DirectoryInvalid(f"it can be sorted by: {', '.join(sorted(self._sorts))}", "invalidPath")
        if wanted.condition is not None and not wanted.condition.exact:
            return await self._looked_at(tx, wanted)
        if wanted.sort is None:
            return await self._along(tx, bookmarks, wanted)
        return await self._counted(tx, wanted)

    async def _along(self, tx: TenantTx, bookmarks: Bookmarks, wanted: Wanted) -> Found[Row]:
        """As they were made, on from where the page before has ended."""
        key, end = self._table.c.id, bookmarks.find(tx.tenant_id, self._table, wanted, tx.now)
        if not wanted.count:
            return Found(total=end.total if end else await self._total(tx, wanted), rows=[])
        ids = self._select(tx, wanted).order_by(key)
        if end:
            rows = await tx.all(self._into, ids.where(key > end.last_id).limit(wanted.count))
        else:
            within = ids.with_only_columns(key).offset(wanted.start - 1).limit(wanted.count)
            rows = await tx.all(self._into, tx.select(self._table).where(key.in_(within)).order_by(key))
        total = end.total if end else await self._total_after(tx, wanted, len(rows))
        if rows:
            last: UUID = getattr(rows[-1], "id")  # noqa: B009 every row has one, which the type does not say
            next_start = wanted.start + len(rows)
            bookmarks.keep(tx.tenant_id, self._table, wanted, next_start, _End(last, total, tx.now))
        return Found(total=total, rows=rows)

    async def _counted(self, tx: TenantTx, wanted: Wanted) -> Found[Row]:
        total = await self._total(tx, wanted)
        page = self._ordered(tx, wanted).offset(wanted.start - 1).limit(wanted.count)
        return Found(total=total, rows=await tx.all(self._into, page) if wanted.count else [])

    async def _looked_at(self, tx: TenantTx, wanted: Wanted) -> Found[Row]:
        rows = await tx.all(self._into, self._ordered(tx, wanted).limit(MOST_LOOKED_AT + 1))
        if len(rows) > MOST_LOOKED_AT:
            raise DirectoryInvalid("narrow the filter by userName, externalId, id or active with eq", "tooMany")
        assert wanted.filter is not None
        meant = [row for row in rows if self._matches(wanted.filter, row)]
        return Found(total=len(meant), rows=meant[wanted.start - 1 : wanted.start - 1 + wanted.count])

    def _ordered(self, tx: TenantTx, wanted: Wanted) -> Any:
        key = self._table.c.id
        if wanted.sort is None:
            return self._select(tx, wanted).order_by(key)
        by = self._sorts[wanted.sort]
        order = by.desc().nulls_first() if wanted.descending else by.asc().nulls_last()
        return self._select(tx, wanted).order_by(order, key)

    def _select(self, tx: TenantTx, wanted: Wanted) -> Any:
        found = tx.select(self._table)
        if self._only is not None:
            found = found.where(self._only)
        return found if wanted.condition is None else found.where(wanted.condition.sql)

    async def _total_after(self, tx: TenantTx, wanted: Wanted, shown: int) -> int:
        """Of a list whose first page says by itself that there is no other, it need not be counted."""
        return shown if wanted.start == 1 and shown < wanted.count else await self._total(tx, wanted)

    async def _total(self, tx: TenantTx, wanted: Wanted) -> int:
        return int(await tx.scalar(self._select(tx, wanted).with_only_columns(func.count())))
