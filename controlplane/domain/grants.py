"""What somebody holds: a role, where in the tenant it counts, and how they came by it."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.kit.ids import GroupId, ProjectId


class Limit(Struct, frozen=True, kw_only=True):
    """Where in a tenant a role counts. With nothing said it is everywhere."""

    project_id: ProjectId | None = None
    labels: Mapping[str, str] = {}
    """Of runtimes: those that have all of these."""

    @property
    def is_everywhere(self) -> bool:
        return self.project_id is None and not self.labels

    def covers(self, other: "Limit") -> bool:
        """Whether it reaches everything that *other* reaches."""
        return self.project_id in (None, other.project_id) and self.labels.items() <= other.labels.items()


EVERYWHERE: Final = Limit()


class Grant(Struct, frozen=True, kw_only=True):
    """One role that somebody holds."""

    role: str
    """Its name."""
    permissions: frozenset[str]
    limit: Limit = EVERYWHERE
    assignment_id: UUID | None = None
    group_id: GroupId | None = None
    """The group that holds it, where they hold it as its member."""


def owns(grants: Iterable[Grant]) -> bool:
    """Whether whoever holds *grants* is an owner of the tenant."""
    return any("tenant:own" in grant.permissions for grant in grants)
