"""A tenant's audit log: whether it is what was written, and who did what, narrowed by whom, what, whom and when."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Redirect
from msgspec import Meta, Struct

from controlplane.db.database import Database, TenantTx
from controlplane.domain import audit, users
from controlplane.domain.audit import Actor, Event, Filters, Personal, stored
from controlplane.domain.audit.standing import Standing, standing
from controlplane.domain.keys import Keyring
from controlplane.domain.newest import Reading
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen
from controlplane.http.console.words import with_query
from controlplane.kit.ids import parse_id, text_id

ROWS: Final = 50

AT_ONCE: Final = 100_000
"""Events that are verified while somebody waits, a few seconds; longer logs are left to the chore and to the shell."""

PERIODS: Final = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}

Text: TypeAlias = Annotated[str, Meta(max_length=300)]
Period: TypeAlias = Literal["24h", "7d", "30d", "all"]
Outcome: TypeAlias = Literal["success", "denied"]
By: TypeAlias = Annotated[Text | None, QueryParameter(name="actor")]
"""Under its own name it would be the one who looks."""


class Asked(Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    action: Text | None = None
    actor: Text | None = None
    target: Text | None = None
    outcome: Outcome | None = None
    period: Period = "all"
    before: int | None = None

    @property
    def narrowed(self) -> bool:
        return any((self.action, self.actor, self.target, self.outcome)) or self.period != "all"

    def address(self, base: str, **changed: object) -> str:
        """The same page with something changed; from the newest event on unless that is said too."""
        held: dict[str, object] = {**msgspec.structs.asdict(self), "before": None, **changed}
        return base + with_query(**{**held, "period": held["period"] if held["period"] != "all" else None})

    def filters(self, now: datetime) -> Filters:
        return Filters(
            action=_said(self.action),
            actor=_said(self.actor),
            target=_said(self.target),
            outcome=self.outcome,
            since=now - PERIODS[self.period] if self.period in PERIODS else None,
        )


class Row(Struct, frozen=True, kw_only=True):
    event: Event
    person: Personal | None
    worked_as: str
    """The name of whom the actor was somebody else as; empty where nobody was, or they have gone."""
    facts: str
    """As JSON, for people."""

    @property
    def erased(self) -> bool:
        return self.event.sealed is not None and self.person is None


class AuditPage(Struct, frozen=True, kw_only=True):
    now: datetime
    standing: Standing
    rows: list[Row]
    older: int | None


def provide_asked_of_audit(
    action: FromQuery[Text | None] = None,
    by: By = None,
    target: FromQuery[Text | None] = None,
    outcome: FromQuery[Outcome | None] = None,
    period: FromQuery[Period] = "all",
    before: FromQuery[int | None] = None,
) -> Asked:
    return Asked(action=action, actor=by, target=target, outcome=outcome, period=period, before=before)


async def page(
    screen: NamedDependency[Screen], asked_of_audit: NamedDependency[Asked], actor: NamedDependency[Actor]
) -> Response[str]:
    shown = await screen.show(
        Page(
            template="audit/page.html",
            parts=("audit/verdict", "audit/list"),
            gather=partial(_gather, asked=asked_of_audit),
            context={"asked": asked_of_audit, "at_once": AT_ONCE},
        )
    )
    async with screen.inside() as tx:
        await audit.note_reader(tx, actor)
    return shown


async def verify(
    request: Request[Any, Any, Any],
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    screen: NamedDependency[Screen],
) -> Redirect:
    """Verify the whole log now, if it is not too long to wait for."""
    tenant_id = request.state.tenant_id
    async with db.tenant(tenant_id) as tx:
        now = await standing(tx)
    if now.events <= AT_ONCE:
        await stored.verify(db, keyring, tenant_id)
    return Redirect(f"{screen.view.base}/audit", status_code=303)


async def _gather(tx: Reading, asked: Asked) -> AuditPage:
    assert isinstance(tx, TenantTx), "the page is a tenant's"
    filters = asked.filters(tx.now)
    events = await audit.listing(tx, before=asked.before, limit=ROWS + 1, filters=filters)
    people = await audit.people(tx, events[:ROWS])
    masks = await _masks(tx, events[:ROWS])
    return AuditPage(
        now=tx.now,
        standing=await standing(tx),
        rows=[_row(event, people, masks) for event in events[:ROWS]],
        older=events[ROWS - 1].seq if len(events) > ROWS else None,
    )


async def _masks(tx: TenantTx, events: Sequence[Event]) -> dict[str, str]:
    """The names of those as whom somebody else has acted, by their account."""
    ids = {parse_id("acc", event.actor_id) for event in events if event.impersonator is not None}
    found = await users.by_account(tx, [each for each in ids if each is not None]) if ids else {}
    return {text_id("acc", account_id): user.name or user.email_norm for account_id, user in found.items()}


def _row(event: Event, people: Mapping[int, Personal | None], masks: Mapping[str, str]) -> Row:
    facts = msgspec.json.format(msgspec.json.encode(event.facts, order="sorted"), indent=2).decode()
    worked_as = masks.get(event.actor_id, "") if event.impersonator is not None else ""
    return Row(event=event, person=people.get(event.seq), worked_as=worked_as, facts=facts if event.facts else "")


def _said(given: str | None) -> str | None:
    return (given or "").strip().replace("\0", "") or None
