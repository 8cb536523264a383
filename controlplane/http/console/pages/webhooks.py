"""Webhooks: where a tenant's events are sent, whether they arrive, and what was answered."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import events
from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.webhooks import deliveries, endpoints, sending
from controlplane.domain.webhooks.deliveries import Delivery
from controlplane.domain.webhooks.endpoints import Changes, State, Webhook
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.guard import LONGEST_URL, Guard
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

ROWS: Final = 50


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a webhook."""

    url: Annotated[str, Meta(max_length=LONGEST_URL)] = ""
    description: Annotated[str, Meta(max_length=200)] = ""
    type: list[str] = []


class Turn(Struct, frozen=True, kw_only=True):
    state: State


EMPTY: Final = Filled()


class WebhooksPage(Struct, frozen=True, kw_only=True):
    now: datetime
    webhooks: list[Webhook]
    types: list[events.EventType]
    made: Webhook | None
    secret: str | None
    """Of *made*; shown this once."""


class WebhookPage(Struct, frozen=True, kw_only=True):
    now: datetime
    webhook: Webhook
    deliveries: list[Delivery]
    older: str | None
    secret: str | None
    """A new one; shown this once."""


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_all())


async def make(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    guard: NamedDependency[Guard],
) -> Response[Any]:
    """Have events sent to an address, and show the secret that signs them."""
    filled = await forms.read(request, Filled)
    try:
        guard.check(filled.url)
        async with screen.inside() as tx:
            made = await endpoints.create(
                tx, actor, filled.url, description=filled.description.strip(), types=filled.type
            )
    except Refusal as problem:
        return await screen.show(_all(filled), problem)
    return await screen.show(_all(made=made))


async def one(
    screen: NamedDependency[Screen], webhook: FromPath[str], before: FromQuery[str | None] = None
) -> Response[str]:
    return await screen.show(_one(webhook, before))


async def test(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    guard: NamedDependency[Guard],
    webhook: FromPath[str],
) -> Response[Any]:
    """Send a test, and come back when the receiver has answered."""
    try:
        async with screen.inside() as tx:
            delivery = await deliveries.test(tx, actor, identity("whk", webhook))
            tenant_id = tx.tenant_id
    except endpoints.WebhookDisabled as problem:
        return await screen.show(_one(webhook), problem)
    async with screen.inside() as tx:
        parcels = await sending.claim(tx, 1, only=delivery.id)
    for parcel in parcels:
        await sending.deliver(screen.db, guard, tenant_id, parcel)
    return await screen.show(_one(webhook))


async def rotate(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], webhook: FromPath[str]
) -> Response[Any]:
    """Make a new secret and show it; the one before signs as well for a day."""
    async with screen.inside() as tx:
        _, secret = await endpoints.rotate(tx, actor, identity("whk", webhook))
    return await screen.show(_one(webhook, secret=secret))


async def turn(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    webhook: FromPath[str],
) -> Response[Any]:
    """Enable or disable it."""
    wanted = await forms.read(request, Turn)

    async def work(tx: TenantTx) -> None:
        await endpoints.change(tx, actor, identity("whk", webhook), Changes(state=wanted.state))

    return await screen.act(work, f"/webhooks/{webhook}")


async def delete(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], webhook: FromPath[str]
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await endpoints.delete(tx, actor, identity("whk", webhook))

    return await screen.act(work, "/webhooks")


async def replay(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], webhook: FromPath[str], delivery: FromPath[str]
) -> Response[Any]:
    """Deliver the same event once more."""

    async def work(tx: TenantTx) -> None:
        await deliveries.replay(tx, actor, identity("whk", webhook), identity("dlv", delivery))

    return await screen.act(work, f"/webhooks/{webhook}", _one(webhook))


async def _gather_all(tx: Reading, made: tuple[Webhook, str] | None) -> WebhooksPage:
    return WebhooksPage(
        now=tx.now,
        webhooks=await endpoints.listing(within(tx)),
        types=list(events.catalogue().values()),
        made=made[0] if made else None,
        secret=made[1] if made else None,
    )


async def _gather_one(tx: Reading, webhook: str, before: str | None, secret: str | None) -> WebhookPage:
    own, webhook_id = within(tx), identity("whk", webhook)
    after = parse_id("dlv", before) if before else None
    if before and after is None:
        raise NotFound
    rows = await deliveries.listing(own, webhook_id, after=after, limit=ROWS + 1)
    return WebhookPage(
        now=tx.now,
        webhook=await endpoints.get(own, webhook_id),
        deliveries=rows[:ROWS],
        older=text_id("dlv", rows[ROWS - 1].id) if len(rows) > ROWS else None,
        secret=secret,
    )


def _all(filled: Filled = EMPTY, made: tuple[Webhook, str] | None = None) -> Page:
    gather = partial(_gather_all, made=made)
    return Page(template="webhooks/page.html", parts=(), gather=gather, context={"filled": filled})


def _one(webhook: str, before: str | None = None, secret: str | None = None) -> Page:
    gather = partial(_gather_one, webhook=webhook, before=before, secret=secret)
    return Page(template="webhooks/one.html", parts=(), gather=gather, context={"before": before})


def _hung(address: str, act: Any, *, fresh: bool = False) -> HTTPRouteHandler:
    takes = rule(Surface.CONSOLE, "webhook:write", frozenset({"webhook:read"}), fresh=fresh)
    return post(address, status_code=200, opt=takes)(act)


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/webhooks", opt=rule(Surface.CONSOLE, "webhook:read"))(page),
    get("/webhooks/{webhook:str}", opt=rule(Surface.CONSOLE, "webhook:read"))(one),
    _hung("/webhooks", make, fresh=True),
    _hung("/webhooks/{webhook:str}/test", test),
    _hung("/webhooks/{webhook:str}/rotate", rotate, fresh=True),
    _hung("/webhooks/{webhook:str}/turn", turn, fresh=True),
    _hung("/webhooks/{webhook:str}/delete", delete, fresh=True),
    _hung("/webhooks/{webhook:str}/deliveries/{delivery:str}/replay", replay),
)
"""Where these pages hang, below a tenant."""
