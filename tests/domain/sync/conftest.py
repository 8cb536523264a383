"""A runtime that has joined, and its log."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain.sync import cursors, log, recovery
from controlplane.domain.sync.cursors import Cursor
from controlplane.domain.sync.log import Kept
from controlplane.domain.sync.recovery import Reported
from controlplane.kit.ids import RuntimeId, TenantId
from runtime_agent.wire import chain
from runtime_agent.wire.sync import Hello, Welcome
from tests.logs import Log
from tests.runtimes import join


class Site(Struct):
    """One joined runtime seen from the server's side: what the runtime door does, without HTTP."""

    db: Database
    tenant_id: TenantId
    runtime_id: RuntimeId
    partitions: Partitions

    async def cursor(self) -> Cursor:
        async with self.db.tenant(self.tenant_id) as tx:
            found = await cursors.peek(tx, self.runtime_id)
        assert found is not None
        return found

    async def hello(self, reported: Reported | None = None, **given: object) -> Welcome:
        head = chain.origin(self.runtime_id, 0).hex()
        facts: dict[str, object] = {"epoch": 0, "first_retained": 1, "last_seq": 0, "acked": 0, "head": head}
        said = Hello(boot_id=UUID(int=1), **(facts | given))  # type: ignore[arg-type]
        async with self.db.tenant(self.tenant_id) as tx:
            cursor = await cursors.lock(tx, self.runtime_id)
            assert cursor is not None
            return await recovery.hello(tx, self.runtime_id, cursor, said, reported)

    async def log(self) -> Log:
        """Says hello as a fresh agent, and returns the empty log of the epoch it was granted."""
        welcome = await self.hello()
        return Log(self.runtime_id, welcome.store_id, welcome.epoch)

    async def append(self, writing: Log, first: int, last: int, **given: object) -> Kept:
        place, body = writing.batch(first, last, **given)
        return await self.append_body(place, body)

    async def append_body(self, place: object, body: bytes) -> Kept:
        known: set[tuple[str, object]] = set()
        while True:
            try:
                async with self.db.tenant(self.tenant_id) as tx:
                    cursor = await cursors.lock(tx, self.runtime_id)
                    assert cursor is not None
                    return await log.append(tx, self.runtime_id, cursor, place, body, known)  # type: ignore[arg-type]
            except log.PartitionsWanted as wanted:
                await self.partitions.see_to(wanted.births)
                known |= wanted.births

    async def missing(self, *asked: UUID) -> list[UUID]:
        async with self.db.tenant(self.tenant_id) as tx:
            return await recovery.missing(tx, self.runtime_id, asked)


@pytest.fixture
def joined(db: Database) -> Callable[[], Awaitable[Site]]:
    async def another() -> Site:
        runtime = await join(db)
        return Site(db=db, tenant_id=runtime.tenant_id, runtime_id=runtime.id, partitions=Partitions(db))

    return another


@pytest.fixture
async def site(joined: Callable[[], Awaitable[Site]]) -> Site:
    return await joined()
