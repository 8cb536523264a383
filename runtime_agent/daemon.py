"""The daemon: looking, sending and beating side by side until it is asked to stop."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from runtime_agent import heartbeat, joining, leaving, memory, status
from runtime_agent.agent import Agent, Post, opened
from runtime_agent.clock import to_ms
from runtime_agent.home import OUTBOX
from runtime_agent.http import Unreachable
from runtime_agent.outbox import DiskFull, OutboxDamaged, cursor, log
from runtime_agent.outbox.file import set_aside
from runtime_agent.problems import Refusal
from runtime_agent.scan import Outcome, Scanner, Stopped
from runtime_agent.sources.acting import Failed
from runtime_agent.watch import Watcher
from runtime_agent.wire.heartbeat import Trouble

SHARE = 0.005
"""The part of a core that looking at everything may take, again and again."""

UNWATCHED_SHARE = 0.01
"""The same where changes are not told as they happen."""

HOME_MISSING_S = 5.0
"""Between looks for a home that is not there, for space on a full disk, or for content that a command needs."""

SOONEST_BEAT_S = 2.0
"""A new trouble, or the end of one, is told at once, but no more often than that."""

PRUNE_S = 600.0

CONTENT_S = 2.0
"""Between looks for checkpoint content that may leave."""

TRIED_S = 0.25
"""Between looks at a configuration that has yet to prove itself."""

MUCH = 20
"""Calls in a row after which memory is given back."""

AFTER_A_BUG_S = 5.0

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


async def run(post: Post) -> None:
    """Work until SIGTERM or SIGINT; a damaged outbox is replaced on the way.

    Raises:
        Refusal: A setting, a mode or a file stands in the way of the start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        async with opened(post) as agent:
            damaged = await _work(agent, stop)
            post = post._replace(identity=agent.tokens.identity)
        if damaged:
            set_aside(post.home / OUTBOX, damaged)
        elif not stop.is_set() and await _left(post):
            return


async def _left(post: Post) -> bool:
    """Go, as the control plane has asked; False: something is left to send, or nobody took the goodbye."""
    try:
        await leaving.leave(post, even_unheard=False)
    except Refusal as refusal:
        logger.warning("agent.stays: %s", refusal)
        await asyncio.sleep(AFTER_A_BUG_S)
        return False
    joining.forget(post.home)
    logger.info("agent.left: %s", post.identity.runtime)
    return True


async def _work(agent: Agent, stop: asyncio.Event) -> str:
    """Until stopped or sent away, then ""; or until the outbox turns out to be damaged, then why."""
    daemon, damage = Daemon(agent), ""
    logger.info("agent.started: process %d, runtime %s", os.getpid(), agent.post.identity.runtime)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_forever(loop, agent.trial.refuse)) for loop in daemon.loops()]
            await _either(stop, daemon.sent_away)
            for task in tasks:
                task.cancel()
    except* OutboxDamaged as found:
        damage = str(found.exceptions[0])
    finally:
        await agent.commands.tails.close()
        daemon.close()
    logger.info("agent.stopped")
    return damage


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _forever(loop: Callable[[], Awaitable[None]], blame: Callable[[str], None]) -> None:
    """A bug in one loop is logged, and neither ends it nor the others. What was new is taken to be its cause."""
    while True:
        try:
            await loop()
        except (OutboxDamaged, Stopped):
            raise
        except Exception as error:
            logger.exception("bug")
            blame(f"a bug: {type(error).__name__}")
            await asyncio.sleep(AFTER_A_BUG_S)


