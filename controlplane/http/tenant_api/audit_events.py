"""/v1/tenants/{tenant}/audit-events: who did what, for the tenant's own eyes, and the proof that it is unaltered."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct
from msgspec.structs import asdict

from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor, Filters, Personal, checkpoints
from controlplane.domain.audit.standing import standing
from controlplane.domain.audit.verifying import Kind
from controlplane.domain.keys import Keyring
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.tenant_api.filters import SPAN, Span
from controlplane.http.words import word
from controlplane.kit.ids import text_id

Outcome: TypeAlias = Literal["success", "denied"]

By: TypeAlias = Annotated[str | None, QueryParameter(name="actor")]
"""Under its own name it would be the one who asks."""

JSON_LINES: Final = "application/jsonl"
LINES: Final = 5_000


class Reference(Struct, frozen=True, kw_only=True):
    kind: str
    id: str


class ActorView(Reference, frozen=True, kw_only=True):
    impersonator: str | None
    """Who really acted, `acc_…`, where an operator worked as whom `id` names."""


class PersonView(Struct, frozen=True, kw_only=True):
    """What is known of the person behind an event, the impersonator where there is one; empty where the request did not
    tell."""

    address: str
    client: str
    name: str
    email: str


class EventView(Struct, frozen=True, kw_only=True):
    id: str
    seq: int
    """Place in the tenant's chain; there are no gaps."""
    occurred_at: Moment
    action: str
    outcome: str
    actor: ActorView
    person: PersonView | None
    """Null where nobody is behind the event, and where it was erased."""
    erased: bool
    """What was known of the person was destroyed on purpose; the event itself is as it was."""
    target: Reference
    facts: dict[str, Any]
    request_id: str
    hash: str
    """Hexadecimal; covers the event, its place and the event before it."""


class CheckpointView(Struct, frozen=True, kw_only=True):
    """A statement, signed by this service, of what the log was: to be kept elsewhere."""

    size: int
    """Events it covers, from the first on."""
    made_at: Moment
    note: str
    """A C2SP signed note over the RFC 6962 root of the log."""
    public_keys: list[str]
    """Whose signature counts, newest first. Keep them too, and trust your own copy."""


class DamageView(Struct, frozen=True, kw_only=True):
    seq: int
    """The first event concerned."""
    kind: Kind
    detail: str


class VerificationView(Struct, frozen=True, kw_only=True):
    first_seq: int
    """The oldest event that was not deleted by retention."""
    last_seq: int
    signed_through: int
    signed_at: Moment | None
    verified_through: int
    verified_at: Moment | None
    whole_at: Moment | None
    """When all events were verified together for the last time."""
    damages: list[DamageView]
    """Empty: the log is what was written."""
    kept_days: int
    held: str | None
    """Why nothing is deleted, whatever its age."""


def provide_filters(
    span: NamedDependency[Span],
    action: FromQuery[str | None] = None,
    by: By = None,
    target: FromQuery[str | None] = None,
    outcome: FromQuery[Outcome | None] = None,
) -> Filters:
    """
    Raises:
        Invalid: If one of them is no :func:`controlplane.http.words.word`.
    """
    return Filters(
        action=word("action", action),
        actor=word("actor", by),
        target=word("target", target),
        outcome=outcome,
        since=span.since,
        until=span.until,
    )


FILTERS: Final = {**SPAN, "filters": Provide(provide_filters, sync_to_thread=False)}


class AuditEventsController(Controller):
    path = "/audit-events"
    tags = ("audit-events",)
    opt = rule(Surface.TENANT, "audit:read")

    @get("/", dependencies=FILTERS)
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        filters: NamedDependency[Filters],
        paging: NamedDependency[Paging],
    ) -> Page[EventView]:
        """The tenant's audit log, newest first. ``action`` is a whole action, or its beginning up to a point.

        That somebody reads it is an event itself, once an hour.
        """
        await audit.note_reader(tx, actor)
        rows = await audit.listing(tx, before=paging.after_number, limit=paging.fetch, filters=filters)
        people = await audit.people(tx, rows)
        return paging.page(rows, lambda event: event.seq, lambda event: _view(event, people))

    @get("/checkpoint")
    async def checkpoint(self, tx: NamedDependency[TenantTx], keyring: NamedDependency[Keyring]) -> CheckpointView:
        """A signed checkpoint of the log as it is now. Kept elsewhere, it makes every later change evident."""
        stored = await checkpoints.up_to_now(tx, keyring)
        return CheckpointView(
            size=stored.size,
            made_at=moment(stored.made_at),
            note=stored.note,
            public_keys=[str(key) for key in checkpoints.public_keys(keyring, tx.tenant_id)],
        )

    @get("/verification")
    async def verification(self, tx: NamedDependency[TenantTx]) -> VerificationView:
        """How far the log is verified and signed, and what was found. New events follow within five minutes."""
        found = await standing(tx)
        return VerificationView(
            first_seq=found.first_seq,
            last_seq=found.last_seq,
            signed_through=found.signed_through,
            signed_at=moment(found.signed_at),
            verified_through=found.verified_through,
            verified_at=moment(found.verified_at),
            whole_at=moment(found.whole_at),
            damages=[DamageView(seq=each.seq, kind=each.kind, detail=each.detail) for each in found.damages],
            kept_days=found.kept_days,
            held=found.held,
        )

    @get("/export", media_type=JSON_LINES)
    async def export(
        self,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        after: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
    ) -> bytes:
        """Up to 5,000 events behind number ``after``, oldest first, as lines that can be verified; empty at the end.

        That an export began is an event itself.
        """
        events = await audit.after(tx, after, LINES)
        if after == 0:
            audit.record(tx, actor, "audit.exported", ("tenant", text_id("ten", tx.tenant_id)))
        return b"".join(audit.line(tx.tenant_id, event) + b"\n" for event in events)

    @get("/{event:str}")
    async def show(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], event: FromPath[str]
    ) -> EventView:
        """One event."""
        found = await audit.get(tx, identity("aud", event))
        await audit.note_reader(tx, actor)
        return _view(found, await audit.people(tx, [found]))


def _view(event: audit.Event, people: Mapping[int, Personal | None]) -> EventView:
    person = people.get(event.seq)
    return EventView(
        id=text_id("aud", event.id),
        seq=event.seq,
        occurred_at=moment(event.occurred_at),
        action=event.action,
        outcome=event.outcome,
        actor=ActorView(kind=event.actor_kind, id=event.actor_id, impersonator=event.impersonator),
        person=PersonView(**asdict(person)) if person else None,
        erased=event.sealed is not None and person is None,
        target=Reference(kind=event.target_kind, id=event.target_id),
        facts=event.facts,
        request_id=event.request_id,
        hash=event.hash.hex(),
    )
