"""Quotas: how many of each kind a tenant may have, by its plan or by what was agreed with it alone.

A thing is counted in the transaction that makes it, by one conditional statement: two that are made at the same time
meet at the counter's row, and the one too many is refused.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import OperatorTx, PlatformTx, TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.plans import LIMITS, RATES, Plan
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.problems import Refusal

Kind: TypeAlias = Literal["users", "api_keys", "runtimes", "projects", "connections"]

COUNTED: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "users": "SELECT count(*) FROM users x WHERE x.tenant_id = {tenant}",
        "api_keys": "SELECT count(*) FROM api_keys x WHERE x.tenant_id = {tenant} AND x.revoked_at IS NULL",
        "runtimes": "SELECT count(*) FROM runtimes x WHERE x.tenant_id = {tenant} AND x.revoked_at IS NULL",
        "projects": "SELECT count(*) FROM projects x WHERE x.tenant_id = {tenant}",
        "connections": (
            "SELECT count(*) FROM connections x WHERE x.tenant_id = {tenant} AND x.state NOT IN ('revoking', 'deleted')"
            " AND x.replaces_id IS NULL"
        ),
    }
)
"""What counts as one in use: a key or a runtime that was revoked does not, nor does a connection that was deleted."""


class Limit(Struct, frozen=True, kw_only=True):
    """One limit of a tenant, and how much of it is in use."""

    kind: str
    most: int | None
    """None: no limit."""
    used: int
    overridden: bool
    """Agreed with this tenant alone, whatever its plan says."""


class QuotaExceeded(Refusal):
    """One more would be more than the tenant may have."""

    code, status, title = "quota-exceeded", 403, "This tenant has as many as its plan allows"
    hint = "Remove one that is not needed, or ask whoever runs the service for a higher limit."

    def __init__(self, kind: str, limit: int, used: int) -> None:
        super().__init__(f"{used} of {limit} {kind.replace('_', ' ')} are in use")
        self.kind, self.limit, self.used = kind, limit, used

    def facts(self) -> dict[str, object]:
        return {"kind": self.kind, "limit": self.limit, "used": self.used}


class UnknownPlan(Refusal):
    code, status, title = "plan-unknown", 400, "There is no such plan"
    hint = "Plans are configured in controlplane.toml; GET /v1/operator/plans lists them."

    def __init__(self, plan: str) -> None:
        super().__init__(f"no plan {plan!r}")


class UnknownLimit(Refusal):
    code, status, title = "limit-unknown", 400, "There is no such limit"
    hint = "Limits: " + ", ".join(LIMITS)

    def __init__(self, kind: str) -> None:
        super().__init__(f"no limit {kind!r}, or not a number from 0 up")


MOST = """
    SELECT coalesce(
        (SELECT coalesce(o.most, 9223372036854775807) FROM limit_overrides o
            WHERE o.tenant_id = :tenant_id AND o.kind = :kind),
        (SELECT p.most FROM plan_limits p JOIN tenants n ON n.tenant_id = :tenant_id
            WHERE p.kind = :kind AND CASE WHEN n.plan IS NULL THEN p.is_default ELSE p.plan = n.plan END),
        9223372036854775807)
"""
"""The limit that holds: the override, else the plan's, else none. A plan that is not configured any more limits nothing."""

TAKE = text(f"""
    UPDATE usage_counters SET used = greatest(used + :by, 0)
    WHERE tenant_id = :tenant_id AND kind = :kind AND (:by < 0 OR used + :by <= ({MOST})) RETURNING used
""")  # noqa: S608 constants

STANDS = text(f"""
    SELECT c.used, ({MOST}) AS most FROM usage_counters c WHERE c.tenant_id = :tenant_id AND c.kind = :kind
""")  # noqa: S608 constants

BEGIN: Final = {
    kind: text(f"""
        INSERT INTO usage_counters (tenant_id, kind, used)
        SELECT CAST(:tenant_id AS uuid), CAST(:kind AS text), ({counted.format(tenant="CAST(:tenant_id AS uuid)")})
        ON CONFLICT DO NOTHING
    """)
    for kind, counted in COUNTED.items()
}

SHOWN = text("""
    SELECT k.kind, CASE WHEN o.kind IS NOT NULL THEN o.most ELSE p.most END AS most, coalesce(c.used, 0) AS used,
        o.kind IS NOT NULL AS overridden
    FROM unnest(CAST(:kinds AS text[])) WITH ORDINALITY AS k(kind, place)
    JOIN tenants n ON n.tenant_id = :tenant_id
    LEFT JOIN limit_overrides o ON o.tenant_id = n.tenant_id AND o.kind = k.kind
    LEFT JOIN plan_limits p ON p.kind = k.kind AND CASE WHEN n.plan IS NULL THEN p.is_default ELSE p.plan = n.plan END
    LEFT JOIN usage_counters c ON c.tenant_id = n.tenant_id AND c.kind = k.kind
    ORDER BY k.place
""")

IN_USE: Final = text(
    " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, ({counted.format(tenant='CAST(:tenant_id AS uuid)')}) AS used"
        for kind, counted in COUNTED.items()
    )
)
"""Counted now, whatever the counters say."""

