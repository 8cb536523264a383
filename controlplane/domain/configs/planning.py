"""Roll-outs: in which order a version reaches its runtimes, and what stops it."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from math import ceil
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.kit.ids import RuntimeId
from controlplane.kit.problems import Refusal

OPEN: Final = ("running", "paused")


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a version is rolled out."""

    canary: Annotated[dict[str, Annotated[str, Meta(max_length=200)]], Meta(max_length=16)] = {}
    """Runtimes with all of these labels come first; empty: no such wave."""
    percents: Annotated[tuple[Annotated[int, Meta(ge=1, le=100)], ...], Meta(min_length=1, max_length=20)] = (
        10,
        50,
        100,
    )
    """Up to which share of the others each wave reaches; rising, the last is 100."""
    most_at_once: Annotated[int, Meta(ge=1, le=100_000)] = 500
    """Runtimes of one wave; larger ones become several."""
    max_failed_percent: Annotated[int, Meta(ge=0, le=100)] = 10
    """Of a wave. When more have failed, the roll-out stops, and its runtimes go back."""
    answer_s: Annotated[int, Meta(ge=5, le=604_800)] = 600
    """How long a runtime may take. One that has fetched the version and says nothing has failed; one that has not
    fetched it was away, and is not waited for."""
    soak_s: Annotated[int, Meta(ge=0, le=604_800)] = 60
    """Between the last answer of a wave and the next wave."""


class PlanUnfit(Refusal):
    code, status, title = "plan-unfit", 400, "A version cannot be rolled out like that"
    hint = "The shares rise, and the last one is 100: [10, 50, 100]."


class Candidate(Struct, frozen=True):
    """A runtime that a document is for."""

    id: RuntimeId
    labels: dict[str, object]


class Step(Struct, frozen=True, kw_only=True):
    """From one version of a document to the next."""

    config_id: UUID
    version: int
    from_version: int


async def begin(tx: TenantTx, actor: Actor, step: Step, plan: Plan, runtimes: Sequence[Candidate]) -> None:
    """Plan a roll-out. Nothing is let go yet: that is the chore's.

    Raises:
        PlanUnfit: If it would not reach everybody.
    """
    planned = list(waves(plan, runtimes, f"{step.config_id} {step.version}"))
    row = {**msgspec.structs.asdict(step), "state": "running", "reason": ""}
    numbers = {"wave": 0, "waves": len(planned), "waved_through": 0}
    made = {"plan": msgspec.to_builtins(plan), "created_by": actor.id, "created_at": tx.now}
    await tx.run(tx.insert(t.rollouts).values(**row, **numbers, **made))
    its = {"config_id": step.config_id, "version": step.version, "outcome": "planned", "error": "", "at": tx.now}
    rows = [
        {**its, "runtime_id": runtime, "wave": wave} for wave, members in enumerate(planned, 1) for runtime in members
    ]
    if rows:
        await tx.run(tx.insert(t.rollout_targets), rows)


async def under_way(tx: TenantTx, config_id: UUID) -> bool:
    """Whether the document's last version is still being rolled out."""
    its = t.rollouts.c
    mine = tx.select(t.rollouts).with_only_columns(its.version)
    return await tx.scalar(mine.where(its.config_id == config_id, its.state.in_(OPEN))) is not None


def waves(plan: Plan, runtimes: Sequence[Candidate], salt: str) -> Iterator[list[RuntimeId]]:
    """Who comes when; the same for the same *salt*, and another order for each version.

    Raises:
        PlanUnfit: If the shares do not rise to 100.
    """
    if list(plan.percents) != sorted(set(plan.percents)) or plan.percents[-1] != 100:
        raise PlanUnfit
    order = sorted(runtimes, key=lambda each: hashlib.sha256(f"{salt} {each.id}".encode()).digest())
    first = [each.id for each in order if plan.canary and plan.canary.items() <= each.labels.items()]
    rest = [each.id for each in order if each.id not in set(first)]
    yield from _cut(first, plan.most_at_once)
    done = 0
    for percent in plan.percents:
        upto = ceil(len(rest) * percent / 100)
        yield from _cut(rest[done:upto], plan.most_at_once)
        done = upto


def _cut(members: Sequence[RuntimeId], most: int) -> Iterator[list[RuntimeId]]:
    rest = iter(members)
    while part := list(islice(rest, most)):
        yield part
