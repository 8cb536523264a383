"""Transactions: the only way to the database, and the only way across tenants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import Delete, Executable, Select, Table, TextClause, Update, delete, select, text, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from controlplane.db import schema as t
from controlplane.db.opening import asked, asked_once, begun, engine_of
from controlplane.db.sight import EVERYTHING, Sight
from controlplane.db.unaudited import UNAUDITED
from controlplane.kit.clock import Clock, wall_clock
from controlplane.kit.ids import TenantId, new_id
from controlplane.kit.sealing import Sealing

Row = TypeVar("Row", bound=Struct)

ENTERING = "set_config('app.tenant_id', :tenant_id, true)"
"""True: until the end of the transaction. Anything longer would wait in the pool for the next tenant."""

ENTERED = f"WITH entered AS MATERIALIZED (SELECT CAST({ENTERING} AS uuid) AS tenant_id)"
"""How a statement for :meth:`Database.at_once` begins."""

ENTER_TENANT = f"SELECT {ENTERING}"

BE_OPERATOR = "BEGIN READ ONLY; SET LOCAL ROLE cp_operator"

BE_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
TRY_TO_BE_ALONE = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
"""Until the end of the transaction. Two names may share a number: then one waits for nothing, and no more than that."""
BECOME_PRUNER, BE_ONESELF = text("SET LOCAL ROLE cp_audit_pruner"), text("SET LOCAL ROLE NONE")

ROUTES_REMEMBERED = 20_000
"""Whose a credential or a runtime is never changes, and whether it still opens anything is asked in the tenant itself."""

REASSIGNED = frozenset({"slug", "domain", "connecting"})
"""Kinds of routes that can lead somewhere else one day, or are gone in minutes."""


class Unaudited(AssertionError):
    """A change was about to be committed with no audit event beside it: a bug."""


class Tx:
    """One open transaction, at one instant: everything in it happens at ``now``."""

    sight: Sight = EVERYTHING
    """What of the runtimes and projects is seen. Statements in SQL take ``sight.runtimes`` as a parameter."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self.now = now

    async def first(self, into: type[Row], statement: Select[Any]) -> Row | None:
        rows = await self.all(into, statement.limit(1))
        return rows[0] if rows else None

    async def all(self, into: type[Row], statement: Select[Any]) -> list[Row]:
        """Rows as *into*. Only the columns *into* has fields for are fetched."""
        fields = into.__struct_fields__
        narrowed = statement.with_only_columns(
            *(statement.selected_columns[name] for name in fields), maintain_column_froms=True
        )
        return _structs(into, await self._connection.execute(narrowed))

    async def rows(self, statement: Select[Any]) -> list[dict[str, Any]]:
        """Rows of exactly the columns that *statement* names."""
        found = await self._connection.execute(statement)
        names = [str(name) for name in found.keys()]  # noqa: SIM118 a method of its own
        return [dict(zip(names, row, strict=True)) for row in found]

    async def query(self, into: type[Row], statement: TextClause, **values: object) -> list[Row]:
        """Rows of a statement in SQL whose columns are exactly the fields of *into*, in that order."""
        return _structs(into, await self._connection.execute(statement, values))

    async def scalar(self, statement: Select[Any]) -> Any:
        return await self._connection.scalar(statement)

    async def stream(self, statement: TextClause, at_once: int, **values: object) -> AsyncIterator[Sequence[Any]]:
        """The only column of *statement*, *at_once* rows at a time and no more of them in memory."""
        async with self._connection.stream_scalars(statement, values) as found:
            async for rows in found.partitions(at_once):
                yield rows


