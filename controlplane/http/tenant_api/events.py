"""/v1/tenants/{tenant}/events: what happened, in order, to be read on from anywhere; and consumers that remember."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from controlplane.db.database import Database, TenantTx
from controlplane.domain import consumers, events
from controlplane.domain.audit import Actor
from controlplane.domain.events import Event, Payload
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.kit.ids import TenantId
from controlplane.kit.wakeups import Wakeups

AnyRequest: TypeAlias = Request[Any, Any, Any]

LOOK_AGAIN_S: Final = 2.0
"""Nudges may get lost."""

MOST_TYPES: Final = 100

LONGEST_LIST: Final = 4_000
"""Characters of their names in an address: of all that there are, and some more."""

Sequence64: TypeAlias = Annotated[int, Meta(ge=0, le=2**62)]
TypeNames: TypeAlias = Annotated[list[Annotated[str, Meta(max_length=60)]], Meta(max_length=MOST_TYPES)]
Wait: TypeAlias = Annotated[int, QueryParameter(ge=0, le=30, description="Seconds to wait where there is nothing yet.")]
Listed: TypeAlias = Annotated[str, QueryParameter(max_length=LONGEST_LIST, description="Names, separated by commas.")]
After: TypeAlias = Annotated[int, QueryParameter(ge=0, le=2**62, description="Only events behind this sequence.")]


class NewConsumer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=consumers.NAME)]
    types: TypeNames = []
    """Empty: all."""
    after: Sequence64 | None = None
    """Begin behind this sequence; null: with what happens from now on."""


class Acknowledgement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    through: Sequence64
    """The consumer has every event up to this sequence."""


class Rewind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    after: Sequence64
    """The consumer gets the events behind this sequence again."""


class ConsumerView(Struct, frozen=True, kw_only=True):
    name: str
    types: list[str]
    acknowledged: int
    acknowledged_at: Moment | None
    created_by: str
    created_at: Moment


class TypeView(Struct, frozen=True, kw_only=True):
    name: str
    says: str
    data: dict[str, Any]
    """JSON Schema of the event's ``data``."""


class Types(Struct, frozen=True, kw_only=True):
    data: list[TypeView]


class Waiting(Struct, frozen=True, kw_only=True):
    """What a consumer has not acknowledged."""

    data: list[Payload]
    has_more: bool


Read: TypeAlias = Callable[[TenantTx], Awaitable[tuple[Sequence[Event], int]]]


class Patience:
    """How long somebody waits for events of a tenant, who wakes them, and when nobody should wait any more."""

    def __init__(self, request: AnyRequest, db: Database, wakeups: Wakeups, wait_s: int) -> None:
        self._tenant_id: TenantId = request.state.tenant_id
        self._streams = request.app.state.streams
        self._db, self._wakeups, self._wait_s = db, wakeups, wait_s

    async def until_found(self, read: Read) -> tuple[Sequence[Event], int]:
        """What *read* finds, as soon as it finds something; in the end whatever there is. No transaction waits."""
        until = time.monotonic() + self._wait_s
        async with self._wakeups.listen(topic(self._tenant_id)) as listener:
            while True:
                async with self._db.tenant(self._tenant_id) as tx:
                    found = await read(tx)
                left = until - time.monotonic()
                if found[0] or left <= 0 or self._streams.ended:
                    return found
                await listener.wait(min(left, LOOK_AGAIN_S))

    def payload(self, event: Event) -> Payload:
        return events.payload(self._tenant_id, event)


def provide_patience(
    request: AnyRequest, db: NamedDependency[Database], wakeups: NamedDependency[Wakeups], wait: Wait = 0
) -> Patience:
    return Patience(request, db, wakeups, wait)


PATIENCE: Final = {"patience": Provide(provide_patience, sync_to_thread=False)}


