"""Commands of the control plane: fetched, kept, acknowledged, then carried out, one after the other, each once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

from runtime_agent import orders, redact
from runtime_agent.clock import Clock
from runtime_agent.configuration.redaction import Redaction
from runtime_agent.credentials import Credentials
from runtime_agent.doing import Doer
from runtime_agent.http import Http
from runtime_agent.logs.tails import Tails
from runtime_agent.orders import CommandForged
from runtime_agent.outbox import DiskFull, Outbox, inbox
from runtime_agent.outbox.inbox import Outcome
from runtime_agent.server import Server
from runtime_agent.sources.acting import Failed
from runtime_agent.tokens import Tokens
from runtime_agent.wire.commands import LONGEST_WAIT_S, MOST_AT_ONCE, Bundle, Command, Order, Orders
from runtime_agent.wire.logs import Ask, Tail

AGAIN: Final = frozenset({"rescan", "drain", "pause", "cancel", "rollback", "undo", "collect-logs"})
"""What may be begun anew where the program died during it: twice is as good as once."""

FULL_DISK_S: Final = 5.0

Said: TypeAlias = Callable[[], None]

Poll: TypeAlias = Callable[[UUID | None, int, int, int, Sequence[str]], Awaitable[Orders]]
"""As :meth:`Server.poll`."""

logger = logging.getLogger(__name__)


class Commands:
    """What one runtime is asked to do.

    Safe to stop and to crash anywhere: what is not acknowledged is fetched again and known again by its id, what has
    begun is not begun again unless it may be, and how it ended is in the log.
    """

    def __init__(self, outbox: Outbox, server: Server, http: Http, tokens: Tokens, clock: Clock) -> None:
        self.asked = asyncio.Event()
        """Set where a heartbeat tells that commands wait: then fetching does not wait for any."""
        self.again_ms = 0
        """A random part of this is to pass before the next poll: the replica that answered is about to end."""
        self.confirmed = asyncio.Event()
        """Set where something may be there to be carried out."""
        self.confirmed.set()
        self.tails = Tails(server, clock, Redaction())
        self.said: Said = lambda: None
        """Called when there is something new in the log."""
        self.doers: Mapping[str, Doer] = {}
        self.allowed: frozenset[str] = frozenset()
        """Of the kinds that there are, those that the owner of this machine lets be done here."""
        self._outbox, self._server, self._http, self._tokens, self._clock = outbox, server, http, tokens, clock
        self._credentials = Credentials(http, tokens, clock)
        self.reached: Callable[[UUID], int] = lambda _: 0
        """The generation of the configuration that is known here, of that database."""
        self.newer: Callable[[int], None] = lambda _: None
        """Called when there is a configuration of a later generation."""
        self.poll: Poll = server.poll
        """By whichever way there is."""
        self._store: UUID | None = None
        self._again: list[str] = []
        """To be acknowledged once more: a control plane that went back hands them out until they are."""

    async def step(self) -> None:
        """Carry out what may be, then as :meth:`exchange`."""
        await self.carry_out()
        await self.exchange()

    async def exchange(self) -> None:
        """Acknowledge what is here, or fetch what there is. What somebody looks at begins meanwhile.

        Raises:
            CommandForged: If something came that is not the control plane's; the rest was kept.
            Unreachable, Busy, Refused: As of any call.
            DiskFull: If nothing more can be kept.
        """
        kept = [*self._again, *inbox.unconfirmed(self._outbox, MOST_AT_ONCE)][:MOST_AT_ONCE]
        if kept:
            inbox.confirm(self._outbox, kept, await self._server.accept(kept))
            self._again = []
            self.confirmed.set()
        else:
            await self._fetch()

    async def _fetch(self) -> None:
        wait_s = 0 if self.asked.is_set() else LONGEST_WAIT_S
        self.asked.clear()
        after = 0 if self._store is None else inbox.reached(self._outbox, self._store)
        known = 0 if self._store is None else self.reached(self._store)
        found = await self.poll(self._store, after, wait_s, known, self.tails.known)
        self._store, self.again_ms = found.store_id, found.again_ms
        if found.config > self.reached(found.store_id):
            self.newer(found.config)
        good, forged = [], await self._heed(found.tails)
        for order in found.orders:
            try:
                good.append(await self._checked(order))
            except CommandForged as error:
                forged = error
        self._again = inbox.keep(self._outbox, found.store_id, good)
        if forged is not None:
            raise forged

    async def _heed(self, asks: list[Ask]) -> CommandForged | None:
        """Show what is asked for, and nothing else; returns what was not the control plane's."""
        good: list[Tail] = []
        forged = None
        for ask in asks:
            try:
                await self._know(ask.key)
                good.append(orders.tail(self._tokens.identity, ask))
            except CommandForged as error:
                forged = error
        self.tails.heed(good, [ask.tail.tail for ask in asks], self._http.skew_s)
        return forged

    async def _checked(self, order: Order) -> Command:
        await self._know(order.key)
        return orders.checked(self._tokens.identity, order)

    async def _know(self, key: str) -> None:
        if key not in self._tokens.identity.lease_keys:
            await self._credentials.learn_keys()

    async def carry_out(self) -> None:
        """What is confirmed and may be done here, one after the other."""
        self.confirmed.clear()
        while command := inbox.interrupted(self._outbox):
            if command.kind in AGAIN:
                await self._do(command)
            else:
                line = "the agent was stopped while it did this; look at the session, and ask again if need be"
                await self._end(command, Outcome(state="failed", code="interrupted", line=line))
        while command := inbox.next_accepted(self._outbox):
            if (refused := self._refused(command)) is not None:
                await self._end(command, refused)
                continue
            inbox.begin(self._outbox, command, self._clock())
            self.said()
            await self._do(command)

    def _refused(self, command: Command) -> Outcome | None:
        if command.kind not in self.doers:
            return Outcome(state="failed", code="unknown-kind", line=f"this agent cannot {redact.line(command.kind)}")
        if command.kind not in self.allowed:
            line = f"this machine does not allow {command.kind}; its owner can, with the agent's setting commands"
            return Outcome(state="failed", code="not-allowed", line=line)
        if self._now() > datetime.fromisoformat(command.not_after):
            return Outcome(state="expired", code="too-late", line="it came too late to begin")
        return None

    async def _do(self, command: Command) -> None:
        logger.info("command.began: %s %s", command.kind, command.command)
        try:
            came = await self.doers[command.kind](command)
            outcome = Outcome(state="succeeded", line=str(came), bundle=came if isinstance(came, Bundle) else None)
        except Failed as failed:
            outcome = Outcome(state="failed", code=failed.code, line=redact.line(str(failed)))
        await self._end(command, outcome)

    async def _end(self, command: Command, outcome: Outcome) -> None:
        """On a full disk as soon as there is room: what was done is not forgotten."""
        while True:
            try:
                inbox.end(self._outbox, command, outcome, self._clock())
                break
            except DiskFull:
                await asyncio.sleep(FULL_DISK_S)
        logger.info("command.ended: %s %s %s", command.command, outcome.state, outcome.code)
        self.said()

    def _now(self) -> datetime:
        """By the server's clock, as far as it is known."""
        return self._clock() + timedelta(seconds=self._http.skew_s)
