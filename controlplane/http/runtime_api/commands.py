"""GET /v1/runtime/poll and POST /v1/runtime/commands/ack: what a runtime is asked to do, and that it has it."""

import time
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Struct
from msgspec.structs import replace

from controlplane.db.database import Database
from controlplane.domain import commands, logs
from controlplane.domain.configs import effective
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Runtime
from controlplane.domain.sync.pulses import Pulses, Seen
from controlplane.http.authorize import Surface, rule
from controlplane.http.runtime_api import standing
from controlplane.http.runtime_api.admission import POLL, at
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.wakeups import Wakeups
from runtime_agent.wire.commands import LONGEST_WAIT_S, Accepted, Confirmed, Order, Orders
from runtime_agent.wire.logs import NONE, Ask

After: TypeAlias = Annotated[int, QueryParameter(ge=0, le=2**53, description="The last number that the agent has.")]
Wait: TypeAlias = Annotated[
    int, QueryParameter(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait where there is nothing.")
]

NOT_ASKED: Final = 2**53

Generation: TypeAlias = Annotated[
    int, QueryParameter(ge=0, le=NOT_ASKED, description="Of the configuration that the agent knows of.")
]

Tails: TypeAlias = Annotated[
    str,
    QueryParameter(
        max_length=1_000,
        description="Tails of logs that the agent knows to be open, separated by commas; a minus for none.",
    ),
]


class Place(Struct, frozen=True, kw_only=True):
    """Where the agent stands, and how long it wants to wait."""

    store: UUID | None
    after: int
    wait_s: int
    config: int
    tails: frozenset[str] | None
    """Of logs, that the agent knows to be open; None: it knows nothing of tails."""


def provide_place(
    store: FromQuery[UUID | None] = None,
    after: After = 0,
    wait: Wait = 0,
    config: Generation = NOT_ASKED,
    tails: Tails = "",
) -> Place:
    known = frozenset(tails.split(",")) - {NONE} if tails else None
    return Place(store=store, after=after, wait_s=wait, config=config, tails=known)


class CommandsController(Controller):
    @get(
        "/poll",
        opt=rule(Surface.RUNTIME, "command:fetch"),
        before_request=at(POLL),
        summary="Wait for commands",
        dependencies={"place": Provide(provide_place, sync_to_thread=False)},
    )
    async def poll(
        self,
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        keyring: NamedDependency[Keyring],
        wakeups: NamedDependency[Wakeups],
        place: NamedDependency[Place],
    ) -> Orders:
        """Hand out what is not acknowledged, signed, as soon as there is something, or other tails of logs are open.

        What was acknowledged and is not finished comes again to an agent that names a lower number, or another store.
        A nudge that gets lost makes it as late as the wait is long: the next poll looks first.
        """
        until = time.monotonic() + place.wait_s
        streams = request.app.state.streams
        pulses: Pulses = request.app.state.pulses
        async with wakeups.listen(commands.topic(text_id("rt", runtime.id))) as listener:
            while True:
                seen = standing.may_call(await pulses.of(runtime.tenant_id, runtime.id), runtime)
                found = await there(db, keyring, runtime, seen, place)
                left = until - time.monotonic()
                if is_news(found, place) or left <= 0 or streams.ended or not await streams.nudged(listener, left):
                    again_ms = request.app.state.admission.window_ms if streams.ended else 0
                    return replace(found, again_ms=again_ms)

    @post(
        "/commands/ack",
        status_code=200,
        opt=rule(Surface.RUNTIME, "command:fetch"),
        summary="Acknowledge commands",
    )
    async def acknowledge(
        self, data: JSONBody[Accepted], runtime: NamedDependency[Runtime], db: NamedDependency[Database]
    ) -> Confirmed:
        """Say that commands are on the agent's disk, and hear which of them are not to be carried out after all."""
        ids = {command: parse_id("cmd", command) for command in data.commands}
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            wanted = await commands.accept(tx, runtime.id, [each for each in ids.values() if each is not None])
        return Confirmed(void=[command for command, each in ids.items() if each not in wanted])


def is_news(found: Orders, place: Place) -> bool:
    """Whether it is worth an answer before the time is up."""
    others = place.tails is not None and place.tails != {each.tail.tail for each in found.tails}
    return bool(found.orders or found.config or others)


async def there(db: Database, keyring: Keyring, runtime: Runtime, seen: Seen, place: Place) -> Orders:
    """What there is for it. A transaction begins only where what was *seen* says that there is something."""
    found: list[Order] = []
    tails: list[Ask] = []
    news, looked_at = seen.news, place.tails is not None and seen.looked_at
    if seen.unfinished or looked_at or news is None:
        known = place.after if place.store == seen.store_id else 0
        async with db.tenant(runtime.tenant_id) as tx:
            found = await commands.waiting(tx, keyring, runtime.id, known)
            tails = await logs.asked(tx, keyring, runtime.id) if looked_at else []
            news = news or await effective.news(tx, runtime.id)
    newer = news.generation if news.generation > place.config else 0
    return Orders(store_id=seen.store_id, orders=found, tails=tails, config=newer)
