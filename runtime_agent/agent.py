"""The agent's parts, put together for one home, and the two things that it does: look, and send."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import httpx
from msgspec.structs import replace

from runtime_agent import doing, heartbeat, home, rewinding, sockets
from runtime_agent.budgets.keeping import Budgets
from runtime_agent.channel import Channel
from runtime_agent.clock import Clock, utc_now
from runtime_agent.collecting import Collector, Shelf, of_logs
from runtime_agent.commands import Commands
from runtime_agent.configuration.fetching import ConfigForged, Fetching
from runtime_agent.configuration.redaction import Redacted, Redaction
from runtime_agent.configuration.taking import configured
from runtime_agent.configuration.trying import Trial
from runtime_agent.content.lane import Lane
from runtime_agent.content.taking import Taker
from runtime_agent.credential_files import CredentialFiles
from runtime_agent.credentials import Credentials
from runtime_agent.doing import Look
from runtime_agent.duties import Duties
from runtime_agent.heartbeat import DEFAULT_S
from runtime_agent.http import Busy, Http, Refused, Unreachable
from runtime_agent.identity import Identity
from runtime_agent.logs.tails import Tails
from runtime_agent.orders import CommandForged
from runtime_agent.outbox import DiskFull, Outbox, contents, cursor, inbox, open_outbox, pruning
from runtime_agent.pace import Pace
from runtime_agent.problems import Refusal
from runtime_agent.rewinding import Means
from runtime_agent.scan import Outcome, Scanner
from runtime_agent.server import Server
from runtime_agent.settings import Settings, key_given
from runtime_agent.sources.engine import EngineHome
from runtime_agent.sources.engine.acting import EngineServer
from runtime_agent.sources.engine.logs import EngineLogs
from runtime_agent.sources.engine.rewinding import EngineRewinding
from runtime_agent.sync import Sync
from runtime_agent.tokens import Tokens
from runtime_agent.touched import Touched
from runtime_agent.troubles import Troubles
from runtime_agent.wire.config import Document
from runtime_agent.wire.heartbeat import Pulse, Trouble

TURNED_AWAY = {401, 403}
"""The server wants nothing of this runtime: revoked, suspended, unknown. Everything is kept, asking becomes rare."""

logger = logging.getLogger(__name__)


class Post(NamedTuple):
    """Where to find what: the home, what is set, who we are."""

    home: Path
    settings: Settings
    identity: Identity


class Agent:
    """Everything of one running agent that outlives a call."""

    def __init__(self, post: Post, outbox: Outbox, http: Http, clock: Clock) -> None:
        self.post = post
        self.outbox = outbox
        self.clock = clock
        self.pace = Pace()
        self.log_pace = Pace()
        """Of its own as well: a log that has to wait holds up no heartbeat."""
        self.tokens = Tokens(http, post.home, post.identity, clock)
        self.server = Server(http, self.tokens)
        self.http = http
        self.credentials = Credentials(http, self.tokens, clock)
        self.files = CredentialFiles(post.home, post.settings.files(), self.credentials, key_given())
        self.duties = Duties(outbox, self.server, clock)
        self.sync = Sync(outbox, self.server, boot_id=uuid4(), clock=clock)
        self.redaction = Redaction()
        opened = post.settings.opened()
        sources = [Redacted(source, self.redaction) for source in opened]
        self._engines = {source.kind: source for source in opened if isinstance(source, EngineHome)}
        """The homes in which commands do something, without anything around them."""
        self.scanners = [Scanner(outbox, source, clock, Touched()) for source in sources]
        self.troubles = Troubles()
        self.commands = Commands(outbox, self.server, http, self.tokens, clock)
        self.channel = Channel(self.server, sockets.dial if sockets.INSTALLED and http.is_network else None)
        self.commands.poll = self.channel.poll
        self.commands_pace = Pace()
        """Of its own: a poll that a proxy cuts off keeps nothing else waiting."""
        self.taker = Taker(outbox, [scanner.source for scanner in self.scanners], post.settings, clock)
        self.lane = Lane(outbox, self.server, self.sync, post.settings.content_kib_s)
        self.lane_pace = Pace()
        self._own = post.settings
        self.trial = Trial(post.home, self._be, time.monotonic)
        self.fetching = Fetching(self.server, self.credentials, self.trial)
        self.newer_config = asyncio.Event()
        self.config_pace = Pace()
        self.commands.reached, self.commands.newer = self.trial.reached, self._hear_of_config
        self.budgets = Budgets(outbox, self.server, self.credentials, self.troubles, clock)
        self.last_words = ""
        """What the server, or the way to it, said last when it did not simply answer."""

    async def send(self) -> bool:
        """Make one call of the log lane; False when there is nothing to say.

        Whatever goes wrong is taken note of: ``pace`` knows when to try again, ``last_words`` are not empty.
        """
        try:
            more = await self.sync.step()
        except Busy as busy:
            self.log_pace.busy(busy.retry_after_s)
            self.last_words = str(busy)
            return True
        except (Unreachable, Refused, DiskFull, OSError) as error:
            self.note(error)
            return True
        self.heard()
        if self.sync.credit.min_interval_ms:
            self.pace.rest(self.sync.credit.min_interval_ms / 1000)
        return more

    async def keep_files(self) -> float:
        """Look at the credentials that are kept as files; seconds until the next look."""
        return await self.files.keep(self.post.identity.runtime, self.troubles)

    async def bring(self) -> bool:
        """Take some checkpoint content, or bring some of what was taken; False when there is nothing to do now.

        Whatever goes wrong holds up this lane alone.
        """
        try:
            taken = await asyncio.to_thread(self.taker.take, self.sync.content)
            brought = await self.lane.step()
        except (Unreachable, Busy, Refused, DiskFull, OSError) as error:
            if isinstance(error, Busy):
                self.lane_pace.busy(error.retry_after_s)
            else:
                self.lane_pace.failed()
            line = str(error) or type(error).__name__
            self.troubles.report("content", [Trouble(code="content-waits", line=line[:500])], self.clock())
            return True
        self.lane_pace.answered()
        self.troubles.report("content", [], self.clock())
        return taken or brought

    async def beat(self, interval_s: float = DEFAULT_S) -> Pulse | None:
        """Send one heartbeat and compare cursors; None when it did not arrive."""
        store_id = self.sync.store_id
        message, before = heartbeat.compose(
            self.outbox,
            self.sync,
            self.clock(),
            interval_s=interval_s,
            sources=[scanner.source.kind for scanner in self.scanners],
            troubles=self.troubles.all(),
        )
        message = replace(message, draining=self.duties.leaving, config=self.trial.standing())
        try:
            pulse = await self.server.heartbeat(message)
        except (Unreachable, Busy, Refused, OSError) as error:
            self.note(error)
            return None
        self.heard()
        self.pace.window_ms = self.commands_pace.window_ms = pulse.reconnect_window_ms
        self.credentials.heed(pulse.leases)
        if pulse.cmds_waiting:
            self.commands.asked.set()
        self.sync.credit, self.sync.durable = pulse.credit, pulse.durable
        self.sync.content = pulse.content
        self.trial.heard = self.trial.heard or self.trial.trying
        if pulse.config.generation > self.trial.reached(pulse.store_id):
            self._hear_of_config(pulse.config.generation)
        self.budgets.hear(pulse.store_id, pulse.budgets)
        fits = heartbeat.fits(self.outbox, before, store_id, pulse)
        await self.duties.heed(pulse, may_compare=fits and store_id is not None)
        try:
            await self.credentials.renew_due()
        except (Unreachable, Busy, Refused, Refusal) as error:  # what is held serves until it ends
            logger.warning("credentials.unrenewed: %s", error)
        if not fits:
            logger.info("cursor.differs: the server stands at %d/%d", pulse.epoch, pulse.acked)
            self.sync.doubt()
        return pulse

    async def configure(self) -> None:
        """Fetch the configuration that there is, and try it; whatever goes wrong, ``config_pace`` knows when again."""
        try:
            await self.fetching.step()
        except Busy as busy:
            self.config_pace.busy(busy.retry_after_s)
        except ConfigForged as forged:
            self.config_pace.failed()
            logger.warning("%s: %s", forged.code, forged)
            self._trouble("config", forged.code, str(forged)[:500])
        except (Unreachable, Refused, OSError) as error:
            self.config_pace.failed()
            logger.warning("config.unfetched: %s", error)
        else:
            self.config_pace.answered()
            self.troubles.report("config", [], self.clock())

    def _hear_of_config(self, generation: int) -> None:
        self.fetching.wanted = generation
        self.newer_config.set()

    def _be(self, document: Document) -> None:
        """Be as *document* says, from now on."""
        self.redaction.use(document.redaction)
        before = self.post.settings.log_level
        self.post = self.post._replace(settings=configured(self._own, document))
        self.taker.settings = self.post.settings
        self.lane.limit(self.post.settings.content_kib_s)
        if self.post.settings.log_level != before:
            logging.getLogger().setLevel(self.post.settings.log_level.upper())

    def take_commands(self, look: Look, said: Callable[[], None]) -> None:
        """From now on do what is asked, as far as it is allowed here.

        Args:
            look: Looks at everything once more.
            said: Called when there is something new in the log.
        """
        kinds, homes = doing.of_the_agent(self.outbox, look), {}
        for scanner in self.scanners:
            if its := self._engines.get(scanner.source.kind):
                engine = EngineServer(self.post.settings.engine_url)
                homes["engine"] = EngineLogs(its.path)
                kinds |= doing.of_sessions(self.outbox, scanner.source, engine, self.clock)
                collector = Collector(
                    Shelf(self.post.home), homes["engine"], self.redaction, self.post.settings.zone(), self.clock
                )
                kinds |= of_logs(collector, frozenset(self.post.settings.logs))
                means = Means(self.outbox, scanner.source, engine, self._rewinding(its), self.server)
                kinds |= rewinding.of_checkpoints(means, look, self.clock)
                self.budgets.enforcer.source, self.budgets.enforcer.acting = scanner.source, engine
        self.commands.doers, self.commands.said = kinds, said
        self.commands.allowed = self.budgets.enforcer.allowed = frozenset(self.post.settings.commands)
        logs = frozenset(self.post.settings.logs)
        self.commands.tails = Tails(self.server, self.clock, self.redaction, allowed=logs, homes=homes)

    def _rewinding(self, source: EngineHome) -> EngineRewinding:
        return EngineRewinding(source, self.post.settings.zone())

    async def obey(self) -> None:
        """Hear what is asked; whatever goes wrong, ``commands_pace`` knows when to try again."""
        try:
            await self.commands.exchange()
        except Busy as busy:
            self.commands_pace.busy(busy.retry_after_s)
        except Refused as refused:
            self.commands_pace.refused()
            logger.warning("commands.refused: %s", refused)
        except CommandForged as forged:
            self.commands_pace.failed()
            logger.warning("%s: %s", forged.code, forged)
            found = [Trouble(code=forged.code, line=str(forged)[:500])]
            self.troubles.report("commands", found, self.clock())
        except (Unreachable, DiskFull, OSError):
            self.commands_pace.failed()
        else:
            self.commands_pace.answered()
            self.commands_pace.rest(random.uniform(0, self.commands.again_ms / 1000))  # noqa: S311 spread, not secrecy
            self.commands.again_ms = 0

    def heard(self) -> None:
        """The server answered as it should."""
        self.pace.answered()
        self.last_words = ""
        self.troubles.report("server", [], self.clock())

    def note(self, error: Exception) -> None:
        """Something kept us from sending; say so once, and decide how long to wait."""
        words = str(error) or type(error).__name__
        if words != self.last_words:
            logger.warning("%s: %s", type(error).__name__.lower(), words)
            self.last_words = words
        if isinstance(error, Busy):
            self.pace.busy(error.retry_after_s)
        elif isinstance(error, Refused) and error.problem.status in TURNED_AWAY:
            self.pace.refused()
            self.credentials.drop()
        else:
            self.pace.failed()
        if isinstance(error, DiskFull | OSError):
            self.disk_full(error)
        elif isinstance(error, Refused):
            self._trouble("server", error.problem.code, words)

    def disk_full(self, error: Exception) -> None:
        self._trouble("disk", "disk-full", f"the agent's home takes nothing more: {error}")

    def _trouble(self, area: str, code: str, line: str) -> None:
        self.troubles.report(area, [Trouble(code=code[:200] or "refused", line=line[:500])], self.clock())

    def look(self, scanner: Scanner, between: Callable[[Outcome], None] = lambda outcome: None) -> Outcome | None:
        """Look at everything of one source; None when that was not possible. Runs in a thread of its own.

        Raises:
            Stopped: On request.
        """
        area = scanner.source.kind
        try:
            outcome = scanner.everything(between)
        except DiskFull as error:
            self.disk_full(error)
            return None
        except OSError as error:
            found = scanner.source.check().troubles
            line = f"{scanner.source.path}: {error.strerror or error}"
            self.troubles.report(area, found or [Trouble(code="home-unreadable", line=line[:500])], self.clock())
            return None
        found = scanner.source.check().troubles if not outcome.looked_at else cursor.troubles(self.outbox)
        self.troubles.report(area, found, self.clock())
        self.troubles.report("disk", [], self.clock())
        return outcome

    def prune(self) -> int:
        """Forget what is safe to forget; return how many records and chunks."""
        settings = self.post.settings
        keep = timedelta(days=settings.keep_days)
        dropped = self.sync.prune() or pruning.by_window(self.outbox, self.clock(), keep, settings.keep_mib << 20)
        cursor.forget_gone(self.outbox, self.clock())
        inbox.forget(self.outbox, self.clock())
        Shelf(self.post.home).forget(self.clock())
        for engine in self._engines.values():
            self._rewinding(engine).forget(self.clock())
        dropped += contents.prune(self.outbox)
        if dropped:
            pruning.shrink(self.outbox)
        return dropped


@asynccontextmanager
async def opened(
    post: Post, clock: Clock = utc_now, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Agent]:
    """The agent of a home that has joined; its outbox is closed at the end.

    Raises:
        Refusal: A setting, a mode or a file stands in the way.
    """
    home.check_modes(post.home)
    outbox = await asyncio.to_thread(open_outbox, post.home / home.OUTBOX, post.identity.id)
    try:
        async with Http(post.identity.server, clock, transport) as http:
            agent = Agent(post, outbox, http, clock)
            agent.trial.start()
            try:
                yield agent
            finally:
                await agent.channel.close()
            agent.trial.stopped()
    finally:
        outbox.close()
