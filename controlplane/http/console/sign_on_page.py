"""A tenant's single sign-on, step by step: its domains, its identity provider, a test, and turning it on."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect
from msgspec import UNSET, Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import domains, roles
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Person
from controlplane.domain.sso import connections
from controlplane.domain.sso.connections import Change, ClientId, ClientSecret, Connection, Issuer, Name, NewConnection
from controlplane.domain.sso.identities import TOO_MUCH
from controlplane.http import looking_up
from controlplane.http.authorize import Surface, rule
from controlplane.http.console.screen import Screen
from controlplane.http.console.sign_in import AnyRequest
from controlplane.http.console.single_sign_on import away, told
from controlplane.http.paths import identity
from controlplane.http.sso import leaving, refusals, setting_up
from controlplane.http.sso.desk import Desk, SignOn
from controlplane.http.sso.setting_up import Step
from controlplane.http.transaction import TENANT_TX
from controlplane.kit.openid.exchange import ClientAuth
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

MOST_ROLES: Final = 200

SEES: Final = rule(Surface.CONSOLE, "sso:read")
CLAIMS: Final = rule(Surface.CONSOLE, "domain:manage", fresh=True)
SETS_UP: Final = rule(Surface.CONSOLE, "sso:manage", fresh=True)

DONE: Final[Mapping[str, str]] = {
    "domain": "The domain is on the list. Put its record into your DNS, then have it looked for.",
    "gone": "It is deleted.",
    "connection": "The connection is kept. Test it before you turn it on.",
    "sso": "You came back from the provider: the connection works. You can turn it on now.",
    "edited": "It is changed. With another client id or secret it has to be tested again, before it is turned on anew.",
    "changed": "It is as you wanted it.",
}
"""What the page says at its top, by what the address names after ``done``."""

FINDINGS: Final[Mapping[str, str]] = {
    "": "not looked for yet",
    "found": "the record is there",
    "no-record": "the DNS was asked, and has no such record; it can take an hour until a new one is seen everywhere",
    "other-value": "the DNS has such a record, with another value",
    "not-answered": "the DNS did not answer; try again later",
}


class Claim(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=253)]


class SetUp(Struct, frozen=True, kw_only=True):
    name: Name
    issuer: Issuer
    client_id: ClientId
    client_secret: ClientSecret
    client_auth: ClientAuth = "client_secret_basic"
    default_role: Annotated[str, Meta(max_length=60)] = ""
    trusts_addresses: str = ""


class Edit(Struct, frozen=True, kw_only=True):
    """What else a connection can be; an empty secret is the one that is kept."""

    name: Name
    client_id: ClientId
    client_secret: Annotated[str, Meta(max_length=500)] = ""
    client_auth: ClientAuth
    default_role: Annotated[str, Meta(max_length=60)] = ""
    trusts_addresses: str = ""


class Turn(Struct, frozen=True, kw_only=True):
    to: Annotated[str, Meta(pattern="^(active|disabled|enforced|relaxed)$")]


TURNS: Final[Mapping[str, Change]] = {
    "active": Change(status="active"),
    "disabled": Change(status="disabled"),
    "enforced": Change(enforced=True),
    "relaxed": Change(enforced=False),
}


@get("/", opt=SEES)
async def page(screen: NamedDependency[Screen], request: AnyRequest, sign_on: NamedDependency[SignOn]) -> Response[str]:
    return await _page(screen, request, sign_on)


@post("/domains", opt=CLAIMS)
async def claim(
    data: URLEncodedBody[Claim],
    screen: NamedDependency[Screen],
    request: AnyRequest,
    sign_on: NamedDependency[SignOn],
    actor: NamedDependency[Actor],
) -> Response[Any]:
    try:
        async with screen.db.tenant(request.state.tenant_id) as tx:
            await domains.create(tx, actor, data.name)
    except Refusal as refusal:
        return await _page(screen, request, sign_on, refusal)
    return _back(screen, "domain")


@post("/domains/{domain:str}/verify", opt=CLAIMS)
async def verify(
    screen: NamedDependency[Screen],
    request: AnyRequest,
    sign_on: NamedDependency[SignOn],
    actor: NamedDependency[Actor],
    domain: FromPath[str],
) -> Response[Any]:
    try:
        tenant_id = request.state.tenant_id
        await looking_up.domain(screen.db, sign_on.records, actor, tenant_id, identity("dom", domain))
    except domains.DomainTaken as refusal:
        return await _page(screen, request, sign_on, refusal)
    return Redirect(_address(screen), status_code=303)


@post("/domains/{domain:str}/delete", opt=CLAIMS, dependencies=TENANT_TX)
async def let_go(
    screen: NamedDependency[Screen],
    tx: NamedDependency[TenantTx],
    actor: NamedDependency[Actor],
    domain: FromPath[str],
) -> Response[Any]:
    await domains.delete(tx, actor, identity("dom", domain))
    return _back(screen, "gone")


@post("/connections", opt=SETS_UP)
async def set_up(
    data: URLEncodedBody[SetUp],
    screen: NamedDependency[Screen],
    request: AnyRequest,
    sign_on: NamedDependency[SignOn],
    actor: NamedDependency[Actor],
) -> Response[Any]:
    new = NewConnection(
        name=data.name,
        issuer=data.issuer.strip(),
        client_id=data.client_id.strip(),
        client_secret=Secret(data.client_secret.strip()),
        client_auth=data.client_auth,
        default_role=data.default_role or None,
        trusts_addresses=bool(data.trusts_addresses),
    )
    try:
        async with screen.db.tenant(request.state.tenant_id) as tx:
            await setting_up.check(tx, sign_on.providers.guard, request.user, new)
            await connections.create(tx, actor, new)
    except Refusal as refusal:
        return await _page(screen, request, sign_on, refusal, filled=data)
    return _back(screen, "connection")


@post("/connections/{connection:str}", opt=SETS_UP)
async def change(
    data: URLEncodedBody[Edit],
    screen: NamedDependency[Screen],
    request: AnyRequest,
    sign_on: NamedDependency[SignOn],
    actor: NamedDependency[Actor],
    connection: FromPath[str],
) -> Response[Any]:
    """A new secret, another role; what stays as it was is no change, so that a test goes on counting."""
    connection_id, role, secret = identity("sso", connection), data.default_role or None, data.client_secret.strip()
    try:
        async with screen.db.tenant(request.state.tenant_id) as tx:
            earlier = await connections.get(tx, connection_id)
            if role is not None and role != earlier.default_role:
                await setting_up.check_role(tx, request.user, role)
            wanted = Change(
                name=data.name.strip(),
                client_id=_other(earlier.client_id, data.client_id.strip()),
                client_secret=Secret(secret) if secret else UNSET,
                client_auth=_other(earlier.client_auth, data.client_auth),
                default_role=role,
                trusts_addresses=bool(data.trusts_addresses),
            )
            await connections.change(tx, actor, connection_id, wanted)
    except Refusal as refusal:
        return await _page(screen, request, sign_on, refusal)
    return _back(screen, "edited")


@post("/connections/{connection:str}/examine", opt=rule(Surface.CONSOLE, "sso:manage"))
async def examine(
    screen: NamedDependency[Screen], request: AnyRequest, sign_on: NamedDependency[SignOn], connection: FromPath[str]
) -> Response[str]:
    """What can be found out without a person, on the page itself."""
    async with screen.db.tenant(request.state.tenant_id) as tx:
        wanted = await connections.get(tx, identity("sso", connection))
    steps = await setting_up.examine(sign_on.providers, wanted.issuer, wanted.client_auth)
    return await _page(screen, request, sign_on, examined=(wanted, steps))


@post("/connections/{connection:str}/test", opt=SETS_UP)
async def test(
    screen: NamedDependency[Screen],
    desk: NamedDependency[Desk],
    person: NamedDependency[Person],
    request: AnyRequest,
    connection: FromPath[str],
) -> Response[Any]:
    """To the provider and back, as whoever set it up."""
    async with screen.db.tenant(request.state.tenant_id) as tx:
        wanted = await connections.get(tx, identity("sso", connection))
    try:
        trusted = await desk.of_connection(wanted.id)
        return away(await leaving.to_test(desk, person, trusted, _address(screen)))
    except Refusal as refusal:
        return await _page(screen, request, desk.sign_on, refusal)


@post("/connections/{connection:str}/turn", opt=SETS_UP)
async def turn(
    data: URLEncodedBody[Turn],
    screen: NamedDependency[Screen],
    request: AnyRequest,
    actor: NamedDependency[Actor],
    desk: NamedDependency[Desk],
    connection: FromPath[str],
) -> Response[Any]:
    try:
        async with screen.db.tenant(request.state.tenant_id) as tx:
            if TURNS[data.to].enforced is True:
                setting_up.check_way_back(request.user, tx.tenant_id)
            await connections.change(tx, actor, identity("sso", connection), TURNS[data.to])
    except (
        connections.NotTested,
        connections.NotActive,
        connections.ActiveElsewhere,
        setting_up.WayBackMissing,
    ) as refusal:
        return await _page(screen, request, desk.sign_on, refusal)
    return _back(screen, "changed")


@post("/connections/{connection:str}/delete", opt=SETS_UP, dependencies=TENANT_TX)
async def forget(
    screen: NamedDependency[Screen],
    tx: NamedDependency[TenantTx],
    actor: NamedDependency[Actor],
    connection: FromPath[str],
) -> Response[Any]:
    await connections.delete(tx, actor, identity("sso", connection))
    return _back(screen, "gone")


HANDLERS: Final = [page, claim, verify, let_go, set_up, change, examine, test, turn, forget]


async def _page(
    screen: Screen,
    request: AnyRequest,
    sign_on: SignOn,
    problem: Refusal | None = None,
    *,
    examined: tuple[Connection, list[Step]] | None = None,
    filled: SetUp | None = None,
) -> Response[str]:
    assert screen.view.tenant is not None, "the page hangs inside a tenant"
    async with screen.db.tenant(screen.view.tenant.tenant_id) as tx:
        own = await domains.listing(tx, after=None, limit=domains.MOST)
        held = await connections.listing(tx, after=None, limit=connections.MOST)
        every_role = await roles.listing(tx, after=None, limit=MOST_ROLES)
        turned_down = await refusals.newest(tx)
        now = tx.now
    authorizer = request.app.state.authorizer
    context = {
        "domains": own,
        "connections": held,
        "active": next((each for each in held if each.status == "active"), None),
        "examined": examined,
        "filled": filled,
        "turned_down": turned_down,
        "findings": FINDINGS,
        "roles": [role.name for role in every_role if not role.permissions & TOO_MUCH],
        "redirect_uri": sign_on.redirect_uri,
        "logout_uri": sign_on.backchannel_logout_uri,
        "manages": authorizer.decide(request.user, "sso:manage").allow,
        "claims": authorizer.decide(request.user, "domain:manage").allow,
        "came_back": told(request.query_params.get("problem", "")),
        "done": DONE.get(request.query_params.get("done", ""), ""),
        "now": now,
    }
    return await screen.plain("sign_on/page.html", context, problem)


def _other(earlier: Any, wanted: Any) -> Any:
    return UNSET if wanted == earlier else wanted


def _address(screen: Screen) -> str:
    return f"{screen.view.base}/single-sign-on"


def _back(screen: Screen, done: str) -> Response[Any]:
    return Redirect(f"{_address(screen)}?{urlencode({'done': done})}", status_code=303)
