"""What somebody may see of a tenant's runtimes and projects: from the limits of what they hold to ids."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, false, or_

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.db.sight import EVERYTHING, Sight
from controlplane.domain.grants import Limit
from controlplane.domain.permission_names import WITHIN_PROJECTS, WITHIN_RUNTIMES
from controlplane.domain.permissions import Principal, limits_of


async def sight(tx: TenantTx, principal: Principal, permissions: Iterable[str]) -> Sight:
    """What *principal* may do all of *permissions* with. Costs a statement only where something limits it."""
    limits = {permission: limits_of(principal, permission) for permission in permissions}
    of_runtimes = [each for name, each in limits.items() if each is not None and name in WITHIN_RUNTIMES]
    of_projects = [each for name, each in limits.items() if each is not None and name in WITHIN_PROJECTS]
    if not of_runtimes and not of_projects:
        return EVERYTHING
    return Sight(
        runtimes=await _runtimes(tx, of_runtimes) if of_runtimes else None,
        projects=_projects(of_projects) if of_projects else None,
    )


async def _runtimes(tx: TenantTx, required: Sequence[Sequence[Limit]]) -> list[UUID]:
    """The runtimes that are within one limit at least of each of *required*."""
    meet = and_(*(or_(false(), *map(_within, limits)) for limits in required))
    return [row.id for row in await tx.all(_Id, tx.select(t.runtimes).where(meet))]


def _within(limit: Limit) -> ColumnElement[bool]:
    # @> is not leakproof and finds no index behind the policy: a tenant's runtimes are few enough to look through
    labelled = t.runtimes.c.labels.contains(dict(limit.labels))
    return labelled if limit.project_id is None else and_(t.runtimes.c.project_id == limit.project_id, labelled)


def _projects(required: Sequence[Sequence[Limit]]) -> list[UUID]:
    each: list[set[UUID]] = [{limit.project_id for limit in limits if limit.project_id} for limits in required]
    return sorted(set.intersection(*each))


class _Id(Struct, frozen=True):
    id: UUID
