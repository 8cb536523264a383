"""What somebody holds and where it counts, as the API shows it and takes it."""

from typing import Annotated

from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.grants import Grant, Limit
from controlplane.kit.ids import text_id

Word = Annotated[str, Meta(min_length=1, max_length=100)]


class LimitView(Struct, frozen=True, kw_only=True):
    """Nothing said: everywhere."""

    project: str | None = None
    """Its id; null: in every project."""
    labels: dict[str, str] = {}
    """Of runtimes that have all of these."""


class GrantView(Struct, frozen=True, kw_only=True):
    """Why somebody may do something."""

    role: str
    assignment: str
    group: str | None
    """Null: they hold it themselves."""
    limit: LimitView


class HeldView(Struct, frozen=True, kw_only=True):
    permission: str
    because: list[GrantView]


def limit_view(limit: Limit) -> LimitView:
    project = None if limit.project_id is None else text_id("prj", limit.project_id)
    return LimitView(project=project, labels=dict(limit.labels))


def held_view(grants: tuple[Grant, ...]) -> list[HeldView]:
    """Every permission among *grants* with all that gives it."""
    names = sorted(frozenset().union(*(grant.permissions for grant in grants)))
    return [
        HeldView(permission=name, because=[_view(grant) for grant in grants if name in grant.permissions])
        for name in names
    ]


async def limit_of(tx: TenantTx, project: str | None, labels: dict[str, str]) -> Limit:
    """
    Args:
        project: Slug or id.

    Raises:
        NotFound: If there is no such project.
    """
    return Limit(project_id=None if project is None else (await projects.named(tx, project)).id, labels=labels)


def _view(grant: Grant) -> GrantView:
    assert grant.assignment_id is not None  # it comes from the table
    return GrantView(
        role=grant.role,
        assignment=text_id("asg", grant.assignment_id),
        group=None if grant.group_id is None else text_id("grp", grant.group_id),
        limit=limit_view(grant.limit),
    )