class Daemon:
    """The loops over one agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._loop = asyncio.get_running_loop()
        self._unsent = asyncio.Event()
        self._news = asyncio.Event()
        self._heard = asyncio.Event()
        self.sent_away = asyncio.Event()
        """The control plane wants this runtime to go, and nothing is left to send."""
        self._told: list[Trouble] = []
        self._look: dict[str, asyncio.Event] = {}
        self._watchers: dict[str, Watcher] = {}
        for scanner in agent.scanners:
            self._look[scanner.source.kind] = asyncio.Event()
            self._watchers[scanner.source.kind] = Watcher(scanner.source, self._teller(scanner))
        self._wanted: dict[str, list[asyncio.Future[bool]]] = {kind: [] for kind in self._look}
        self._unread: dict[str, bool] = {}
        """Of each kind, whether the last look at everything was in vain."""
        agent.take_commands(self._look_again, self._unsent.set)
        self._reporter = status.Reporter(agent.post.home, agent.clock)

    def loops(self) -> list[Callable[[], Awaitable[None]]]:
        lookers = [self._looker(scanner) for scanner in self._agent.scanners]
        files = [self._keep_files] if self._agent.files.any() else []
        lasting = [self._send, self._beat, self._obey, self._carry_out, self._configure, self._bring, self._tidy]
        return [*lasting, self._keep_to_budgets, *files, *lookers]

    def close(self) -> None:
        for watcher in self._watchers.values():
            watcher.stop()
        self._reporter.remove()

    async def _send(self) -> None:
        sent = 0
        while True:
            if wait_s := max(self._agent.pace.wait_s(), self._agent.log_pace.wait_s()):
                await asyncio.sleep(wait_s)
                continue
            self._unsent.clear()
            sent += 1
            if not await self._agent.send():
                self._go_if_asked()
                self._report()
                if sent > MUCH:
                    memory.give_back()
                    sent = 0
                await self._unsent.wait()

    async def _beat(self) -> None:
        interval_s = heartbeat.DEFAULT_S
        while True:
            if wait_s := self._agent.pace.wait_s():
                await asyncio.sleep(wait_s)
                continue
            self._news.clear()
            self._told = self._agent.troubles.all()
            pulse = await self._agent.beat(interval_s)
            self._unsent.set()  # a doubt, or a credit that was raised
            self._heard.set()
            self._report()
            self._go_if_asked()
            if pulse is not None:
                interval_s = max(pulse.next_ms, 100) / 1000
                await asyncio.sleep(min(interval_s, SOONEST_BEAT_S))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), interval_s - SOONEST_BEAT_S)

    def _go_if_asked(self) -> None:
        if self._agent.duties.leaving and not log.backlog(self._agent.outbox).records:
            self.sent_away.set()

    async def _keep_files(self) -> None:
        """After every heartbeat, too: it tells of leases that were revoked."""
        while True:
            self._heard.clear()
            wait_s = await self._agent.keep_files()
            self._report()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), wait_s)

    async def _obey(self) -> None:
        agent = self._agent
        while True:
            if wait_s := agent.commands_pace.wait_s():
                with suppress(TimeoutError):
                    await asyncio.wait_for(agent.commands.asked.wait(), wait_s)
            await agent.obey()

    async def _configure(self) -> None:
        agent = self._agent
        while True:
            agent.newer_config.clear()
            if agent.fetching.wanted and not agent.config_pace.wait_s():
                await agent.configure()
                self._news.set()
            if agent.trial.trying and not agent.trial.looked:
                with suppress(Failed):  # a home that cannot be read is no fault of what was configured
                    await self._look_again()
                agent.trial.looked = True
                self._news.set()
            if agent.trial.prove(agent.post.settings.config_proving_s):
                self._news.set()
            busy = agent.trial.trying or agent.fetching.wanted
            with suppress(TimeoutError):
                await asyncio.wait_for(agent.newer_config.wait(), TRIED_S if busy else None)

    async def _keep_to_budgets(self) -> None:
        budgets = self._agent.budgets
        while True:
            budgets.changed.clear()
            with suppress(DiskFull):
                if await budgets.step():
                    self._unsent.set()
            self._report()
            with suppress(TimeoutError):
                await asyncio.wait_for(budgets.changed.wait(), budgets.wait_s)

    def _found(self) -> None:
        """Something was read: there may be something to send, and something was used."""
        self._unsent.set()
        self._agent.budgets.changed.set()

    async def _carry_out(self) -> None:
        """Beside hearing what is asked: a command may take long."""
        while True:
            try:
                await self._agent.commands.carry_out()
            except (Unreachable, DiskFull, OSError):  # what was begun goes on from there
                await asyncio.sleep(HOME_MISSING_S)
                continue
            await self._agent.commands.confirmed.wait()

    async def _look_again(self) -> None:
        """Look at everything, from now on, and come back when that is done.

        Raises:
            Failed: If a home could not be looked at.
        """
        done: list[asyncio.Future[bool]] = []
        for kind, wanted in self._wanted.items():
            done.append(self._loop.create_future())
            wanted.append(done[-1])
            self._look[kind].set()
        if not all(await asyncio.gather(*done)):
            raise Failed("home-unreadable", "a source's home cannot be read; its last words say why")

    async def _bring(self) -> None:
        while True:
            if wait_s := self._agent.lane_pace.wait_s() or self._agent.pace.wait_s():
                await asyncio.sleep(wait_s)
                continue
            if await self._agent.bring():
                self._unsent.set()  # what was taken has a line in the log
            else:
                await asyncio.sleep(CONTENT_S)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_S)
            with suppress(DiskFull):
                await asyncio.to_thread(self._agent.prune)

    def _report(self) -> None:
        agent = self._agent
        watching = {kind: watcher.active for kind, watcher in self._watchers.items()}
        troubles = agent.troubles.all()
        self._reporter.write(agent.pace.connected, agent.last_words, troubles, watching)
        if troubles != self._told:
            self._news.set()

    def _teller(self, scanner: Scanner) -> Callable[[set[str]], None]:
        """Called in the watching thread."""

        def tell(keys: set[str]) -> None:
            scanner.touched.add(keys, time.monotonic())
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._look[scanner.source.kind].set)

        return tell

    def _looker(self, scanner: Scanner) -> Callable[[], Awaitable[None]]:
        async def look() -> None:
            watcher, look_now = self._watchers[scanner.source.kind], self._look[scanner.source.kind]
            next_full = 0.0
            while True:
                look_now.clear()
                wanted, self._wanted[scanner.source.kind] = self._wanted[scanner.source.kind], []
                if wanted or time.monotonic() >= next_full:
                    next_full = await self._look_at_everything(scanner, watcher)
                for each in wanted:
                    each.set_result(not self._unread[scanner.source.kind])
                await self._look_at_some(scanner)
                wait_s = self._wait_s(scanner, next_full)
                with suppress(TimeoutError):
                    await asyncio.wait_for(look_now.wait(), wait_s)

        return look

    async def _look_at_everything(self, scanner: Scanner, watcher: Watcher) -> float:
        """Returns when to do so again, on the monotonic clock."""
        agent = self._agent
        await asyncio.to_thread(watcher.ensure)  # before looking: what changes from here on is told
        outcome = await _in_thread(scanner, agent.look, scanner, self._between(scanner))
        agent.troubles.report("watch", watcher.troubles, agent.clock())
        self._report()
        self._unread[scanner.source.kind] = outcome is None
        agent.budgets.looked_at(all_of_it=outcome is not None)
        self._unsent.set()
        if outcome is None:
            return time.monotonic() + HOME_MISSING_S
        if watcher.active:
            return time.monotonic() + max(agent.post.settings.scan_interval_s, outcome.seconds / SHARE)
        return time.monotonic() + max(HOME_MISSING_S, outcome.seconds / UNWATCHED_SHARE)

    async def _look_at_some(self, scanner: Scanner) -> None:
        keys = scanner.touched.take(time.monotonic())
        due_ms = cursor.next_due_ms(self._agent.outbox, scanner.source.kind)
        overdue = due_ms is not None and due_ms <= self._now_ms()
        if not keys and not overdue:
            return
        try:
            if keys:
                await _in_thread(scanner, scanner.some, keys)
            if overdue:
                await _in_thread(scanner, scanner.overdue)
        except DiskFull as error:
            self._agent.disk_full(error)
            scanner.touched.add(keys, time.monotonic() + HOME_MISSING_S)
            await asyncio.sleep(1.0)
        self._found()

    def _between(self, scanner: Scanner) -> Callable[[Outcome], None]:
        """Called in the scanning thread: what was found is sent, and what changed now does not wait for the rest."""

        def between(_: Outcome) -> None:
            scanner.some(scanner.touched.take(time.monotonic()))
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._unsent.set)

        return between

    def _wait_s(self, scanner: Scanner, next_full: float) -> float:
        """Seconds until there is something to look at, unless a change is told before."""
        now = time.monotonic()
        waits = [next_full - now]
        if (touched_s := scanner.touched.wait_s(now)) is not None:
            waits.append(touched_s)
        if (due_ms := cursor.next_due_ms(self._agent.outbox, scanner.source.kind)) is not None:
            waits.append((due_ms - self._now_ms()) / 1000)
        return max(0.0, min(waits))

    def _now_ms(self) -> int:
        return to_ms(self._agent.clock())


async def _in_thread(scanner: Scanner, work: Callable[..., Result], *arguments: Any) -> Result:
    """The result of *work*, done in a thread; when cancelled, only after the thread has ended."""
    future = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        scanner.stop.set()
        with suppress(Stopped, DiskFull):
            await future
        raise
