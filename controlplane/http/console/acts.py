"""What buttons of the console do about tenants: each is a form, changes one thing and leads back to its page."""

from typing import Annotated, Any, Final, Literal

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect, Stream
from msgspec import Meta, Struct

from controlplane.db.database import Database, TenantTx
from controlplane.domain import exports, quotas, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.keys import EVICTION
from controlplane.domain.permissions import Person
from controlplane.domain.plans import LIMITS
from controlplane.domain.tenants import DisclosurePolicy
from controlplane.domain.vault import disclosures, waiting
from controlplane.http import demanded_factors
from controlplane.http.archive import archive
from controlplane.http.authorize import Surface, rule
from controlplane.http.console.view import CONSOLE, home_of
from controlplane.http.paths import identity
from controlplane.http.transaction import TENANT_TX
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.wakeups import Wakeups

AnyRequest = Request[Any, Any, Any]

CHANGE: Final = rule(Surface.CONSOLE, "operator:tenant-write", fresh=True)
END: Final = rule(Surface.CONSOLE, "operator:tenant-delete", fresh=True)
TAKE_AWAY: Final = rule(Surface.CONSOLE, "tenant:export", fresh=True, unserved=True)
LEAVE: Final = rule(Surface.CONSOLE, "tenant:delete", fresh=True, unserved=True)


class NotConfirmed(Refusal):
    """What cannot be undone for ever is named by whoever wants it."""

    code, status, title = "not-confirmed", 400, "The name that you typed is not the tenant's"
    hint = "Go back, and type its slug exactly as it stands beside the field."


class LimitUnreadable(Refusal):
    code, status, title = "limit-unreadable", 400, "A limit is a number, “none”, or nothing"
    hint = "Go back: a number from 0 up, the word none for no limit, or an empty field for what the plan says."


class Words(Struct, frozen=True, kw_only=True):
    reason: Annotated[str, Meta(max_length=500)] = ""
    message: Annotated[str, Meta(max_length=500)] = ""


class Confirmation(Struct, frozen=True, kw_only=True):
    confirm: Annotated[str, Meta(max_length=40)] = ""


class Demand(Struct, frozen=True, kw_only=True):
    to: Literal["on", "off"]


class Opened(Struct, frozen=True, kw_only=True):
    to: DisclosurePolicy


class NewName(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=1_000)] = ""


@post("/suspend", opt=CHANGE)
async def suspend(
    data: URLEncodedBody[Words],
    db: NamedDependency[Database],
    actor: NamedDependency[Actor],
    wakeups: NamedDependency[Wakeups],
    target: FromPath[str],
) -> Response[Any]:
    async with db.tenant(await _found(db, target)) as tx:
        await tenants.suspend(tx, actor, data.reason.strip(), data.message.strip())
    await wakeups.nudge(EVICTION)
    return _back(target)


@post("/resume", opt=CHANGE)
async def resume(db: NamedDependency[Database], actor: NamedDependency[Actor], target: FromPath[str]) -> Response[Any]:
    async with db.tenant(await _found(db, target)) as tx:
        await tenants.resume(tx, actor)
    return _back(target)


@post("/delete", opt=END)
async def delete(
    data: URLEncodedBody[Confirmation],
    request: AnyRequest,
    db: NamedDependency[Database],
    actor: NamedDependency[Actor],
    target: FromPath[str],
) -> Response[Any]:
    async with db.tenant(await _found(db, target)) as tx:
        await _delete(tx, actor, request, data)
    return _back(target)


@post("/undelete", opt=END)
async def undelete(
    db: NamedDependency[Database], actor: NamedDependency[Actor], target: FromPath[str]
) -> Response[Any]:
    async with db.tenant(await _found(db, target)) as tx:
        await tenants.undelete(tx, actor)
    return _back(target)


@post("/limits", opt=CHANGE)
async def agree(
    request: AnyRequest, db: NamedDependency[Database], actor: NamedDependency[Actor], target: FromPath[str]
) -> Response[Any]:
    given = await request.form()
    overrides = {kind: _limit(text) for kind in LIMITS if (text := str(given.get(kind) or "").strip())}
    async with db.tenant(await _found(db, target)) as tx:
        await tenants.get(tx)
        await quotas.agree(tx, actor, str(given.get("plan") or "") or None, overrides)
    return _back(target)


