"""Projects: what a tenant keeps apart, each in one environment."""

import re
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

SLUG: Final = re.compile("[a-z0-9][a-z0-9-]{0,38}[a-z0-9]")
MAX_NAME: Final = 100

DEFAULT: Final = "default"
"""Slug of the project that every tenant begins with."""


class Project(Struct, frozen=True, kw_only=True):
    id: ProjectId
    slug: str
    name: str
    environment: str
    created_at: datetime
    archived_at: datetime | None
    """None: runtimes may join it."""


class ProjectSlugTaken(Refusal):
    code, status, title = "project-slug-taken", 409, "This tenant has a project with this slug"
    hint = "Pick another slug."


class ProjectSlugInvalid(Refusal):
    code, status, title = "project-slug-invalid", 400, "This cannot be a project's slug"
    hint = "2 to 40 characters: lower-case letters, digits, and hyphens inside."


class ProjectNameInvalid(Refusal):
    code, status, title = "project-name-invalid", 400, "This cannot be a project's name"
    hint = f"1 to {MAX_NAME} characters."


class ProjectArchived(Refusal):
    """Nothing new comes into it."""

    code, status, title = "project-archived", 409, "This project is archived"
    hint = "Restore it, or use another project."


async def create(tx: TenantTx, actor: Actor, slug: str, name: str, environment: Environment) -> Project:
    """
    Raises:
        ProjectSlugInvalid, ProjectNameInvalid: If it cannot be called that.
        ProjectSlugTaken: If the tenant has one with this slug.
        QuotaExceeded: If it has as many projects as it may have.
    """
    if not SLUG.fullmatch(slug):
        raise ProjectSlugInvalid
    await quotas.take(tx, "projects")
    added = await tx.take(
        Project,
        tx.insert(t.projects)
        .values(id=new_id(tx.now), slug=slug, name=_fit(name), environment=environment, created_at=tx.now)
        .on_conflict_do_nothing(index_elements=["tenant_id", "slug"]),
    )
    if not added:
        raise ProjectSlugTaken(slug)
    audit.record(tx, actor, "project.created", _target(added[0].id), environment=environment)
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


async def change(
    tx: TenantTx, actor: Actor, project: Project, *, name: str | None = None, environment: Environment | None = None
) -> Project:
    """Change what is given.

    Raises:
        ProjectNameInvalid: If it cannot be called that.
    """
    values = {
        "name": project.name if name is None else _fit(name),
        "environment": environment or project.environment,
    }
    [changed] = await tx.take(Project, tx.update(t.projects).where(t.projects.c.id == project.id).values(**values))
    audit.record(tx, actor, "project.changed", _target(project.id), environment=changed.environment)
    return changed


async def archive(tx: TenantTx, actor: Actor, project: Project) -> Project:
    """Let no more runtimes in; those that are in it go on. Doing it again changes nothing."""
    return await _archived(tx, actor, project, "project.archived", tx.now)


async def restore(tx: TenantTx, actor: Actor, project: Project) -> Project:
    """Take it out of the archive. Doing it again changes nothing."""
    return await _archived(tx, actor, project, "project.restored", None)


async def check_open(tx: TenantTx, project_id: UUID) -> None:
    """
    Raises:
        NotFound: If this tenant has no such project.
        ProjectArchived: If nothing new comes into it.
    """
    if (await get(tx, project_id)).archived_at is not None:
        raise ProjectArchived


async def _archived(tx: TenantTx, actor: Actor, project: Project, action: str, at: datetime | None) -> Project:
    if (project.archived_at is None) == (at is None):
        return project
    mine = tx.update(t.projects).where(t.projects.c.id == project.id)
    [changed] = await tx.take(Project, mine.values(archived_at=at))
    audit.record(tx, actor, action, _target(project.id))
    return changed


def _fit(name: str) -> str:
    if not 1 <= len(name.strip()) <= MAX_NAME:
        raise ProjectNameInvalid
    return name.strip()


def _target(project_id: ProjectId) -> audit.Target:
    return "project", text_id("prj", project_id)
