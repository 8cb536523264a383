"""Which calls of runtimes this replica lets in just now: so many of each kind, so many of one tenant, fewer in need.

Counted in the process, because it is the process that is spared: a question to Redis would cost as much as the call.
Nobody who is turned away is unwell for that; Retry-After says when to come again, and tells each another time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

from litestar import Request
from msgspec import Struct

from controlplane.domain.permissions import Runtime
from controlplane.http.limits import RateLimited
from controlplane.kit.admission import TooManyWait, Turns, Turnstile
from controlplane.kit.ids import TenantId

Hook: TypeAlias = Callable[[Request[Any, Any, Any]], Awaitable[None]]

OF_ONE_TENANT: Final = 0.5
"""What one tenant may have of what there is, so that there is always something for the others."""

MOST_TENANTS: Final = 10_000
"""Whose turnstiles are remembered at once."""

LOOK_S: Final = 0.1
"""How often the process looks how late it is."""

RECOVERS: Final = 0.9
"""What is left of a delay after each look."""

IN_NEED_S: Final = 5.0
"""How long who is turned away for want of time shall stay away at the least."""

AT_ONCE: Final = 2
"""Large batches that are taken in at the same time: while one is being written the next is being read, and what is
small goes in between."""

COMING_AT_ONCE: Final = 6
"""Tokens and hellos that are answered at the same time: fewer than there are connections to the database, so that a
herd of them leaves some to those who have come in."""

MOST_COMING: Final = 300
"""That wait for it; a second or two of them."""

COMING_LONGEST_S: Final = 35.0
"""That one of those is told to stay away: if ten thousand knocked more often, refusing them would take the time that
letting them in does. Twice as long after its last heartbeat it is not missed yet."""

MOST_WAITING: Final = 64
"""Large batches in memory that wait for their turn, a MiB each at the most."""

LARGE: Final = 50
"""Records in a batch beyond which it is of somebody who catches up."""

WINDOW_MS: Final = 5_000
"""The least in which those who lost their connection come back."""

BACK_PER_S: Final = 200
"""Of those, so many a second."""


class Gate(Struct, frozen=True):
    """One kind of call."""

    name: str
    per_s: float
    late_s: float
    """If the process is that late with its work, nobody comes in: joining waits first, a heartbeat last."""


ENROLL: Final = Gate("enroll", 100, 2.0)
HELLO: Final = Gate("hello", 150, 3.0)
LOG: Final = Gate("log", 500, 4.0)
TOKEN: Final = Gate("token", 200, 5.0)
POLL: Final = Gate("poll", 1_000, 6.0)
HEARTBEAT: Final = Gate("heartbeat", 2_000, 10.0)


class Crowded(RateLimited):
    title = "More runtimes call than are let in at once"
    hint = "The agent waits as long as Retry-After says, up to twice that, and tries again by itself. Nothing is lost."


class Admission:
    """Of one process."""

    def __init__(self) -> None:
        self.late_s = 0.0
        """How late the process is with its work, lately."""
        self.talking = 0
        """Runtimes that are there, as far as is known."""
        self.large = Turns(AT_ONCE, MOST_WAITING)
        self.coming = Turns(COMING_AT_ONCE, MOST_COMING, first_guess_s=0.02, longest_s=COMING_LONGEST_S)
        self._turnstiles: dict[tuple[str, TenantId | None], Turnstile] = {}

    @property
    def window_ms(self) -> int:
        """In which those who lose their connection now are to come back, each at a random moment."""
        return max(WINDOW_MS, 1000 * self.talking // BACK_PER_S)

    def admit(self, gate: Gate, tenant_id: TenantId | None) -> None:
        """
        Args:
            tenant_id: None: it is not known yet who calls.

        Raises:
            Crowded: If this call is one too many, for the tenant or altogether.
        """
        if self.late_s > gate.late_s:
            raise Crowded(IN_NEED_S + self.late_s)
        wait_s = self._turnstile(gate, tenant_id).enter() if tenant_id is not None else 0.0
        wait_s = wait_s or self._turnstile(gate, None).enter()
        if wait_s:
            raise Crowded(wait_s)

    @asynccontextmanager
    async def one_of(self, records: int, tenant_id: TenantId) -> AsyncIterator[None]:
        """The turn of a batch of so many: a small one never waits.

        Raises:
            Crowded: If too many wait already.
        """
        if records <= LARGE:
            yield
            return
        async with _turn(self.large, str(tenant_id)):
            yield

    def one_who_comes(self, whose: str) -> AbstractAsyncContextManager[None]:
        """The turn of a call for a token, or of a hello: before the database is asked anything at all.

        Args:
            whose: Those of one name come one after the other: a tenant, or a place.

        Raises:
            Crowded: If too many wait already.
        """
        return _turn(self.coming, whose)

    async def watch(self) -> None:
        """Look how late the process is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            wanted = loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self.late_s = max(loop.time() - wanted, self.late_s * RECOVERS)

    def _turnstile(self, gate: Gate, tenant_id: TenantId | None) -> Turnstile:
        key = (gate.name, tenant_id)
        found = self._turnstiles.get(key)
        if found is None:
            if len(self._turnstiles) >= MOST_TENANTS:
                self._turnstiles = {name: each for name, each in self._turnstiles.items() if not each.idle}
            per_s = gate.per_s if tenant_id is None else gate.per_s * OF_ONE_TENANT
            found = self._turnstiles[key] = Turnstile(per_s)
        return found


@asynccontextmanager
async def _turn(turns: Turns, whose: str) -> AsyncIterator[None]:
    try:
        async with turns.turn(whose):
            yield
    except TooManyWait as many:
        raise Crowded(many.wait_s) from None


def at(gate: Gate, then: Hook | None = None) -> Hook:
    """A ``before_request`` hook: through *gate*, and *then* through whatever else there is."""

    async def pass_through(request: Request[Any, Any, Any]) -> None:
        caller = request.scope.get("user")
        tenant_id = caller.tenant_id if isinstance(caller, Runtime) else None
        Admission.admit(request.app.state.admission, gate, tenant_id)  # by its class, so that the document names it
        if then is not None:
            await then(request)

    return pass_through
