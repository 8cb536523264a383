"""Documents of desired configuration: one for each scope, every version kept, every change a roll-out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, projects, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.configs import checking, heads, planning, texts
from controlplane.domain.configs.merging import Json
from controlplane.domain.configs.planning import Plan
from controlplane.kit.canonical import canonical
from controlplane.kit.ids import ConfigId, ProjectId, RuntimeId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

Level: TypeAlias = Literal["tenant", "project", "label", "runtime"]

LEVELS: Final[Sequence[Level]] = ("tenant", "project", "label", "runtime")
"""From the widest to the narrowest: a later one has the last word."""

RANK: Final = 100
"""Of a document for a label, where nobody says otherwise; among labels the higher one has the last word."""

MOST: Final = 500


class Scope(Struct, frozen=True, kw_only=True):
    """For which runtimes a document is."""

    level: Level = "tenant"
    project_id: ProjectId | None = None
    runtime_id: RuntimeId | None = None
    label: str = ""
    value: str = ""

    @property
    def key(self) -> str:
        """The same for the same scope."""
        own = {"tenant": "", "project": self.project_id, "runtime": self.runtime_id}
        return f"{self.level}:{own.get(self.level, f'{self.label}={self.value}')}"


class Config(Struct, frozen=True, kw_only=True):
    id: ConfigId
    level: Level
    project_id: ProjectId | None
    runtime_id: RuntimeId | None
    label: str
    value: str
    rank: int
    version: int
    """The newest."""
    stable: int
    """The one that runtimes have without a roll-out; 0: none."""
    created_by: str
    created_at: datetime
    changed_at: datetime

    @property
    def scope(self) -> Scope:
        return msgspec.convert(self, Scope, from_attributes=True)


class Version(Struct, frozen=True, kw_only=True):
    config_id: ConfigId
    version: int
    document: str
    """JSON."""
    note: str
    created_by: str
    created_at: datetime

    def content(self) -> Json:
        found: Json = msgspec.json.decode(self.document)
        return found


class Edit(Struct, frozen=True, kw_only=True):
    """What a document is to say from now on, and how that gets to the runtimes."""

    document: Json
    plan: Plan = Plan()
    note: str = ""
    """Why, for whoever looks at the versions."""


class ConfigExists(Refusal):
    code, status, title = "config-exists", 409, "There is a document for this already"
    hint = "Change that one."


class ConfigMoved(Refusal):
    code, status, title = "config-moved", 409, "Somebody else has changed this document meanwhile"
    hint = "Look at what it says now, and at the difference, and make your change again."


class RolloutUnderWay(Refusal):
    code, status, title = "rollout-under-way", 409, "The last change of this document is still being rolled out"
    hint = "Wait for it, or cancel it: then its runtimes go back to what they had."


class TooManyConfigs(Refusal):
    code, status, title = "config-limit", 409, "This tenant has as many documents as there may be"
    hint = f"Delete one first; there may be {MOST}."


async def create(tx: TenantTx, actor: Actor, scope: Scope, edit: Edit, rank: int = RANK) -> Config:
    """Make the document of *scope*; its first version is rolled out like every other.

    Raises:
        ConfigInvalid: If it is none.
        ConfigExists, TooManyConfigs: If it cannot be made.
        NotFound: If the tenant has no such project or runtime.
        RuntimeGone: If it is for a runtime that does not come back.
    """
    document = checking.check(edit.document)
    if scope.project_id is not None:
        await projects.get(tx, scope.project_id)
    if scope.runtime_id is not None:
        await runtimes.present(tx, scope.runtime_id)
    await heads.move(tx)
    if len(await listing(tx, after=None, limit=MOST)) >= MOST:
        raise TooManyConfigs
    row = {
        "id": new_id(tx.now),
        "scope": scope.key,
        "rank": rank,
        "version": 0,
        "stable": 0,
        "created_by": actor.id,
        "created_at": tx.now,
        "changed_at": tx.now,
        **msgspec.structs.asdict(scope),
    }
    untaken = tx.insert(t.configs).values(**row).on_conflict_do_nothing(index_elements=["tenant_id", "scope"])
    made = await tx.take(Config, untaken)
    if not made:
        raise ConfigExists
    kept = await _keep(tx, actor, made[0], edit, document)
    audit.record(tx, actor, "config.created", target(kept.id), level=scope.level, version=1)
    return kept


async def save(tx: TenantTx, actor: Actor, config_id: UUID, edit: Edit, seen: int | None = None) -> Config:
    """Make the next version, and have it rolled out.

    Args:
        seen: The version that the editor began with; None: the caller has seen to that.

    Raises:
        ConfigInvalid: If it is none.
        ConfigMoved: If there is a newer version than *seen*.
        RolloutUnderWay: If the last one is not everywhere yet.
        NotFound: If the tenant has no such document.
    """
    document = checking.check(edit.document)
    await heads.move(tx)
    config = await get(tx, config_id)
    if seen is not None and seen != config.version:
        raise ConfigMoved
    if await planning.under_way(tx, config.id):
        raise RolloutUnderWay
    kept = await _keep(tx, actor, config, edit, document)
    audit.record(tx, actor, "config.changed", target(kept.id), level=config.level, version=kept.version)
    return kept


async def delete(tx: TenantTx, actor: Actor, config_id: UUID) -> None:
    """Take it away with all its versions, for all its runtimes at once.

    Raises:
        RolloutUnderWay: If its last version is not everywhere yet.
        NotFound: If the tenant has no such document.
    """
    await heads.move(tx)
    config = await get(tx, config_id)
    if await planning.under_way(tx, config.id):
        raise RolloutUnderWay
    await tx.run(tx.delete(t.configs).where(t.configs.c.id == config.id))
    audit.record(tx, actor, "config.deleted", target(config.id), level=config.level, version=config.version)


async def get(tx: TenantTx, config_id: UUID) -> Config:
    """
    Raises:
        NotFound: If the tenant has no such document.
    """
    found = await tx.first(Config, tx.select(t.configs).where(t.configs.c.id == config_id))
    if found is None:
        raise NotFound
    return found


async def of_scope(tx: TenantTx, scope: Scope) -> Config | None:
    """The document for exactly these runtimes, if there is one."""
    return await tx.first(Config, tx.select(t.configs).where(t.configs.c.scope == scope.key))


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Config]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.configs)
    if after is not None:
        wanted = wanted.where(t.configs.c.id < after)
    return await tx.all(Config, wanted.order_by(t.configs.c.id.desc()).limit(limit))


async def version(tx: TenantTx, config_id: UUID, number: int) -> Version:
    """
    Raises:
        NotFound: If the document has no such version.
    """
    its = t.config_versions.c
    mine = tx.select(t.config_versions).where(its.config_id == config_id, its.version == number)
    found = await tx.first(Version, mine)
    if found is None:
        raise NotFound
    return found


async def versions(tx: TenantTx, config_id: UUID, *, before: int | None = None, limit: int = 50) -> list[Version]:
    """Newest first, from the first one older than *before*."""
    its = t.config_versions.c
    wanted = tx.select(t.config_versions).where(its.config_id == config_id)
    if before is not None:
        wanted = wanted.where(its.version < before)
    return await tx.all(Version, wanted.order_by(its.version.desc()).limit(limit))


def target(config_id: UUID) -> audit.Target:
    return "config", text_id("cfg", config_id)


async def _keep(tx: TenantTx, actor: Actor, config: Config, edit: Edit, document: dict[str, Any]) -> Config:
    number = config.version + 1
    numbered = await texts.numbered(tx, actor, config.id, number, document)
    made = {"config_id": config.id, "version": number, "document": canonical(numbered).decode(), "note": edit.note}
    await tx.run(tx.insert(t.config_versions).values(**made, created_by=actor.id, created_at=tx.now))
    mine = tx.update(t.configs).where(t.configs.c.id == config.id)
    [kept] = await tx.take(Config, mine.values(version=number, changed_at=tx.now))
    step = planning.Step(config_id=kept.id, version=number, from_version=kept.stable)
    await planning.begin(tx, actor, step, edit.plan, await _runtimes(tx, kept))
    return kept


async def _runtimes(tx: TenantTx, config: Config) -> list[planning.Candidate]:
    """Those that it is for, and that can still be reached one day."""
    its = t.runtimes.c
    wanted = tx.select(t.runtimes).where(its.revoked_at.is_(None))
    if config.level == "project":
        wanted = wanted.where(its.project_id == config.project_id)
    elif config.level == "runtime":
        wanted = wanted.where(its.id == config.runtime_id)
    elif config.level == "label":
        wanted = wanted.where(its.labels[config.label].astext == config.value)
    return await tx.all(planning.Candidate, wanted)
