"""Roll-outs of configuration, and what each runtime is to have and has."""

from typing import Any

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct, json

from controlplane.db.database import TenantTx
from controlplane.domain import runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.configs import rollouts, standing
from controlplane.domain.configs.rollouts import Count, Rollout, Target
from controlplane.domain.configs.standing import Kept, Word
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity, number
from controlplane.kit.ids import RuntimeId, text_id


class WaveView(Struct, frozen=True, kw_only=True):
    wave: int
    outcomes: dict[str, int]
    """Runtimes by how far they have got: `planned`, `released`, `fetched`, `applied`, `failed`, `missed`."""


class RolloutView(Struct, frozen=True, kw_only=True):
    config: str
    version: int
    from_version: int
    """What its runtimes go back to where it fails; 0: to no document."""
    state: str
    """`running`, `paused`, `finished`, `failed` or `cancelled`."""
    reason: str
    plan: dict[str, Any]
    wave: int
    """The last that was let go."""
    waves: list[WaveView]
    created_by: str
    created_at: Moment
    ended_at: Moment | None


class TargetView(Struct, frozen=True, kw_only=True):
    runtime: str
    wave: int
    outcome: str
    error: str
    at: Moment


class PartView(Struct, frozen=True, kw_only=True):
    config: str
    version: int


class RuntimeConfigView(Struct, frozen=True, kw_only=True):
    runtime: str
    state: Word
    """`drifted`: somebody has changed on its machine what it was given. `behind`: it has not taken the newest yet."""
    generation: int
    """0: there is nothing for it."""
    hash: str
    document: dict[str, Any]
    """What all its documents come to."""
    parts: list[PartView]
    """Those, the widest first."""
    problem: str
    """Why they do not come to one; then what stands here is the last that did."""
    applied: int
    """The generation that is in force there."""
    applied_hash: str
    error: str
    drift: list[str]
    """Files that are not as they were written."""
    fetched_at: Moment | None
    said_at: Moment | None


class RolloutsController(Controller):
    path = "/configs/{config:str}/versions/{version:str}/rollout"
    tags = ("configs",)
    opt = rule(Surface.TENANT, "config:read")

    @get("/")
    async def show(self, tx: NamedDependency[TenantTx], config: FromPath[str], version: FromPath[str]) -> RolloutView:
        """How far a version has got."""
        return await _shown(tx, await _found(tx, config, version))

    @get("/runtimes")
    async def targets(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        config: FromPath[str],
        version: FromPath[str],
    ) -> Page[TargetView]:
        """Its runtimes, and how far each has got."""
        found = await _found(tx, config, version)
        rows = await rollouts.targets(tx, found, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.runtime_id, _target)

    @post("/pause", status_code=200, opt=rule(Surface.TENANT, "config:write", fresh=True))
    async def pause(
        self,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        config: FromPath[str],
        version: FromPath[str],
    ) -> RolloutView:
        """Let no further wave go. Doing it again changes nothing."""
        return await _shown(tx, await rollouts.pause(tx, actor, identity("cfg", config), number(version)))

    @post("/resume", status_code=200, opt=rule(Surface.TENANT, "config:write", fresh=True))
    async def resume(
        self,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        config: FromPath[str],
        version: FromPath[str],
    ) -> RolloutView:
        """Let it go on, also past a wave of which nobody was there."""
        return await _shown(tx, await rollouts.resume(tx, actor, identity("cfg", config), number(version)))

    @post("/cancel", status_code=200, opt=rule(Surface.TENANT, "config:write", fresh=True))
    async def cancel(
        self,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        config: FromPath[str],
        version: FromPath[str],
    ) -> RolloutView:
        """End it; whoever has the version goes back to what was there before."""
        return await _shown(tx, await rollouts.cancel(tx, actor, identity("cfg", config), number(version)))


class RuntimeConfigsController(Controller):
    path = "/runtimes/{runtime:str}/configuration"
    tags = ("configs",)

    @get("/", opt=rule(Surface.TENANT, "config:read"))
    async def show(self, tx: NamedDependency[TenantTx], runtime: FromPath[str]) -> RuntimeConfigView:
        """What a runtime is to have, what it says that it has, and whether that is the same."""
        return await _of_runtime(tx, runtime)

    @post("/retry", status_code=200, opt=rule(Surface.TENANT, "config:write", fresh=True))
    async def retry(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], runtime: FromPath[str]
    ) -> RuntimeConfigView:
        """Have it try again what it has failed at."""
        await standing.retry(tx, actor, RuntimeId(identity("rt", runtime)))
        return await _of_runtime(tx, runtime)


async def _of_runtime(tx: TenantTx, runtime: str) -> RuntimeConfigView:
    found = await runtimes.get(tx, RuntimeId(identity("rt", runtime)))
    return _kept(found.id, await standing.of_runtime(tx, found.id))


def _kept(runtime_id: RuntimeId, its: Kept | None) -> RuntimeConfigView:
    return RuntimeConfigView(
        runtime=text_id("rt", runtime_id),
        state=its.word if its else "none",
        generation=its.generation if its else 0,
        hash=its.hash if its else "",
        document=json.decode(its.document) if its else {},
        parts=[PartView(config=text_id("cfg", each.config), version=each.version) for each in its.made_of]
        if its
        else [],
        problem=its.problem if its else "",
        applied=its.applied if its else 0,
        applied_hash=its.applied_hash if its else "",
        error=its.error if its else "",
        drift=its.drift if its else [],
        fetched_at=moment(its.fetched_at) if its else None,
        said_at=moment(its.said_at) if its else None,
    )


async def _found(tx: TenantTx, config: str, version: str) -> Rollout:
    return await rollouts.get(tx, identity("cfg", config), number(version))


async def _shown(tx: TenantTx, its: Rollout) -> RolloutView:
    counted = (await rollouts.counts(tx, [its]))[its.config_id, its.version]
    return RolloutView(
        config=text_id("cfg", its.config_id),
        version=its.version,
        from_version=its.from_version,
        state=its.state,
        reason=its.reason,
        plan=its.plan,
        wave=its.wave,
        waves=[_wave(wave, counted) for wave in range(1, its.waves + 1)],
        created_by=its.created_by,
        created_at=moment(its.created_at),
        ended_at=moment(its.ended_at),
    )


def _wave(number: int, counted: list[Count]) -> WaveView:
    return WaveView(wave=number, outcomes={each.outcome: each.runtimes for each in counted if each.wave == number})


def _target(its: Target) -> TargetView:
    return TargetView(
        runtime=text_id("rt", its.runtime_id), wave=its.wave, outcome=its.outcome, error=its.error, at=moment(its.at)
    )