class WritingTx(Tx):
    """A transaction that may change something, and then says so in the audit log."""

    def __init__(self, connection: AsyncConnection, now: datetime, sealing: Sealing | None) -> None:
        super().__init__(connection, now)
        self.sealing = sealing
        """What :mod:`controlplane.domain.keys` seals with; None where nobody gave the database master keys."""
        self._before_commit: list[tuple[int, Callable[[], Awaitable[None]]]] = []
        self._changed: set[str] = set()
        self.audited = False
        self.events: list[Any] = []
        """What :mod:`controlplane.domain.audit` is to write before the commit."""
        self.told: list[Any] = []
        """What :mod:`controlplane.domain.events` is to write before the commit."""

    async def alone(self, name: str) -> None:
        """Wait until no other transaction is alone under *name*, and be it until this one ends."""
        await self._connection.execute(BE_ALONE, {"name": name})

    async def try_alone(self, name: str) -> bool:
        """As :meth:`alone`, but without waiting: False where another transaction is."""
        return bool(await self._connection.scalar(TRY_TO_BE_ALONE, {"name": name}))

    @asynccontextmanager
    async def part(self) -> AsyncIterator[None]:
        """A part that can fail alone: what it did is undone, its events too, and the rest goes on."""
        events, told, audited = len(self.events), len(self.told), self.audited
        try:
            async with self._connection.begin_nested():
                yield
        except BaseException:
            del self.events[events:], self.told[told:]
            self.audited = audited
            raise

    def before_commit(self, act: Callable[[], Awaitable[None]], *, order: int = 0) -> None:
        """Have *act* done last, so that the locks it takes are short and always taken in the same order.

        Args:
            order: Lower ones first. Audit chains are 0, events 1.
        """
        self._before_commit.append((order, act))

    async def finish(self) -> None:
        """What remains to be done before the commit.

        Raises:
            Unaudited: If something was changed and nothing said about it.
        """
        for _, act in sorted(self._before_commit, key=lambda each: each[0]):
            await act()
        if not self.audited and (silent := self._changed - UNAUDITED):
            raise Unaudited(f"changed without an audit event: {', '.join(sorted(silent))}")

    async def run(self, statement: Executable, rows: Sequence[Mapping[str, Any]] | None = None) -> int:
        """Execute, once for each of *rows* if given, and return how many rows changed."""
        self._note(statement)
        result = await self._connection.execute(statement, rows)
        return int(result.rowcount)

    async def quickly(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute by the driver, with each of *rows* for ``$1``, ``$2``, …: for a statement behind which others wait."""
        await asked(self._connection, lambda driver: driver.executemany(statement, rows))

    async def take(self, into: type[Row], statement: Insert | Update | Delete) -> list[Row]:
        """Execute and hand back the rows it touched: whoever gets them is the only one who does."""
        self._note(statement)
        columns = (statement.table.c[name] for name in into.__struct_fields__)
        return _structs(into, await self._connection.execute(statement.returning(*columns)))

    def _note(self, statement: Executable) -> None:
        if isinstance(statement, Insert | Update | Delete) and isinstance(statement.table, Table):
            self._changed.add(statement.table.name)


class TenantTx(WritingTx):
    """A transaction that sees and writes one tenant's rows.

    Twice over: the statements built here name the tenant, and the database adds it to every statement,
    these and others (row-level security). Where ``sight`` is limited, they name that as well.
    """

    def __init__(
        self, connection: AsyncConnection, now: datetime, sealing: Sealing | None, tenant_id: TenantId
    ) -> None:
        super().__init__(connection, now, sealing)
        self.tenant_id = tenant_id

    def select(self, table: Table) -> Select[Any]:
        return select(table).where(table.c.tenant_id == self.tenant_id, *self.sight.conditions(table))

    def insert(self, table: Table) -> Insert:
        return insert(table).values(tenant_id=self.tenant_id)

    def update(self, table: Table) -> Update:
        return update(table).where(table.c.tenant_id == self.tenant_id, *self.sight.conditions(table))

    def delete(self, table: Table) -> Delete:
        return delete(table).where(table.c.tenant_id == self.tenant_id, *self.sight.conditions(table))

    def on_platform(self) -> "PlatformTx":
        """The platform's tables within this same transaction: for what is committed together or not at all."""
        return PlatformTx(self._connection, self.now, self.sealing)

    @asynccontextmanager
    async def as_pruner(self) -> AsyncIterator[None]:
        """Within it, this tenant's audit events can be deleted, and nothing else can be done."""
        await self._connection.execute(BECOME_PRUNER)
        yield
        await self._connection.execute(BE_ONESELF)

    async def load(self, statement: TextClause, **values: object) -> None:
        """Execute one set-based statement in SQL; ``:tenant_id`` in it is this tenant."""
        await self._connection.execute(statement, {"tenant_id": self.tenant_id, **values})


class PlatformTx(WritingTx):
    """A transaction on the tables that belong to no tenant. It names those tables or nothing."""

    def select(self, table: Table) -> Select[Any]:
        return select(_platform(table))

    def insert(self, table: Table) -> Insert:
        return insert(_platform(table))

    def update(self, table: Table) -> Update:
        return update(_platform(table))

    def delete(self, table: Table) -> Delete:
        return delete(_platform(table))


class SnapshotTx(Tx):
    """Sees one tenant as it is at one instant, however long it looks, and changes nothing."""

    def __init__(self, connection: AsyncConnection, now: datetime, tenant_id: TenantId) -> None:
        super().__init__(connection, now)
        self.tenant_id = tenant_id


ScopedTx: TypeAlias = TenantTx | PlatformTx
"""A transaction that writes, and whose rows belong to one tenant or to the platform."""


class OperatorTx(Tx):
    """A transaction that sees every tenant and changes nothing.

    For the console and for chores looking for work. What an operator changes is changed inside the tenant it
    concerns, by a :class:`TenantTx`, where all its rules hold.
    """

    def select(self, table: Table) -> Select[Any]:
        return select(table)


class Database:
    def __init__(
        self, url: str, clock: Clock = wall_clock, *, sealing: Sealing | None = None, pool_size: int = 10
    ) -> None:
        """
        Args:
            url: ``postgresql://`` of the role ``cp_app``, which owns nothing.
            sealing: The master keys; None where nothing sealed is read or written.
            pool_size: Statements that are asked at once; for transactions beside them there are as many connections
                again. What a peak has opened is kept: opening one takes longer than most of what it is for.
        """
        self.clock = clock
        self._sealing = sealing
        self.on_told: Callable[[TenantId, Sequence[Any]], Awaitable[None]] | None = None
        """Done after a commit with events of a tenant, and these. Whoever must not miss any looks for itself as well."""
        self._routes: dict[tuple[str, bytes], TenantId] = {}
        self._turns = asyncio.Semaphore(pool_size)
        self._engine: AsyncEngine = engine_of(
            asyncpg_url(url),
            pool_size=2 * pool_size,
            max_overflow=0,
            json_deserializer=msgspec.json.decode,
            hide_parameters=True,  # in error messages, which end up in logs
            connect_args={"server_settings": {"timezone": "UTC", "application_name": "controlplane"}},
        )

    async def tenant_of(self, kind: str, key: bytes) -> TenantId | None:
        """Whose credential, slug or runtime this is. The only question asked before the tenant is known."""
        known = self._routes.get((kind, key))
        if known is not None:
            return known
        async with self._engine.connect() as connection:
            found: TenantId | None = await connection.scalar(
                select(t.routes.c.tenant_id).where(t.routes.c.kind == kind, t.routes.c.key == key)
            )
        if found is not None and kind not in REASSIGNED:
            if len(self._routes) >= ROUTES_REMEMBERED:
                self._routes.clear()
            self._routes[kind, key] = found
        return found

    @asynccontextmanager
    async def tenant(self, tenant_id: TenantId) -> AsyncIterator[TenantTx]:
        async with begun(self._engine, f"BEGIN; {_entering(tenant_id)}") as connection:
            tx = TenantTx(connection, self.clock(), self._sealing, tenant_id)
            yield tx
            await tx.finish()
        if tx.told and self.on_told is not None:
            await self.on_told(tenant_id, tx.told)

    async def glance(self, tenant_id: TenantId, into: type[Row], statement: str, *values: object) -> list[Row]:
        """Rows of one statement inside a tenant, without a transaction around it: one way to the database and back.

        Args:
            statement: Made by :func:`inside`, which enters the tenant itself.
            values: What ``$2``, ``$3``, … in it stand for.
        """
        rows = await asked_once(self._engine, lambda driver: driver.fetch(statement, str(tenant_id), *values))
        return _structs(into, rows)

    async def at_once(self, tenant_id: TenantId, into: type[Row], statement: str, *values: object) -> list[Row]:
        """As :meth:`glance`, for a statement that writes too: it begins with :data:`ENTERED`, takes from ``entered`` what
        it writes and reads, and writes down itself what the audit log is to know. Who comes while every kept
        connection is busy waits: opening one takes longer."""
        async with self._turns:
            return await self.glance(tenant_id, into, statement, *values)

    @asynccontextmanager
    async def new_tenant(self) -> AsyncIterator[TenantTx]:
        """A transaction inside a tenant that does not exist yet."""
        async with self.tenant(TenantId(new_id(self.clock()))) as tx:
            yield tx

    @asynccontextmanager
    async def platform(self) -> AsyncIterator[PlatformTx]:
        async with begun(self._engine, "BEGIN") as connection:
            tx = PlatformTx(connection, self.clock(), self._sealing)
            yield tx
            await tx.finish()

    @asynccontextmanager
    async def scoped(self, tenant_id: TenantId | None) -> AsyncIterator[ScopedTx]:
        """A transaction inside a tenant, or for None on the platform: for what both have alike."""
        if tenant_id is None:
            async with self.platform() as platform_tx:
                yield platform_tx
        else:
            async with self.tenant(tenant_id) as tx:
                yield tx

    @asynccontextmanager
    async def snapshot(self, tenant_id: TenantId) -> AsyncIterator[SnapshotTx]:
        """A transaction that goes on seeing the tenant as it is now."""
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                await connection.execute(text(ENTER_TENANT), {"tenant_id": str(tenant_id)})
                yield SnapshotTx(connection, self.clock(), tenant_id)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[OperatorTx]:
        async with begun(self._engine, BE_OPERATOR) as connection:
            yield OperatorTx(connection, self.clock())

    @property
    def sealing(self) -> Sealing | None:
        """What its transactions seal with."""
        return self._sealing

    async def close(self) -> None:
        if self._sealing is not None:
            await self._sealing.close()
        await self._engine.dispose()


def inside(columns: str, statement: str) -> str:
    """*statement* as one that :meth:`Database.glance` takes: where it stands, the tenant is ``entered.tenant_id``.

    What is selected from depends on the row that has entered, and OFFSET 0 keeps it a query of its own: it runs
    after, or not at all. Out of order it would fail, as any statement without a tenant does.

    Args:
        columns: What *statement* yields, in the order of the Struct's fields.
    """
    entering = ENTERING.replace(":tenant_id", "$1")
    return (
        f"SELECT {columns} FROM (SELECT CAST({entering} AS uuid) AS tenant_id OFFSET 0) entered "  # noqa: S608 constants
        f"CROSS JOIN LATERAL ({statement} OFFSET 0) found"
    )


def _entering(tenant_id: TenantId) -> str:
    """The words that enter, for who cannot send values beside them. A UUID is made of digits and nothing else."""
    return ENTER_TENANT.replace(":tenant_id", f"'{UUID(bytes=tenant_id.bytes)}'")


def asyncpg_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)


def _platform(table: Table) -> Table:
    if table.name not in t.PLATFORM:
        raise AssertionError(f"{table.name} belongs to tenants")
    return table


def _structs(into: type[Row], rows: Any) -> list[Row]:
    fields = into.__struct_fields__
    return [into(**dict(zip(fields, row, strict=True))) for row in rows]
