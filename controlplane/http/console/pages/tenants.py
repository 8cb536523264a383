"""All tenants for those who run the service: which there are, in what state, how large; and each one's page."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Meta, Struct
from sqlalchemy import text

from controlplane.domain import quotas, tenants
from controlplane.domain.newest import Reading
from controlplane.domain.plans import LIMITS, RATES
from controlplane.domain.tenants import Status
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen
from controlplane.http.paths import identity
from controlplane.kit.ids import parse_id
from controlplane.kit.problems import NotFound

MOST: Final = 100

Part: TypeAlias = Annotated[str, Meta(max_length=200)]
Wanted: TypeAlias = Annotated[Status | None, QueryParameter(name="status")]


class Asked(Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    status: Status | None = None
    q: str | None = None
    after: UUID | None = None


class TenantRow(Struct, frozen=True, kw_only=True):
    tenant_id: UUID
    slug: str
    name: str
    status: str
    status_reason: str
    status_since: datetime | None
    purge_at: datetime | None
    plan: str | None
    created_at: datetime
    people: int
    runtimes: int
    ill: int
    """Runtimes that are meant to be connected and are not."""


class StatusTotal(Struct, frozen=True, kw_only=True):
    status: str
    tenants: int


class Tenants(Struct, frozen=True, kw_only=True):
    now: datetime
    rows: list[TenantRow]
    totals: dict[str, int]
    """By state, whatever the filters."""
    more: bool

    @property
    def there(self) -> int:
        """Those that still have something."""
        return sum(number for status, number in self.totals.items() if status != "deleted")


class LimitRow(Struct, frozen=True, kw_only=True):
    kind: str
    most: int | None
    used: int | None
    """None: not counted here."""
    overridden: bool

    @property
    def share(self) -> int:
        """Of the limit in use, in percent, 100 at most."""
        return min(100, round(100 * (self.used or 0) / self.most)) if self.most else 0


class OneTenant(Struct, frozen=True, kw_only=True):
    now: datetime
    tenant: "TenantFacts"
    limits: list[LimitRow]
    plans: list[str]
    people: int
    sessions: int
    certificate: bool


class TenantFacts(Struct, frozen=True, kw_only=True):
    tenant_id: UUID
    slug: str
    name: str
    status: str
    status_reason: str
    status_message: str
    status_by: str
    status_since: datetime | None
    purge_at: datetime | None
    plan: str | None
    created_at: datetime
    mfa_required: bool
    unsealed_reads: bool
    device_flow: bool


TOTALS: Final = text("SELECT status, count(*) AS tenants FROM tenants GROUP BY status")

NEWEST: Final = text(
    """
    SELECT t.tenant_id, t.slug, t.name, t.status, t.status_reason, t.status_since, t.purge_at, t.plan, t.created_at,
        (SELECT count(*) FROM users u WHERE u.tenant_id = t.tenant_id) AS people,
        (SELECT count(*) FROM runtimes r WHERE r.tenant_id = t.tenant_id AND r.revoked_at IS NULL) AS runtimes,
        (SELECT count(*) FROM runtimes r WHERE r.tenant_id = t.tenant_id AND r.revoked_at IS NULL
            AND r.state <> 'connected') AS ill
    FROM tenants t
    WHERE (CAST(:status AS text) IS NULL OR t.status = :status)
        AND (CAST(:q AS text) IS NULL OR starts_with(t.slug, lower(:q)) OR position(lower(:q) IN lower(t.name)) > 0)
        AND (CAST(:after AS uuid) IS NULL OR t.tenant_id < :after)
    ORDER BY t.tenant_id DESC LIMIT :most
    """
)

ONE: Final = text(
    """
    SELECT tenant_id, slug, name, status, status_reason, status_message, status_by, status_since, purge_at, plan,
        created_at, mfa_required, unsealed_reads, device_flow
    FROM tenants WHERE tenant_id = :tenant_id
    """
)

COUNTS: Final = text(
    """
    SELECT (SELECT count(*) FROM users WHERE tenant_id = :tenant_id) AS people,
        (SELECT count(*) FROM sessions WHERE tenant_id = :tenant_id) AS sessions
    """
)


class _Counts(Struct, frozen=True):
    people: int
    sessions: int


class _Planned(Struct, frozen=True):
    plan: str


async def gather(tx: Reading, asked: Asked) -> Tenants:
    totals = await tx.query(StatusTotal, TOTALS)
    q = (asked.q or "").strip() or None
    rows = await tx.query(TenantRow, NEWEST, status=asked.status, q=q, after=asked.after, most=MOST + 1)
    return Tenants(
        now=tx.now,
        rows=rows[:MOST],
        totals={row.status: row.tenants for row in totals},
        more=len(rows) > MOST,
    )


async def gather_one(tx: Reading, tenant_id: UUID) -> OneTenant:
    """
    Raises:
        NotFound: If there is no such tenant.
    """
    found = await tx.query(TenantFacts, ONE, tenant_id=tenant_id)
    if not found:
        raise NotFound
    [counts] = await tx.query(_Counts, COUNTS, tenant_id=tenant_id)
    return OneTenant(
        now=tx.now,
        tenant=found[0],
        limits=await limit_rows(tx, tenant_id),
        plans=[row.plan for row in await tx.query(_Planned, PLANS)],
        people=counts.people,
        sessions=counts.sessions,
        certificate=found[0].status == "deleted",
    )


PLANS: Final = text("SELECT DISTINCT plan FROM plan_limits ORDER BY plan")


async def limit_rows(tx: Reading, tenant_id: UUID) -> list[LimitRow]:
    """What the tenant may use, and how much of it is in use, counted now."""
    limits = await tx.query(quotas.Limit, quotas.SHOWN, tenant_id=tenant_id, kinds=list(LIMITS))
    used = {row.kind: row.used for row in await tx.query(_Used, quotas.IN_USE, tenant_id=tenant_id)}
    return [
        LimitRow(
            kind=limit.kind,
            most=limit.most,
            used=None if limit.kind in RATES else used[limit.kind],
            overridden=limit.overridden,
        )
        for limit in limits
    ]


class _Used(Struct, frozen=True):
    kind: str
    used: int


async def page(
    screen: NamedDependency[Screen],
    wanted: Wanted = None,
    q: FromQuery[Part | None] = None,
    after: FromQuery[str | None] = None,
) -> Response[str]:
    asked = Asked(status=wanted, q=q, after=identity("ten", after) if after else None)
    return await screen.show(
        Page(
            template="tenants/page.html",
            parts=("tenants/list",),
            gather=partial(gather, asked=asked),
            context={"asked": asked},
        )
    )


async def one(screen: NamedDependency[Screen], target: FromPath[str]) -> Response[Any]:
    """One tenant as those who run the service may see it."""
    tenant_id = parse_id("ten", target) or await tenants.find(screen.db, target)
    if tenant_id is None:
        raise NotFound
    return await screen.show(
        Page(
            template="operated/page.html",
            parts=("operated/head", "operated/limits", "operated/acts"),
            gather=partial(gather_one, tenant_id=tenant_id),
            context={"grace": screen.grace, "may": screen.view.may},
        )
    )
