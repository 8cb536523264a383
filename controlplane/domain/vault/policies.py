"""Policies: which runtimes may use which connections, how, and under which conditions. Without one nobody may.

Every change moves the tenant's version on, which each lease is checked against in the statement that hands it out: no
change is ever late.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, convert, to_builtins
from msgspec.structs import asdict
from sqlalchemy import func

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault.deciding import Conditions, Connections, Effect, Mode, Rule, Subject
from controlplane.kit.ids import PolicyId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

MOST: Final = 500
"""Of one tenant: they are gone through with every lease."""


class Policy(Struct, frozen=True, kw_only=True):
    id: PolicyId
    name: str
    effect: Effect
    enabled: bool
    subject: Subject
    connections: Connections
    modes: list[Mode]
    conditions: Conditions
    version: int
    created_by: str
    created_at: datetime
    changed_at: datetime

    def rule(self) -> Rule:
        return Rule(
            id=self.id,
            name=self.name,
            effect=self.effect,
            subject=self.subject,
            connections=self.connections,
            modes=self.modes,
            conditions=self.conditions,
        )


class NewPolicy(Struct, frozen=True, kw_only=True):
    name: str
    effect: Effect
    modes: list[Mode]
    subject: Subject = Subject()
    connections: Connections = Connections()
    conditions: Conditions = Conditions()
    enabled: bool = True


class Change(Struct, frozen=True, kw_only=True):
    """What is to be different; the rest stays."""

    name: str | UnsetType = UNSET
    effect: Effect | UnsetType = UNSET
    modes: list[Mode] | UnsetType = UNSET
    subject: Subject | UnsetType = UNSET
    connections: Connections | UnsetType = UNSET
    conditions: Conditions | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class Rules(Struct, frozen=True):
    """What decides now."""

    version: int
    rules: list[Rule]


class TooManyPolicies(Refusal):
    code, status, title = "policy-limit", 409, "This tenant has as many policies as there may be"
    hint = f"Delete one first; there may be {MOST}."


async def create(tx: TenantTx, actor: Actor, new: NewPolicy) -> Policy:
    """
    Raises:
        TooManyPolicies: If the tenant has :data:`MOST`.
    """
    await _moved_on(tx)  # whoever else changes policies waits here
    if await tx.scalar(tx.select(t.policies).with_only_columns(func.count())) >= MOST:
        raise TooManyPolicies
    row = _row(asdict(new)) | {"id": new_id(tx.now), "version": 1, "created_by": actor.id}
    [made] = await tx.take(_Stored, tx.insert(t.policies).values(**row, created_at=tx.now, changed_at=tx.now))
    audit.record(
        tx, actor, "policy.created", target(made.id), effect=new.effect, modes=list(new.modes), own={"name": new.name}
    )
    return _policy(made)


async def listing(tx: TenantTx, *, after: UUID | None = None, limit: int) -> list[Policy]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.policies)
    if after is not None:
        wanted = wanted.where(t.policies.c.id < after)
    return [_policy(row) for row in await tx.all(_Stored, wanted.order_by(t.policies.c.id.desc()).limit(limit))]


async def get(tx: TenantTx, policy_id: UUID) -> Policy:
    """
    Raises:
        NotFound: If this tenant has no such policy.
    """
    found = await tx.first(_Stored, tx.select(t.policies).where(t.policies.c.id == policy_id))
    if found is None:
        raise NotFound
    return _policy(found)


async def change(tx: TenantTx, actor: Actor, policy_id: UUID, wanted: Change) -> Policy:
    """
    Raises:
        NotFound: If this tenant has no such policy.
    """
    await _moved_on(tx)
    values = _row({name: value for name, value in asdict(wanted).items() if value is not UNSET})
    mine = tx.update(t.policies).where(t.policies.c.id == policy_id)
    changed = await tx.take(_Stored, mine.values(**values, version=t.policies.c.version + 1, changed_at=tx.now))
    if not changed:
        raise NotFound
    audit.record(tx, actor, "policy.changed", target(policy_id), changed=sorted(values), version=changed[0].version)
    return _policy(changed[0])


async def delete(tx: TenantTx, actor: Actor, policy_id: UUID) -> None:
    """
    Raises:
        NotFound: If this tenant has no such policy.
    """
    await _moved_on(tx)
    if not await tx.run(tx.delete(t.policies).where(t.policies.c.id == policy_id)):
        raise NotFound
    audit.record(tx, actor, "policy.deleted", target(policy_id))


async def rules(tx: TenantTx) -> Rules:
    """Those that are enabled, with the version that they are of."""
    head = await tx.first(_Head, tx.select(t.policy_heads))
    wanted = tx.select(t.policies).where(t.policies.c.enabled).order_by(t.policies.c.id).limit(MOST)
    return Rules(head.version if head else 0, [_policy(row).rule() for row in await tx.all(_Stored, wanted)])


def target(policy_id: UUID) -> audit.Target:
    return "policy", text_id("pol", policy_id)


class _Head(Struct, frozen=True):
    version: int


class _Stored(Struct, frozen=True, kw_only=True):
    """As it stands in its row."""

    id: PolicyId
    name: str
    effect: Effect
    enabled: bool
    subject: dict[str, Any]
    connections: dict[str, Any]
    modes: list[Mode]
    conditions: dict[str, Any]
    version: int
    created_by: str
    created_at: datetime
    changed_at: datetime


def _policy(row: _Stored) -> Policy:
    return convert(asdict(row), Policy)


def _row(values: dict[str, Any]) -> dict[str, Any]:
    return {name: to_builtins(value) if isinstance(value, Struct) else value for name, value in values.items()}


async def _moved_on(tx: TenantTx) -> None:
    """The next version of the tenant's policies, which nobody else can make until *tx* has ended."""
    insert = tx.insert(t.policy_heads).values(version=1)
    later = {"version": t.policy_heads.c.version + 1}
    await tx.run(insert.on_conflict_do_update(index_elements=["tenant_id"], set_=later))