class EventsController(Controller):
    path = "/events"
    tags = ("events",)
    opt = rule(Surface.TENANT, "event:read")

    @get("/", dependencies=PATIENCE)
    async def listing(
        self,
        patience: NamedDependency[Patience],
        paging: NamedDependency[Paging],
        types: Listed = "",
        after: After = 0,
    ) -> Page[Payload]:
        """Events, oldest first. There is always a next cursor: it goes on behind what was read, now or later."""
        names = events.check_types(types.split(",") if types else [])
        start = max(paging.after_number or 0, after)

        async def read(tx: TenantTx) -> tuple[list[Event], int]:
            head = (await events.span(tx)).seq
            return await events.after(tx, start, paging.fetch, names), head

        rows, head = await patience.until_found(read)
        return paging.onward(rows, max(head, start), lambda each: each.seq, patience.payload)

    @get("/types")
    async def types(self) -> Types:
        """Every type of event, and what its data holds."""
        return Types(
            data=[
                TypeView(name=each.name, says=each.says, data=msgspec.json.schema(each.data))
                for each in events.catalogue().values()
            ]
        )

    @get("/consumers")
    async def consumers(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ConsumerView]:
        """Consumers by name, and how far each has got."""
        rows = await consumers.listing(tx, after=paging.after, limit=paging.fetch)
        return paging.page(rows, lambda each: each.name, _view)

    @post("/consumers", status_code=201, opt=rule(Surface.TENANT, "event:consume"))
    async def create_consumer(
        self, data: JSONBody[NewConsumer], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> ConsumerView:
        """Make a consumer: a name under which it is remembered how far somebody has got."""
        return _view(await consumers.create(tx, actor, data.name, data.types, after=data.after))

    @get("/consumers/{consumer:str}")
    async def show_consumer(self, tx: NamedDependency[TenantTx], consumer: FromPath[str]) -> ConsumerView:
        """One consumer."""
        return _view(await consumers.get(tx, consumer))

    @delete("/consumers/{consumer:str}", opt=rule(Surface.TENANT, "event:consume"))
    async def delete_consumer(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], consumer: FromPath[str]
    ) -> None:
        """Delete a consumer. The events stay."""
        await consumers.delete(tx, actor, consumer)

    @get("/consumers/{consumer:str}/events", dependencies=PATIENCE)
    async def waiting(
        self, patience: NamedDependency[Patience], paging: NamedDependency[Paging], consumer: FromPath[str]
    ) -> Waiting:
        """What the consumer has not acknowledged, oldest first: the same again until it does."""

        async def read(tx: TenantTx) -> tuple[list[Event], int]:
            return await consumers.waiting(tx, consumer, paging.fetch), 0

        rows, _ = await patience.until_found(read)
        shown = [patience.payload(each) for each in rows[: paging.limit]]
        return Waiting(data=shown, has_more=len(rows) > paging.limit)

    @post("/consumers/{consumer:str}/acknowledge", status_code=200, opt=rule(Surface.TENANT, "event:consume"))
    async def acknowledge(
        self, data: JSONBody[Acknowledgement], tx: NamedDependency[TenantTx], consumer: FromPath[str]
    ) -> ConsumerView:
        """Say that every event up to a sequence was processed. Saying less than before changes nothing."""
        return _view(await consumers.acknowledge(tx, consumer, data.through))

    @post("/consumers/{consumer:str}/rewind", status_code=200, opt=rule(Surface.TENANT, "event:consume"))
    async def rewind(
        self,
        data: JSONBody[Rewind],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        consumer: FromPath[str],
    ) -> ConsumerView:
        """Have events delivered to the consumer again."""
        return _view(await consumers.rewind(tx, actor, consumer, data.after))

    @get("/{message:str}")
    async def show(self, tx: NamedDependency[TenantTx], message: FromPath[str]) -> Payload:
        """One event."""
        return events.payload(tx.tenant_id, await events.get(tx, identity("evt", message)))


def topic(tenant_id: TenantId) -> str:
    """What is nudged when a tenant has new events."""
    return f"events:{tenant_id}"


def _view(consumer: consumers.Consumer) -> ConsumerView:
    return ConsumerView(
        name=consumer.name,
        types=consumer.types,
        acknowledged=consumer.acknowledged,
        acknowledged_at=moment(consumer.acknowledged_at),
        created_by=consumer.created_by,
        created_at=moment(consumer.created_at),
    )
