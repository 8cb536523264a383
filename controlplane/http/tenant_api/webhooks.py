"""/v1/tenants/{tenant}/webhooks: where a tenant's events are sent, and what became of each."""

from datetime import datetime, timedelta
from typing import Annotated, Any, TypeAlias

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from controlplane.db.database import Database, TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.webhooks import deliveries, endpoints, sending
from controlplane.domain.webhooks.endpoints import Changes, State
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.tenant_api.events import TypeNames
from controlplane.kit.guard import LONGEST_URL, Guard
from controlplane.kit.ids import text_id

Address: TypeAlias = Annotated[str, Meta(min_length=8, max_length=LONGEST_URL)]
Description: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"^[^\u0000]*$")]
Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]


class NewWebhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Address
    """https, on the public internet."""
    description: Description = ""
    types: TypeNames = []
    """Which events are sent; empty: all."""


class WebhookChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    url: Address | None = None
    description: Description | None = None
    types: TypeNames | None = None
    state: State | None = None
    """``disabled``: nothing is sent any more, and what waits is dropped."""


class SecretRotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overlap_s: Annotated[int, Meta(ge=0, le=int(endpoints.LONGEST_OVERLAP.total_seconds()))] = int(
        endpoints.OVERLAP.total_seconds()
    )
    """How long the secret before signs as well, in seconds."""


