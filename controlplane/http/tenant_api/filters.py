"""What a list of reported things can be narrowed by, from the query to the rooms' filters."""

from datetime import UTC, datetime
from typing import Final, cast, get_args
from uuid import UUID

from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery
from msgspec import Struct

from controlplane.domain.checkpoints import Filters as CheckpointFilters
from controlplane.domain.outcomes import Filters, Status
from controlplane.domain.runtimes import State
from controlplane.http.problems import Invalid
from controlplane.http.words import word
from controlplane.kit.ids import parse_id

FROM, TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Instants that can be asked about."""


class Span(Struct, frozen=True, kw_only=True):
    since: datetime | None
    until: datetime | None


def provide_span(since: FromQuery[datetime | None] = None, until: FromQuery[datetime | None] = None) -> Span:
    """From *since* on, and before *until*.

    Raises:
        Invalid: If one has no zone, or is outside :data:`FROM` and :data:`TO`.
    """
    return Span(since=_aware("since", since), until=_aware("until", until))


def provide_filters(
    span: NamedDependency[Span],
    status: FromQuery[Status | None] = None,
    agent: FromQuery[str | None] = None,
    runtime: FromQuery[str | None] = None,
    project: FromQuery[str | None] = None,
    q: FromQuery[str | None] = None,
) -> Filters:
    """Of sessions and runs.

    Raises:
        Invalid: If *runtime* is not the id of one, or another is no :func:`word`.
    """
    return Filters(
        status=status,
        agent=word("agent", agent),
        runtime_id=identity("rt", "runtime", runtime),
        project=word("project", project),
        since=span.since,
        until=span.until,
        q=word("q", q),
    )


def provide_checkpoint_filters(
    span: NamedDependency[Span],
    session: FromQuery[str | None] = None,
    run: FromQuery[str | None] = None,
    node: FromQuery[str | None] = None,
    kind: FromQuery[str | None] = None,
) -> CheckpointFilters:
    """
    Raises:
        Invalid: If *session* or *run* is not the id of one, or another is no :func:`word`.
    """
    return CheckpointFilters(
        session_id=identity("ses", "session", session),
        run_id=identity("run", "run", run),
        node=word("node", node),
        type=word("kind", kind),
        since=span.since,
        until=span.until,
    )


STATES: Final[tuple[str, ...]] = get_args(State)

SPAN: Final = {"span": Provide(provide_span, sync_to_thread=False)}
FILTERS: Final = {**SPAN, "filters": Provide(provide_filters, sync_to_thread=False)}
CHECKPOINT_FILTERS: Final = {**SPAN, "filters": Provide(provide_checkpoint_filters, sync_to_thread=False)}


def identity(kind: str, name: str, given: str | None) -> UUID | None:
    """The id of *kind* in the query parameter *name*.

    Raises:
        Invalid: If it is not a well-formed one. One that does not exist is well-formed and finds nothing.
    """
    if given is None:
        return None
    found = parse_id(kind, given)
    if found is None:
        raise _invalid(name, f"expected {kind}_ and 26 characters")
    return found


def state(given: str | None) -> State | None:
    """The state of a runtime in the query parameter of this name, which Litestar keeps for itself.

    Raises:
        Invalid: If it is none of :data:`STATES`.
    """
    if given is not None and given not in STATES:
        raise _invalid("state", f"expected one of {', '.join(STATES)}")
    return cast("State | None", given)


def _aware(name: str, instant: datetime | None) -> datetime | None:
    if instant is not None and (instant.tzinfo is None or not FROM <= instant < TO):
        raise _invalid(name, f"expected RFC 3339 with a zone, from {FROM:%Y} on and before {TO:%Y}")
    return instant


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid([{"in": "query", "name": name, "detail": detail}])