DRIFT: Final = text(
    " UNION ALL ".join(
        f"SELECT n.tenant_id, '{kind}' AS kind, c.used, ({counted.format(tenant='n.tenant_id')}) AS counted "  # noqa: S608
        f"FROM tenants n JOIN usage_counters c ON c.tenant_id = n.tenant_id AND c.kind = '{kind}' "
        f"WHERE c.used <> ({counted.format(tenant='n.tenant_id')})"
        for kind, counted in COUNTED.items()
    )
)

SET = text("""
    UPDATE usage_counters SET used = :counted WHERE tenant_id = :tenant_id AND kind = :kind AND used = :used
""")


class Drift(Struct, frozen=True):
    """A counter that does not say what there is."""

    tenant_id: TenantId
    kind: Kind
    used: int
    counted: int


async def take(tx: TenantTx, kind: Kind) -> None:
    """Count one more, before it is made.

    Raises:
        QuotaExceeded: If the tenant has as many as it may have.
    """
    if await _count(tx, kind, 1):
        return
    await tx.load(BEGIN[kind], kind=kind)
    if not await _count(tx, kind, 1):
        [stands] = await tx.query(_Stands, STANDS, tenant_id=tx.tenant_id, kind=kind)
        raise QuotaExceeded(kind, stands.most, stands.used)


async def release(tx: TenantTx, kind: Kind, gone: int = 1) -> None:
    """Count *gone* less. Nothing has been counted yet: then nothing is."""
    if gone:
        await _count(tx, kind, -gone)


async def limits(tx: TenantTx) -> list[Limit]:
    """Every limit of the tenant, and how much of each is in use; of rates that is not counted here."""
    for kind, begin in BEGIN.items():
        await tx.load(begin, kind=kind)
    return await tx.query(Limit, SHOWN, tenant_id=tx.tenant_id, kinds=list(LIMITS))


async def rates(tx: TenantTx) -> dict[str, int | None]:
    """Requests a minute, of the tenant and of each caller."""
    found = await tx.query(Limit, SHOWN, tenant_id=tx.tenant_id, kinds=list(RATES))
    return {limit.kind: limit.most for limit in found}


async def agree(tx: TenantTx, actor: Actor, plan: str | None, overrides: Mapping[str, int | None]) -> None:
    """Set what holds for the tenant of *tx* from now on; what it has already stays, even where it is more.

    Args:
        plan: None is the default plan.
        overrides: Everything that is not the plan's, by kind; None as a value is no limit.

    Raises:
        UnknownPlan, UnknownLimit: If it cannot be so.
    """
    if plan is not None and plan not in {each.plan for each in await tx.query(_Planned, PLANS)}:
        raise UnknownPlan(plan)
    for kind, most in overrides.items():
        if kind not in LIMITS or (most is not None and most < 0):
            raise UnknownLimit(kind)
    await tx.run(tx.update(t.tenants).values(plan=plan))
    await tx.run(tx.delete(t.limit_overrides))
    if overrides:
        await tx.run(tx.insert(t.limit_overrides), [{"kind": kind, "most": most} for kind, most in overrides.items()])
    audit.record(tx, actor, "tenant.limits-changed", ("tenant", text_id("ten", tx.tenant_id)))


async def drifted(tx: OperatorTx) -> list[Drift]:
    """Every counter that is wrong. Counting goes on meanwhile, so that one may be right again by now."""
    return await tx.query(Drift, DRIFT)


async def correct(tx: TenantTx, drift: Drift) -> None:
    """Set a counter right, unless it has moved since it was looked at."""
    await tx.load(SET, kind=drift.kind, used=drift.used, counted=drift.counted)


PLANS: Final = text("SELECT plan, kind, most, is_default FROM plan_limits ORDER BY is_default DESC, plan, kind")


async def plans(tx: PlatformTx) -> dict[str, dict[str, int | None]]:
    """The limits of each plan as servers know them, the default plan first."""
    found: dict[str, dict[str, int | None]] = {}
    for row in await tx.query(_Planned, PLANS):
        found.setdefault(row.plan, dict.fromkeys(LIMITS))[row.kind] = row.most
    return found


async def configure(tx: PlatformTx, actor: Actor, wanted: Mapping[str, Plan], default: str) -> bool:
    """Write *wanted* down where limits are looked up, and say whether anything changed.

    Args:
        default: The plan of tenants that have no other; one of *wanted*.
    """
    rows = [
        {"plan": name, "kind": kind, "most": most, "is_default": name == default}
        for name, plan in wanted.items()
        for kind, most in plan.limits().items()
    ]
    known: Sequence[_Planned] = await tx.query(_Planned, PLANS)
    if {tuple(row.values()) for row in rows} == {(each.plan, each.kind, each.most, each.is_default) for each in known}:
        return False
    await tx.run(tx.delete(t.plan_limits))
    await tx.run(tx.insert(t.plan_limits), rows)
    audit.record(tx, actor, "plans.configured", ("plans", default), plans=sorted(wanted))
    return True


class _Planned(Struct, frozen=True):
    plan: str
    kind: str
    most: int | None
    is_default: bool


class _Used(Struct, frozen=True):
    used: int


class _Stands(Struct, frozen=True):
    used: int
    most: int


async def _count(tx: TenantTx, kind: Kind, by: int) -> bool:
    return bool(await tx.query(_Used, TAKE, tenant_id=tx.tenant_id, kind=kind, by=by))