class ReplayOfATime(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Instant
    until: Instant | None = None
    """Null: now."""


class WebhookView(Struct, frozen=True, kw_only=True):
    id: str
    url: str
    description: str
    types: list[str]
    state: State
    state_reason: str
    failing_since: Moment | None
    """Since when nothing got there; null: the last thing did. After five days the webhook is disabled."""
    old_secret_until: Moment | None
    """Until when the secret before the last rotation signs as well."""
    created_by: str
    created_at: Moment


class CreatedWebhook(WebhookView, frozen=True, kw_only=True):
    secret: str
    """Shown this once."""


class TryView(Struct, frozen=True, kw_only=True):
    at: Moment
    took_ms: int
    status: int | None
    trouble: str
    response: str
    """How the answer's body begins."""


class DeliveryView(Struct, frozen=True, kw_only=True):
    id: str
    event: str
    """What the receiver sees as ``webhook-id``: the same whenever the event is sent."""
    type: str
    reason: deliveries.Reason
    state: deliveries.State
    attempts: int
    next_at: Moment | None
    tries: list[TryView]
    created_at: Moment
    ended_at: Moment | None


class ReplayView(Struct, frozen=True, kw_only=True):
    deliveries: int
    rest_from: Moment | None
    """Go on from here: there were more than are replayed at once. Null: that was all."""


class WebhooksController(Controller):
    path = "/webhooks"
    tags = ("webhooks",)
    opt = rule(Surface.TENANT, "webhook:read")

    @get("/")
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[WebhookView]:
        """Webhooks, newest first."""
        rows = await endpoints.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda webhook: webhook.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "webhook:write", fresh=True))
    async def create(
        self,
        data: JSONBody[NewWebhook],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        guard: NamedDependency[Guard],
    ) -> CreatedWebhook:
        """Have events sent to an address. The secret that signs them is in the answer and nowhere else, ever."""
        guard.check(data.url)
        webhook, secret = await endpoints.create(tx, actor, data.url, description=data.description, types=data.types)
        return CreatedWebhook(secret=secret, **_facts(webhook))

    @get("/{webhook:str}")
    async def show(self, tx: NamedDependency[TenantTx], webhook: FromPath[str]) -> WebhookView:
        """One webhook, without its secret."""
        return _view(await endpoints.get(tx, identity("whk", webhook)))

    @patch("/{webhook:str}", opt=rule(Surface.TENANT, "webhook:write", fresh=True))
    async def change(
        self,
        data: JSONBody[WebhookChanges],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        guard: NamedDependency[Guard],
        webhook: FromPath[str],
    ) -> WebhookView:
        """Change what is sent where, or whether."""
        if data.url is not None:
            guard.check(data.url)
        changes = Changes(url=data.url, description=data.description, types=data.types, state=data.state)
        return _view(await endpoints.change(tx, actor, identity("whk", webhook), changes))

    @delete("/{webhook:str}", opt=rule(Surface.TENANT, "webhook:write", fresh=True))
    async def delete(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], webhook: FromPath[str]
    ) -> None:
        """Delete a webhook, and what is known of its deliveries."""
        await endpoints.delete(tx, actor, identity("whk", webhook))

    @post("/{webhook:str}/rotate", status_code=200, opt=rule(Surface.TENANT, "webhook:write", fresh=True))
    async def rotate(
        self,
        data: JSONBody[SecretRotation],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        webhook: FromPath[str],
    ) -> CreatedWebhook:
        """Make a new secret. For a while the one before signs as well, so that receivers can change over."""
        overlap = timedelta(seconds=data.overlap_s)
        changed, secret = await endpoints.rotate(tx, actor, identity("whk", webhook), overlap)
        return CreatedWebhook(secret=secret, **_facts(changed))

    @post("/{webhook:str}/test", status_code=200, opt=rule(Surface.TENANT, "webhook:write"))
    async def test(
        self,
        request: AnyRequest,
        db: NamedDependency[Database],
        guard: NamedDependency[Guard],
        actor: NamedDependency[Actor],
        webhook: FromPath[str],
    ) -> DeliveryView:
        """Send a test, now, and say what came of it. The answer comes when the receiver has answered."""
        tenant_id = request.state.tenant_id
        async with db.tenant(tenant_id) as tx:
            delivery = await deliveries.test(tx, actor, identity("whk", webhook))
        async with db.tenant(tenant_id) as tx:
            parcels = await sending.claim(tx, 1, only=delivery.id)
        for parcel in parcels:  # none, if a chore was quicker
            await sending.deliver(db, guard, tenant_id, parcel)
        async with db.tenant(tenant_id) as tx:
            return _delivery(await deliveries.get(tx, delivery.webhook_id, delivery.id))

    @post("/{webhook:str}/replay", status_code=202, opt=rule(Surface.TENANT, "webhook:write"))
    async def replay_since(
        self,
        data: JSONBody[ReplayOfATime],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        webhook: FromPath[str],
    ) -> ReplayView:
        """Deliver the events of a time once more, those that were never sent there included."""
        until = data.until or tx.now + timedelta(milliseconds=1)
        done = await deliveries.replay_since(tx, actor, identity("whk", webhook), data.since, until)
        return ReplayView(deliveries=done.deliveries, rest_from=moment(done.rest_from))

    @get("/{webhook:str}/deliveries")
    async def deliveries(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        webhook: FromPath[str],
        only: Annotated[deliveries.State | None, QueryParameter(name="state")] = None,
    ) -> Page[DeliveryView]:
        """What was sent there, newest first, and what was answered. Kept for thirty days."""
        rows = await deliveries.listing(
            tx, identity("whk", webhook), state=only, after=paging.after_id, limit=paging.fetch
        )
        return paging.page(rows, lambda delivery: delivery.id, _delivery)

    @get("/{webhook:str}/deliveries/{delivery:str}")
    async def show_delivery(
        self, tx: NamedDependency[TenantTx], webhook: FromPath[str], delivery: FromPath[str]
    ) -> DeliveryView:
        """One delivery with each of its tries."""
        return _delivery(await deliveries.get(tx, identity("whk", webhook), identity("dlv", delivery)))

    @post("/{webhook:str}/deliveries/{delivery:str}/replay", status_code=202, opt=rule(Surface.TENANT, "webhook:write"))
    async def replay(
        self,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        webhook: FromPath[str],
        delivery: FromPath[str],
    ) -> DeliveryView:
        """Deliver the same event once more, under the same ``webhook-id``."""
        return _delivery(await deliveries.replay(tx, actor, identity("whk", webhook), identity("dlv", delivery)))


def _view(webhook: endpoints.Webhook) -> WebhookView:
    return WebhookView(**_facts(webhook))


def _facts(webhook: endpoints.Webhook) -> dict[str, Any]:
    return {
        "id": text_id("whk", webhook.id),
        "url": webhook.url,
        "description": webhook.description,
        "types": webhook.types,
        "state": webhook.state,
        "state_reason": webhook.state_reason,
        "failing_since": moment(webhook.failing_since),
        "old_secret_until": moment(webhook.old_secret_until),
        "created_by": webhook.created_by,
        "created_at": moment(webhook.created_at),
    }


def _delivery(delivery: deliveries.Delivery) -> DeliveryView:
    return DeliveryView(
        id=text_id("dlv", delivery.id),
        event=text_id("evt", delivery.event_id),
        type=delivery.type,
        reason=delivery.reason,
        state=delivery.state,
        attempts=delivery.attempts,
        next_at=moment(delivery.next_at),
        tries=[
            TryView(
                at=moment(each.at),
                took_ms=each.took_ms,
                status=each.status,
                trouble=each.trouble,
                response=each.response,
            )
            for each in delivery.told()
        ],
        created_at=moment(delivery.created_at),
        ended_at=moment(delivery.ended_at),
    )
