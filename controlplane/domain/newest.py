"""Rows of one table, newest first by id, with tenant and project named: what every list is made of.

Every index leads with the tenant. A ``TenantTx`` goes along one of them; an ``OperatorTx``, which has all tenants to
look through, goes along it once for each.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, asdict
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    true,
)

from controlplane.db import schema as t
from controlplane.db.database import OperatorTx, TenantTx
from controlplane.kit.ids import born_at, first_id, parse_id
from controlplane.kit.problems import NotFound

Reading: TypeAlias = TenantTx | OperatorTx
Row = TypeVar("Row", bound=Struct)
Condition: TypeAlias = ColumnElement[bool]


class Search(Struct, frozen=True, kw_only=True):
    """What rows have to meet."""

    conditions: Sequence[Condition] = ()
    few: bool = False
    """So few rows do that it is quicker to find them all and then sort."""

    def and_(self, *more: Condition) -> "Search":
        return Search(conditions=(*self.conditions, *more), few=self.few)


MARGIN: Final = timedelta(hours=26)
"""How far an id's time may be from the instant that its row carries: ids hold the source's local time read as UTC,
and local times go from UTC-12 to UTC+14."""

MEANT_PROJECTS: Final = 1000
"""As many tenants' projects of one slug an operator looks through."""

LAST_CHARACTER: Final = "\U0010ffff"

TOLD: Final = "told"
"""The column of what is neither searched nor sorted nor added up."""


async def page(
    tx: Reading, into: type[Row], table: Table, search: Search, *, before: UUID | None, limit: int
) -> list[Row]:
    """The first *limit* rows that *search* finds and that have an id smaller than *before*, newest first.

    The fields of *into* are columns of *table*, ``tenant`` and ``project``, which are the two slugs, and what stands in
    the column ``told``.
    """
    older = search if before is None else search.and_(table.c.id < before)
    if older.few or isinstance(tx, OperatorTx):
        older = await _by_key(tx, table, older, limit)
    newest_first = _named(tx.select(table), table).with_only_columns(*_columns(into, table)).order_by(table.c.id.desc())
    rows = await tx.rows(newest_first.where(*older.conditions).limit(at_most(limit)))
    decode = _told(into, table)
    return [into(**(asdict(decode(row.pop(TOLD))) if decode else {}), **row) for row in rows]


async def one(tx: Reading, into: type[Row], table: Table, identity: UUID) -> Row:
    """The row with this id.

    Raises:
        NotFound: If there is none, or only in a tenant that *tx* does not see.
    """
    found = await page(tx, into, table, Search(conditions=(table.c.id == identity,)), before=None, limit=1)
    if not found:
        raise NotFound
    return found[0]


async def project_ids(tx: Reading, slug_or_id: str) -> list[UUID]:
    """The projects that a filter means by ``default`` or ``prj_…``: none, one, or for an operator one a tenant."""
    identity = parse_id("prj", slug_or_id)
    meant = t.projects.c.slug == slug_or_id if identity is None else t.projects.c.id == identity
    found = await tx.all(_Id, tx.select(t.projects).where(meant).limit(MEANT_PROJECTS))
    return [row.id for row in found]


def born_within(identity: ColumnElement[UUID], since: datetime | None, until: datetime | None) -> Iterable[Condition]:
    """What ids of rows between two instants meet, with :data:`MARGIN`: it keeps other months out of the plan."""
    if since is not None:
        yield identity >= first_born(since)
    if until is not None:
        yield identity < first_id(until + MARGIN)


def first_born(since: datetime) -> UUID:
    """The smallest id of a thing that began at *since* or later."""
    return first_id(since - MARGIN)


def born_with(identity: ColumnElement[UUID], other: UUID) -> Iterable[Condition]:
    """What ids meet that carry the same time as *other*: a session's runs."""
    born = born_at(other)
    yield identity >= first_id(born)
    yield identity < first_id(born + timedelta(milliseconds=1))