@post("/name", opt=rule(Surface.CONSOLE, "tenant:write"))
async def rename(
    data: URLEncodedBody[NewName], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
) -> Response[Any]:
    return _home((await tenants.rename(tx, actor, data.name)).slug)


@post("/second-factor", opt=rule(Surface.CONSOLE, "tenant:own", fresh=True))
async def demand_second_factor(
    data: URLEncodedBody[Demand],
    tx: NamedDependency[TenantTx],
    actor: NamedDependency[Actor],
    person: NamedDependency[Person],
) -> Response[Any]:
    tenant, demanded = await tenants.get(tx), data.to == "on"
    if demanded:
        demanded_factors.check(person, tenant)
    if demanded != tenant.mfa_required:
        await tenants.demand_second_factor(tx, actor, demanded)
    return _home(tenant.slug)


@post("/disclosures", opt=rule(Surface.CONSOLE, "tenant:own", fresh=True))
async def decide_disclosures(
    data: URLEncodedBody[Opened], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
) -> Response[Any]:
    return _home((await disclosures.set_policy(tx, actor, data.to)).slug)


@post("/unsealed-reads", opt=rule(Surface.CONSOLE, "tenant:own", fresh=True))
async def allow_unsealed_reads(
    data: URLEncodedBody[Demand], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
) -> Response[Any]:
    tenant, allowed = await tenants.get(tx), data.to == "on"
    if allowed != tenant.unsealed_reads:
        await tenants.allow_unsealed_reads(tx, actor, allowed)
    return _home(tenant.slug)


@post("/device-flow", opt=rule(Surface.CONSOLE, "tenant:own", fresh=True))
async def allow_device_flow(
    data: URLEncodedBody[Demand], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
) -> Response[Any]:
    return _home((await waiting.allow(tx, actor, data.to == "on")).slug)


@post("/exports", opt=TAKE_AWAY)
async def export(tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]) -> Response[Any]:
    await exports.request(tx, actor)
    return _home((await tenants.get(tx)).slug)


@get("/exports/{export:str}", opt=TAKE_AWAY)
async def download(
    db: NamedDependency[Database],
    tx: NamedDependency[TenantTx],
    actor: NamedDependency[Actor],
    export: FromPath[str],
) -> Stream:
    return archive(db, tx.tenant_id, await exports.fetch(tx, actor, identity("exp", export)))


@post("/delete", opt=LEAVE)
async def leave(
    data: URLEncodedBody[Confirmation],
    request: AnyRequest,
    tx: NamedDependency[TenantTx],
    actor: NamedDependency[Actor],
) -> Response[Any]:
    return _home(await _delete(tx, actor, request, data))


@post("/undelete", opt=LEAVE)
async def stay(tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]) -> Response[Any]:
    return _home((await tenants.undelete(tx, actor)).slug)


ABOUT_ONE: Final = (suspend, resume, delete, undelete, agree)
"""At ``/console/tenants/{target}``, for operators."""

ABOUT_ONES_OWN: Final = (
    rename,
    demand_second_factor,
    decide_disclosures,
    allow_unsealed_reads,
    allow_device_flow,
    export,
    download,
    leave,
    stay,
)
"""At ``/console/t/{tenant}/settings``; with the tenant's transaction."""

IN_THE_TENANT: Final = TENANT_TX


async def _delete(tx: TenantTx, actor: Actor, request: AnyRequest, data: Confirmation) -> str:
    tenant = await tenants.get(tx)
    if data.confirm.strip() != tenant.slug:
        raise NotConfirmed
    await tenants.delete(tx, actor, request.app.state.deletion_grace)
    return tenant.slug


async def _found(db: Database, reference: str) -> TenantId:
    tenant_id = await tenants.find(db, reference)
    if tenant_id is None:
        raise NotFound
    return tenant_id


def _limit(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isdecimal() or len(text) > 9:
        raise LimitUnreadable
    return int(text)


def _back(target: str) -> Response[Any]:
    return Redirect(f"{CONSOLE}/tenants/{target}", status_code=303)


def _home(slug: str) -> Response[Any]:
    return Redirect(f"{home_of(slug)}/settings", status_code=303)
