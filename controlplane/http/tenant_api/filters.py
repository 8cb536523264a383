"""What a list of reported things can be narrowed by, from the query to the rooms' filters."""

from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery
from msgspec import Meta, Struct

from controlplane.domain.checkpoints import Filters as CheckpointFilters
from controlplane.domain.outcomes import Filters, Status
from controlplane.http.problems import Invalid
from controlplane.kit.ids import parse_id

FROM, TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Instants that can be asked about."""

Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=300, pattern="^[^\\x00]*$")]
When: TypeAlias = Annotated[
    datetime, Meta(tz=True, description="RFC 3339, with a zone.", examples=["2026-11-09T13:41:25.650Z"])
]


class Span(Struct, frozen=True, kw_only=True):
    since: datetime | None
    until: datetime | None


def provide_span(since: FromQuery[When | None] = None, until: FromQuery[When | None] = None) -> Span:
    """From *since* on, and before *until*.

    Raises:
        Invalid: If one is outside :data:`FROM` and :data:`TO`.
    """
    for name, instant in (("since", since), ("until", until)):
        if instant is not None and not FROM <= instant < TO:
            raise _invalid(name, f"expected an instant from {FROM:%Y} on and before {TO:%Y}")
    return Span(since=since, until=until)


def provide_filters(
    span: NamedDependency[Span],
    status: FromQuery[Status | None] = None,
    agent: FromQuery[Word | None] = None,
    runtime: FromQuery[Word | None] = None,
    project: FromQuery[Word | None] = None,
    q: FromQuery[Word | None] = None,
) -> Filters:
    """Of sessions and runs.

    Raises:
        Invalid: If *runtime* is not the id of one.
    """
    return Filters(
        status=status,
        agent=agent,
        runtime_id=identity("rt", "runtime", runtime),
        project=slug_or_id(project),
        since=span.since,
        until=span.until,
        q=q,
    )


def provide_checkpoint_filters(
    span: NamedDependency[Span],
    session: FromQuery[Word | None] = None,
    run: FromQuery[Word | None] = None,
    node: FromQuery[Word | None] = None,
    kind: FromQuery[Word | None] = None,
) -> CheckpointFilters:
    """
    Raises:
        Invalid: If *session* or *run* is not the id of one.
    """
    return CheckpointFilters(
        session_id=identity("ses", "session", session),
        run_id=identity("run", "run", run),
        node=node,
        type=kind,
        since=span.since,
        until=span.until,
    )


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


def slug_or_id(project: str | None) -> str | UUID | None:
    """A project is meant by its slug or by its id."""
    return project if project is None else parse_id("prj", project) or project


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid([{"in": "query", "name": name, "detail": detail}])