def within(instant: ColumnElement[Any], since: datetime | None, until: datetime | None) -> Iterable[Condition]:
    """From *since* on, and before *until*."""
    if since is not None:
        yield instant >= since
    if until is not None:
        yield instant < until


def starts_with(column: ColumnElement[str], prefix: str) -> Condition:
    """Case-sensitive. Comparisons are leakproof and LIKE is not, so only these run before the policy does."""
    bytewise = column.collate("C")
    return and_(bytewise >= prefix, bytewise < prefix + LAST_CHARACTER)


def at_most(rows: int) -> BindParameter[int]:
    """A limit that stands in the statement itself. PostgreSQL keeps the plan of a statement whose limit it knows, and
    makes that of one whose limit is a parameter anew each time: for a partitioned table longer than it then runs."""
    return bindparam(None, rows, Integer, literal_execute=True)


def _named(rows: Select[Any], table: Table) -> Select[Any]:
    """*rows* of *table* beside the tenant and the project that they belong to, whose slugs are shown."""
    tenant = t.tenants.c.tenant_id == table.c.tenant_id
    project = and_(t.projects.c.tenant_id == table.c.tenant_id, t.projects.c.id == table.c.project_id)
    return rows.select_from(table.outerjoin(t.tenants, tenant).outerjoin(t.projects, project))


@cache
def _columns(into: type[Struct], table: Table) -> tuple[ColumnElement[Any], ...]:
    """What the fields of *into* are made of."""
    named = {"tenant": t.tenants.c.slug.label("tenant"), "project": t.projects.c.slug.label("project")}
    own = [
        named[name] if name in named else table.c[name]
        for name in into.__struct_fields__
        if name in {*named, *table.c.keys()}
    ]
    # as text, of which :func:`_told` makes at once what *into* wants; the driver would make a dict of it
    return (*own, cast(table.c.told, Text).label(TOLD)) if _told(into, table) else tuple(own)


@cache
def _told(into: type[Struct], table: Table) -> Callable[[str], Struct] | None:
    """Reads from ``told`` the fields of *into* that are no columns; None where all are."""
    columns = {"tenant", "project", *table.c.keys()}
    fields = [_field(each) for each in msgspec.structs.fields(into) if each.name not in columns]
    return msgspec.json.Decoder(msgspec.defstruct("Told", fields, kw_only=True)).decode if fields else None


def _field(each: FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    """As ``defstruct`` wants it."""
    if each.required:
        return each.name, each.type
    return each.name, each.type, each.default if each.default is not NODEFAULT else each.default_factory()


async def _by_key(tx: Reading, table: Table, search: Search, limit: int) -> Search:
    """The newest *limit* rows by their keys, found tenant by tenant, along each one's index.

    OFFSET 0 hides from the planner that the newest are wanted, in search of which it would walk back through every
    month although another index leads straight to the few.
    """
    own = tx.select(table).with_only_columns(table.c.tenant_id, table.c.id)
    meet = own.where(table.c.tenant_id == t.tenants.c.tenant_id, *search.conditions)
    most = at_most(limit)
    newest = meet.offset(0).lateral() if search.few else meet.order_by(table.c.id.desc()).limit(most).lateral()
    everywhere = _each_tenant(tx, newest).with_only_columns(*newest.c).order_by(newest.c.id.desc()).limit(most)
    keys = await tx.all(_Key, everywhere)
    tenants, ids = {key.tenant_id for key in keys}, [key.id for key in keys]
    return Search(conditions=(table.c.tenant_id.in_(tenants), table.c.id.in_(ids)))


def _each_tenant(tx: Reading, rows: FromClause) -> Select[Any]:
    return tx.select(t.tenants).select_from(t.tenants.join(rows, true()))


class _Key(Struct, frozen=True):
    tenant_id: UUID
    id: UUID


class _Id(Struct, frozen=True):
    id: UUID
