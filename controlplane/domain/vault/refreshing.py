"""Refreshing: once, on time, whatever dies. Whoever needs a live token asks here; nobody waits who need not.

The intent is committed before the provider is called, and no transaction is open meanwhile. What came of it is written
by whoever holds the newest fence; a rotated token that lost its row is kept beside it, and adopted. In a process one
flight serves all who wait; between processes Redis keeps the herd off the database, and nothing relies on it.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from msgspec import Struct, field

from controlplane.db.database import Database
from controlplane.domain.vault import connections, intents, planning, spool, standing
from controlplane.domain.vault.apps import RedirectUri
from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.connections import SERVED, Connection
from controlplane.domain.vault.flights import LOOK, NOT_THERE, Crew, Ended, Gear
from controlplane.domain.vault.intents import Intent, Wanted
from controlplane.domain.vault.keeping import Superseded
from controlplane.domain.vault.pace import Pace
from controlplane.domain.vault.sealed import Access
from controlplane.domain.vault.spool import Spool
from controlplane.domain.vault.standing import AppBroken, Look, NotRefreshable, RefreshFailing
from controlplane.kit import herd, limiter
from controlplane.kit.envelope import NotOpened
from controlplane.kit.herd import Herd
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.limiter import Limiter
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.oauth.dialect import Refreshing
from controlplane.kit.problems import Refusal

log = structlog.get_logger("controlplane.vault")

AT_ONCE: Final = 64
"""Refreshes ahead that one process has under way."""

OF_THE_APP: Final = "app:"
"""How the kind of an end begins that is the app's and no connection's."""


class Shared(Struct, frozen=True, kw_only=True):
    """What a process has beside its database: where there are several, they share Redis."""

    herd: Herd = field(default_factory=herd.Open)
    limiter: Limiter = field(default_factory=limiter.InMemory)
    spool: Path | None = None
    """Where tokens go that the database does not take; None: nowhere, they would be lost."""
    superseded: Sequence[Superseded] = ()


class Refresher:
    """One for a process."""

    def __init__(
        self,
        db: Database,
        catalogue: Catalogue,
        caller: Caller,
        redirect_uri: RedirectUri,
        pace: Pace,
        shared: Shared,
    ) -> None:
        """
        Args:
            caller: Gives up after ``pace.call_s``.
        """
        self._db, self._catalogue, self._pace, self._herd = db, catalogue, pace.check(), shared.herd
        self._spool = Spool(shared.spool)
        gear = Gear(
            db=db,
            catalogue=catalogue,
            caller=caller,
            pace=pace,
            spool=self._spool,
            limiter=shared.limiter,
            redirect_uri=redirect_uri,
            superseded=shared.superseded,
        )
        self._crew = Crew(gear)
        self._me = uuid4().hex
        self._flights: dict[tuple[TenantId, UUID], asyncio.Task[Ended]] = {}
        self._looks: dict[tuple[TenantId, UUID], asyncio.Task[None]] = {}
        """In the background, and no more than one in ``pace.poll_s`` for each connection."""

    async def ensure(self, tenant_id: TenantId, connection_id: UUID, least: timedelta = timedelta()) -> int:
        """Return as soon as the connection has a token that can be handed out, with its version. Begins in the background
        to get the next where the end is near.

        Args:
            least: Where it lasts shorter than this and the next would not, that one is waited for.

        Raises:
            NotFound: If this tenant has no such connection.
            ConnectionUnconfirmed, ConnectionDisabled, ConnectionGone, NeedsReauth: If nothing is handed out of it.
            AppBroken, RefreshFailing: If the token has expired and there is no next one within ``pace.block_s``.
        """
        until = time.monotonic() + self._pace.block_s
        first = seen = await self._look(tenant_id, connection_id)
        told = LOOK
        while not self._is_good(
            (tenant_id, connection_id), seen, least, is_new=seen.cred_version != first.cred_version
        ):
            if told.wait_s is None or time.monotonic() + told.wait_s >= until:
                raise _refused(told, self._pace.poll_s)
            await asyncio.sleep(told.wait_s)
            flight = self._begin(tenant_id, connection_id, seen.cred_version)
            told = await self._wait(flight, until) or Ended(kind=told.kind, wait_s=self._pace.poll_s)
            seen = await self._look(tenant_id, connection_id)
        return seen.cred_version

    def soon(self, tenant_id: TenantId, connection_id: UUID, since: datetime, ends: datetime) -> None:
        """Begin to get the next token where the end of one is near, and wait for nothing. May be asked with every use."""
        left_s, life_s = (ends - self._db.clock()).total_seconds(), (ends - since).total_seconds()
        key = (tenant_id, connection_id)
        if left_s <= self._pace.margin_s(life_s, kills=False) and key not in self._flights and key not in self._looks:
            self._looks[key] = task = asyncio.create_task(self._look_ahead(key))
            task.add_done_callback(lambda _: self._looks.pop(key))

    async def access(self, tenant_id: TenantId, connection_id: UUID) -> tuple[Connection, Access]:
        """A connection with what opens its account, alive when it was read.

        Raises:
            Refusal: As :meth:`ensure`.
        """
        until = time.monotonic() + self._pace.block_s
        while True:
            await self.ensure(tenant_id, connection_id)
            async with self._db.tenant(tenant_id) as tx:
                connection, access = await connections.access(tx, connection_id)
            is_alive = connection.access_exp is None or connection.access_exp > self._db.clock()
            if access is not None and is_alive:
                return connection, access
            if time.monotonic() >= until:
                raise RefreshFailing("", self._pace.poll_s)

    async def refresh(self, tenant_id: TenantId, connection_id: UUID) -> bool:
        """Get the next token now, because somebody asks; whether there is a new one. Not if there has just been.

        Raises:
            NotFound, ConnectionUnconfirmed, ConnectionDisabled, ConnectionGone, NeedsReauth: If there is no need to.
            NotRefreshable: If it has nothing to refresh.
            AppBroken, RefreshFailing: If none could be had.
        """
        seen = await self._look(tenant_id, connection_id)
        standing.check_served(seen)
        if not seen.can_refresh(self._refreshing(seen)):
            raise NotRefreshable
        lately = self._db.clock() - timedelta(seconds=self._pace.again_s)
        if seen.refreshed_at is not None and seen.refreshed_at > lately and not seen.fail_class:
            return False
        until = time.monotonic() + self._pace.block_s
        while True:
            ended = await self._wait(self._begin(tenant_id, connection_id, seen.cred_version, forced=True), until)
            now = await self._look(tenant_id, connection_id)
            standing.check_served(now)
            if now.cred_version != seen.cred_version:
                return True
            if ended is None or ended.kind or time.monotonic() >= until:
                raise _refused(ended, self._pace.poll_s)
            # that one brought what was seen already: it had begun before

    async def ahead(self, tenant_id: TenantId) -> int:
        """Begin what is due in a tenant, and return how much that was. Waits for no provider."""
        room = AT_ONCE - len(self._flights)
        if room <= 0:
            return 0
        since = time.monotonic()
        async with self._db.tenant(tenant_id) as tx:
            claimed = await intents.claim_due(tx, room, self._wanted())
        for intent in claimed:
            # where a flight is under way it has lost its intent just now, and this one goes on
            self._fly((tenant_id, intent.id), self._crew.carry_out(tenant_id, intent, since))
        return len(claimed)

    async def plan(self, tenant_id: TenantId) -> int:
        """Say when connections are due that nothing was said of, and return how many those were."""
        async with self._db.tenant(tenant_id) as tx:
            return await planning.plan(tx, self._catalogue, self._pace)

    async def unspool(self) -> int:
        """Keep what is on disk, and return how much that was; what the database does not take yet stays there."""
        kept = 0
        for file in self._spool.waiting():
            with suppress(FileNotFoundError):  # another process of this home was quicker
                parcel = spool.read(file)
                try:
                    async with self._db.tenant(parcel.tenant_id) as tx:
                        new = await spool.opened(tx, parcel)
                    await self._crew.keep(parcel.tenant_id, parcel.intent, new)
                except (*NOT_THERE, NotOpened, LookupError) as error:
                    log.error("refresh.still-spooled", file=file.name, error=type(error).__name__)
                    continue
                file.unlink()
                kept += 1
        return kept

    async def landed(self) -> None:
        """Until nothing is under way."""
        while under_way := [*self._looks.values(), *self._flights.values()]:
            await asyncio.wait(under_way)

    async def close(self) -> None:
        """Let those come back who have called a provider, and give up the others."""
        for look in self._looks.values():
            look.cancel()
        if self._flights:
            await asyncio.wait(list(self._flights.values()), timeout=self._pace.call_s)
        tasks = list(self._flights.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._looks.values(), return_exceptions=True)

    def _is_good(self, key: tuple[TenantId, UUID], seen: Look, least: timedelta, *, is_new: bool) -> bool:
        """Whether what is there can be handed out.

        Args:
            least: How long it has to last.
            is_new: It came while it was waited for: any life that it has is all there is.
        """
        standing.check_served(seen)
        now, refreshing = self._db.clock(), self._refreshing(seen)
        age = seen.age(now, refreshing, self._pace)
        if age != "over" and not seen.can_refresh(refreshing):
            return True
        if seen.is_short(now, least, self._pace) and not is_new:
            return False
        if age == "live" or (is_new and seen.access_exp is not None and seen.access_exp > now):
            return True
        if age == "over":
            return False
        if refreshing.kills_access_after_s is not None and seen.wait_s(now) == 0.0:
            return False  # what is handed out now would die in the caller's hands
        if seen.wait_s(now) == 0.0:
            self._begin(*key, seen.cred_version)
        return True

    def _refreshing(self, seen: Look) -> Refreshing:
        provider = self._catalogue.find(seen.provider)
        return provider.dialect.refreshing if provider is not None else Refreshing()

    async def _look_ahead(self, key: tuple[TenantId, UUID]) -> None:
        try:
            await self.ensure(*key)
        except Refusal as refusal:
            log.info("refresh.not-ahead", connection=text_id("con", key[1]), code=refusal.code)
        except NOT_THERE as error:
            log.warning("refresh.not-ahead", connection=text_id("con", key[1]), error=type(error).__name__)
        await asyncio.sleep(self._pace.poll_s)

    async def _look(self, tenant_id: TenantId, connection_id: UUID) -> Look:
        async with self._db.tenant(tenant_id) as tx:
            return await standing.look(tx, connection_id)

    def _begin(
        self, tenant_id: TenantId, connection_id: UUID, version: int, *, forced: bool = False
    ) -> asyncio.Task[Ended]:
        """The flight of this process for a connection: the one that is under way, or a new one."""
        key = (tenant_id, connection_id)
        if key in self._flights:
            return self._flights[key]
        return self._fly(key, self._flight(tenant_id, connection_id, version, forced))

    def _fly(self, key: tuple[TenantId, UUID], flight: Any) -> asyncio.Task[Ended]:
        task: asyncio.Task[Ended] = asyncio.create_task(_safely(key[1], flight))
        self._flights[key] = task
        task.add_done_callback(lambda done: self._flights.pop(key) if self._flights.get(key) is done else None)
        return task

    async def _flight(self, tenant_id: TenantId, connection_id: UUID, version: int, forced: bool) -> Ended:
        """Until the next version is there, or it is plain that it will not be soon. Others may bring it as well."""
        name, patience = f"refresh:{tenant_id}:{connection_id}", time.monotonic() + self._pace.herd_s
        while True:
            if (ended := await self._over(tenant_id, connection_id, version, forced)) is not None:
                return ended
            ticket = await self._herd.enter(name, self._pace.deadline_s)
            if ticket is not None or time.monotonic() > patience:
                since = time.monotonic()
                try:
                    if (intent := await self._claim(tenant_id, connection_id, version, forced)) is not None:
                        return await self._crew.carry_out(tenant_id, intent, since)
                finally:
                    await self._herd.leave(name, ticket or "")
            await asyncio.sleep(self._pace.poll_s)

    async def _over(self, tenant_id: TenantId, connection_id: UUID, version: int, forced: bool) -> Ended | None:
        """What there is to say without trying."""
        async with self._db.tenant(tenant_id) as tx:
            seen = await standing.look(tx, connection_id)
            why, wait = await standing.app_wait(tx, seen)
        if seen.cred_version != version or seen.state not in SERVED:
            return LOOK
        if seen.rstate == "in_flight":
            return None
        if why:
            return Ended(kind=OF_THE_APP + why, wait_s=wait.total_seconds() if wait is not None else None)
        wait_s = seen.wait_s(self._db.clock())
        if not forced and wait_s != 0.0:
            return Ended(kind=seen.fail_class or "", wait_s=wait_s)
        return None

    async def _claim(self, tenant_id: TenantId, connection_id: UUID, version: int, forced: bool) -> Intent | None:
        async with self._db.tenant(tenant_id) as tx:
            return await intents.claim(tx, connection_id, version, self._wanted(forced))

    def _wanted(self, forced: bool = False) -> Wanted:
        return Wanted(me=self._me, deadline=timedelta(seconds=self._pace.deadline_s), forced=forced)

    async def _wait(self, flight: asyncio.Task[Ended], until: float) -> Ended | None:
        """For *flight*, which goes on whoever stops waiting; None: no longer than *until*."""
        done, _ = await asyncio.wait([flight], timeout=max(0.0, until - time.monotonic()))
        return flight.result() if done else None


def _refused(ended: Ended | None, poll_s: float) -> AppBroken | RefreshFailing:
    """What a caller is told where *ended* brought nothing; None: it still goes on."""
    if ended is None or not ended.kind:
        return RefreshFailing("", poll_s)
    if ended.kind.startswith(OF_THE_APP) and ended.wait_s is None:
        return AppBroken(ended.kind.removeprefix(OF_THE_APP))
    return RefreshFailing(ended.kind, ended.wait_s)


async def _safely(connection_id: UUID, flight: Any) -> Ended:
    """What nobody waits for must not end unheard."""
    try:
        ended: Ended = await flight
    except Exception as error:
        log.exception("refresh.broke", connection=text_id("con", connection_id), error=type(error).__name__)
        return Ended(kind="internal", wait_s=1.0)
    return ended
