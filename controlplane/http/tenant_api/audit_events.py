"""/v1/tenants/{tenant}/audit-events: who did what, for the tenant's own eyes."""

from typing import Any

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.kit.ids import text_id


class Reference(Struct, frozen=True, kw_only=True):
    kind: str
    id: str


class EventView(Struct, frozen=True, kw_only=True):
    id: str
    seq: int
    """Place in the tenant's chain; there are no gaps."""
    occurred_at: Moment
    action: str
    outcome: str
    actor: Reference
    target: Reference
    facts: dict[str, Any]
    request_id: str
    hash: str
    """Hexadecimal; covers the event, its place and the event before it."""


class AuditEventsController(Controller):
    path = "/audit-events"
    tags = ("audit-events",)
    opt = rule(Surface.TENANT, "audit:read")

    @get("/")
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[EventView]:
        """The tenant's audit log, newest first."""
        rows = await audit.listing(tx, before=paging.after_number, limit=paging.fetch)
        return paging.page(rows, lambda event: event.seq, _view)


def _view(event: audit.Event) -> EventView:
    return EventView(
        id=text_id("aud", event.id),
        seq=event.seq,
        occurred_at=moment(event.occurred_at),
        action=event.action,
        outcome=event.outcome,
        actor=Reference(kind=event.actor_kind, id=event.actor_id),
        target=Reference(kind=event.target_kind, id=event.target_id),
        facts=event.facts,
        request_id=event.request_id,
        hash=event.hash.hex(),
    )
