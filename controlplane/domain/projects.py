"""Projects: what a tenant keeps apart, each in one environment."""

from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, quotas
from controlplane.domain.audit import Actor
from controlplane.kit.ids import ProjectId, new_id, parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

Environment: TypeAlias = Literal["dev", "staging", "prod"]

DEFAULT: Final = "default"
"""Slug of the project that every tenant begins with."""


class Project(Struct, frozen=True, kw_only=True):
    id: ProjectId
    slug: str
    name: str
    environment: str
    created_at: datetime


class ProjectSlugTaken(Refusal):
    code, status, title = "project-slug-taken", 409, "This tenant has a project with this slug"
    hint = "Pick another slug."


async def create(tx: TenantTx, actor: Actor, slug: str, name: str, environment: Environment) -> Project:
    """
    Raises:
        ProjectSlugTaken: If the tenant has one with this slug.
        QuotaExceeded: If it has as many projects as it may have.
    """
    await quotas.take(tx, "projects")
    added = await tx.take(
        Project,
        tx.insert(t.projects)
        .values(id=new_id(tx.now), slug=slug, name=name, environment=environment, created_at=tx.now)
        .on_conflict_do_nothing(index_elements=["tenant_id", "slug"]),
    )
    if not added:
        raise ProjectSlugTaken(slug)
    audit.record(tx, actor, "project.created", ("project", text_id("prj", added[0].id)), environment=environment)
    return added[0]


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Project]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.projects)
    if after is not None:
        wanted = wanted.where(t.projects.c.id < after)
    return await tx.all(Project, wanted.order_by(t.projects.c.id.desc()).limit(limit))


async def named(tx: TenantTx, reference: str) -> Project:
    """The project whose slug or id is *reference*.

    Raises:
        NotFound: If this tenant has no such project.
    """
    identity = parse_id("prj", reference)
    if identity is not None:
        return await get(tx, identity)
    project = await tx.first(Project, tx.select(t.projects).where(t.projects.c.slug == reference))
    if project is None:
        raise NotFound
    return project


async def get(tx: TenantTx, project_id: UUID) -> Project:
    """
    Raises:
        NotFound: If this tenant has no such project.
    """
    project = await tx.first(Project, tx.select(t.projects).where(t.projects.c.id == project_id))
    if project is None:
        raise NotFound
    return project
