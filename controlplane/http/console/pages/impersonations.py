"""Operators who work as a tenant's people: the owners' page, where they decide, and the operators', where they ask."""

import contextlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from msgspec import Meta, Struct

from controlplane.db.database import Database, TenantTx
from controlplane.domain import handing_on, people, tenants, users
from controlplane.domain.audit import Actor
from controlplane.domain.impersonation import requests
from controlplane.domain.impersonation.requests import (
    LONGEST_MINUTES,
    MAX_REASON,
    MAX_TICKET,
    Impersonation,
    State,
    Wanted,
)
from controlplane.domain.keys import Keyring
from controlplane.domain.masks import Mode
from controlplane.domain.people import Account, User
from controlplane.domain.tenants import ImpersonationPolicy
from controlplane.http import impersonating
from controlplane.http.authorize import Surface, as_oneself, rule
from controlplane.http.console import forms
from controlplane.http.console.screen import Act, Screen
from controlplane.http.console.view import CONSOLE, home_of
from controlplane.http.paths import identity
from controlplane.kit.ids import AccountId, TenantId, parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

AnyRequest: TypeAlias = Request[Any, Any, Any]

ROWS: Final = 25

SUGGESTED: Final = 200
"""People whose addresses are offered in the form."""

SEES: Final = rule(Surface.CONSOLE, "impersonation:read", frozenset({"user:read"}))
OWNS: Final = rule(Surface.CONSOLE, "tenant:own", frozenset({"impersonation:read", "user:read"}))
AGREES: Final = rule(Surface.CONSOLE, "tenant:own", frozenset({"impersonation:read", "user:read"}), fresh=True)
LOOKS: Final = rule(Surface.CONSOLE, "operator:impersonation-read")
ASKS: Final = rule(Surface.CONSOLE, "operator:impersonate", frozenset({"operator:impersonation-read"}), fresh=True)
ENDS: Final = as_oneself(rule(Surface.CONSOLE, "operator:impersonate"))


class Shown(Struct, frozen=True):
    """One of them with the names of both."""

    row: Impersonation
    state: State
    operator: Account | None
    user: User | None
    agreed: Account | None = None
    """Who has agreed, if it was somebody who is here still."""


class Filled(Struct, frozen=True, kw_only=True):
    """The operators' form."""

    email: Annotated[str, Meta(max_length=254)] = ""
    reason: Annotated[str, Meta(max_length=MAX_REASON)] = ""
    ticket: Annotated[str, Meta(max_length=MAX_TICKET)] = ""
    minutes: Annotated[int, Meta(ge=1, le=LONGEST_MINUTES)] = 30
    mode: Mode = "read_only"


class Decision(Struct, frozen=True, kw_only=True):
    policy: ImpersonationPolicy


class NoReason(Refusal):
    code, status, title = "impersonation-without-reason", 400, "There is no reason given"
    hint = "Say why: the tenant's owners read it."


async def page(screen: NamedDependency[Screen], after: FromQuery[str | None] = None) -> Response[str]:
    """What a tenant sees, and its owners decide."""
    return await _of_tenant(screen, after)


async def consent(
    request: AnyRequest, screen: NamedDependency[Screen], actor: NamedDependency[Actor], impersonation: FromPath[str]
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        by = handing_on.oneself(request.user)
        await requests.consent(tx, actor, by, identity("imp", impersonation))

    return await _done(screen, work)


async def refuse(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], impersonation: FromPath[str]
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await requests.refuse(tx, actor, identity("imp", impersonation))

    return await _done(screen, work)


async def end(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], impersonation: FromPath[str]
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await requests.end(tx, actor, identity("imp", impersonation), "owner")

    return await _done(screen, work)


async def decide(request: AnyRequest, screen: NamedDependency[Screen], actor: NamedDependency[Actor]) -> Response[Any]:
    decision = await forms.read(request, Decision)

    async def work(tx: TenantTx) -> None:
        await requests.set_policy(tx, actor, decision.policy)

    return await _done(screen, work)


async def page_of_operators(
    screen: NamedDependency[Screen], target: FromPath[str], after: FromQuery[str | None] = None
) -> Response[str]:
    """What an operator asks for in one tenant, and begins."""
    return await _of_operators(screen, target, after)


async def ask(
    request: AnyRequest, screen: NamedDependency[Screen], actor: NamedDependency[Actor], target: FromPath[str]
) -> Response[Any]:
    filled = await forms.read(request, Filled)
    tenant_id = await _tenant_id(screen.db, target)
    try:
        if not filled.reason.strip():
            raise NoReason
        wanted = Wanted(
            user_id=await _user_id(screen.db, tenant_id, filled.email),
            reason=filled.reason.strip(),
            ticket=filled.ticket.strip(),
            minutes=filled.minutes,
            mode=filled.mode,
        )
        await impersonating.ask(request, screen.db, actor, tenant_id, wanted)
    except NotFound:
        raise
    except Refusal as problem:
        return await _of_operators(screen, target, None, filled, problem)
    return _back(tenant_id)


async def start(
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    actor: NamedDependency[Actor],
    impersonation: FromPath[str],
) -> Response[Any]:
    """Into the tenant, as somebody of it."""
    row, cookie = await impersonating.start(request, db, keyring, actor, identity("imp", impersonation))
    async with db.tenant(row.tenant_id) as tx:
        slug = (await tenants.get(tx)).slug
    return Redirect(f"{home_of(slug)}/", status_code=303, cookies=[cookie])


async def stop(
    request: AnyRequest, db: NamedDependency[Database], actor: NamedDependency[Actor], impersonation: FromPath[str]
) -> Response[Any]:
    """Out again, and back to oneself. Where it was over already, it stays so."""
    impersonation_id = identity("imp", impersonation)
    tenant_id = await impersonating.tenant_of(db, impersonation_id)
    with contextlib.suppress(requests.ImpersonationElsewhere):
        await impersonating.end(request, db, actor, impersonation_id)
    return _back(tenant_id, impersonating.gone(request))


OF_THE_TENANT: Final[Sequence[HTTPRouteHandler]] = (
    get("/impersonations", opt=SEES)(page),
    post("/impersonations/policy", status_code=200, opt=AGREES)(decide),
    post("/impersonations/{impersonation:str}/consent", status_code=200, opt=AGREES)(consent),
    post("/impersonations/{impersonation:str}/refuse", status_code=200, opt=OWNS)(refuse),
    post("/impersonations/{impersonation:str}/end", status_code=200, opt=OWNS)(end),
)
"""Below a tenant."""

OF_OPERATORS: Final[Sequence[HTTPRouteHandler]] = (
    get("/tenants/{target:str}/impersonations", opt=LOOKS)(page_of_operators),
    post("/tenants/{target:str}/impersonations", status_code=200, opt=ASKS)(ask),
    post("/impersonations/{impersonation:str}/start", status_code=200, opt=ASKS)(start),
    post("/impersonations/{impersonation:str}/end", status_code=200, opt=ENDS)(stop),
)
"""Below the console."""


async def _done(screen: Screen, work: Act) -> Response[Any]:
    try:
        return await screen.act(work, "/impersonations")
    except NotFound:
        raise
    except Refusal as problem:
        return await _of_tenant(screen, None, problem)


async def _of_tenant(screen: Screen, after: str | None, problem: Refusal | None = None) -> Response[str]:
    async with screen.inside() as tx:
        rows, older = await _page(tx, after)
        shown = await _shown(screen.db, tx, rows)
        now = tx.now
    own = {"rows": shown, "older": older, "now": now, "owns": screen.view.may("tenant:own")}
    return await screen.plain("impersonation/tenant.html", own, problem)


async def _of_operators(
    screen: Screen,
    target: str,
    after: str | None,
    filled: Filled = Filled(),  # noqa: B008 frozen
    problem: Refusal | None = None,
) -> Response[str]:
    tenant_id = await _tenant_id(screen.db, target)
    async with screen.db.tenant(tenant_id) as tx:
        tenant = await tenants.get(tx)
        rows, older = await _page(tx, after)
        own = {
            "tenant": tenant,
            "rows": await _shown(screen.db, tx, rows),
            "older": older,
            "people": await users.suggested(tx, SUGGESTED),
            "now": tx.now,
            "filled": filled,
        }
    return await screen.plain("impersonation/operator.html", own, problem)


async def _page(tx: TenantTx, after: str | None) -> tuple[list[Impersonation], str | None]:
    """The rows of a page, and from where on there are older ones."""
    behind = None if after is None else identity("imp", after)
    rows = await requests.listing(tx, after=behind, limit=ROWS + 1)
    return rows[:ROWS], text_id("imp", rows[ROWS - 1].id) if len(rows) > ROWS else None


async def _shown(db: Database, tx: TenantTx, rows: Sequence[Impersonation]) -> list[Shown]:
    named = await users.by_id(tx, [row.user_id for row in rows])
    owners = {row.id: AccountId(found) for row in rows if (found := parse_id("acc", row.consented_by))}
    async with db.platform() as platform:
        known = await people.accounts(platform, [*(row.operator_id for row in rows), *owners.values()])
    return [
        Shown(
            row,
            row.state(tx.now),
            known.get(row.operator_id),
            named.get(row.user_id),
            known.get(owners[row.id]) if row.id in owners else None,
        )
        for row in rows
    ]


async def _tenant_id(db: Database, target: str) -> TenantId:
    found = parse_id("ten", target) or await tenants.find(db, target)
    if found is None:
        raise NotFound
    return TenantId(found)


async def _user_id(db: Database, tenant_id: TenantId, email: str) -> UUID:
    """
    Raises:
        ImpersonationOfNobody: If nobody there has this address.
    """
    async with db.tenant(tenant_id) as tx:
        try:
            user_id, _ = await people.user_with(tx, email)
        except NotFound:
            raise requests.ImpersonationOfNobody from None
    return user_id


def _back(tenant_id: TenantId, *cookies: Any) -> Response[Any]:
    address = f"{CONSOLE}/tenants/{text_id('ten', tenant_id)}/impersonations"
    return Redirect(address, status_code=303, cookies=list(cookies))
