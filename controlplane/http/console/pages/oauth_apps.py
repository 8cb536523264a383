"""OAuth apps: who the tenant is at providers, and the address to register there."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.vault import apps
from controlplane.domain.vault.apps import App, NewApp
from controlplane.domain.vault.provider import Provider
from controlplane.domain.vault.sealed import Proof
from controlplane.domain.vault.servers import ISSUER, OVERRIDES, RESOURCE
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import setting_up
from controlplane.http.connecting.desk import Vault
from controlplane.http.connecting.setting_up import WITH_APPS
from controlplane.http.console import forms
from controlplane.http.console.pages.connections import MOST_APPS, OF_A_VARIABLE, brought
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.guard import Guard
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

OF_AN_ADDRESS: Final = "address_"
"""What the names of inputs begin with that hold an address."""


class Filled(Struct, frozen=True, kw_only=True):
    """The form of an app. Its secret is never shown again, to whoever typed it neither."""

    provider: Annotated[str, Meta(max_length=40)] = ""
    name: Annotated[str, Meta(max_length=100)] = ""
    client_id: Annotated[str, Meta(max_length=500)] = ""
    client_secret: Annotated[str, Meta(max_length=4_000)] = ""
    private_key: Annotated[str, Meta(max_length=20_000)] = ""
    key_id: Annotated[str, Meta(max_length=200)] = ""
    scopes: Annotated[str, Meta(max_length=4_000)] = ""


EMPTY: Final = Filled()


class AppsPage(Struct, frozen=True, kw_only=True):
    apps: list[App]
    shared: list[App]
    providers: list[Provider]
    """At which one is somebody by an app."""
    names: dict[str, str]
    chosen: Provider | None
    addresses: Sequence[str]
    redirects: dict[str, str]
    """Where browsers come back to, by app."""


async def page(
    screen: NamedDependency[Screen], vault: NamedDependency[Vault], provider: FromQuery[str] = ""
) -> Response[str]:
    return await screen.show(_all(vault, Filled(provider=provider)))


async def make(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    guard: NamedDependency[Guard],
) -> Response[Any]:
    """Set an app up, and show the address to register."""
    filled = await forms.read(request, Filled)
    variables, overrides = await brought(request, OF_A_VARIABLE), await brought(request, OF_AN_ADDRESS)
    new = NewApp(
        provider=filled.provider,
        name=filled.name.strip() or filled.provider,
        client_id=filled.client_id.strip(),
        proof=Proof(secret=_secret(filled.client_secret), key=_secret(filled.private_key)),
        key_id=filled.key_id.strip(),
        variables=variables,
        overrides=overrides,
        scopes=filled.scopes.split(),
    )
    try:
        setting_up.check(vault, guard, new.provider, new.variables, new.overrides)
    except Refusal as problem:
        return await screen.show(_all(vault, filled), problem)

    async def work(tx: TenantTx) -> None:
        await apps.create(tx, actor, new)

    return await screen.act(work, "/oauth-apps", _all(vault, filled))


async def delete(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    app: FromPath[str],
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await apps.delete(tx, actor, identity("app", app))

    return await screen.act(work, "/oauth-apps", _all(vault))


def _secret(text: str) -> Secret | None:
    return Secret(text) if text else None


async def _gather(tx: Reading, vault: Vault, filled: Filled) -> AppsPage:
    own = within(tx)
    mine = await apps.listing(own, after=None, limit=MOST_APPS)
    shared = await apps.listing(own.on_platform(), after=None, limit=MOST_APPS)
    with_apps = [each for each in vault.catalogue.listing() if each.kind in WITH_APPS]
    chosen = next((each for each in with_apps if each.id == filled.provider), None)
    brings = chosen is not None and chosen.own_urls
    named = {"oidc": (ISSUER,), "mcp": (RESOURCE, ISSUER)}
    addresses = named.get(chosen.kind, OVERRIDES) if brings and chosen is not None else ()
    return AppsPage(
        apps=mine,
        shared=shared,
        providers=with_apps,
        names={each.id: each.name for each in vault.catalogue.listing()},
        chosen=chosen,
        addresses=addresses,
        redirects={str(each.id): vault.redirect_uri(each.id) for each in mine},
    )


def _all(vault: Vault, filled: Filled = EMPTY) -> Page:
    gather = partial(_gather, vault=vault, filled=filled)
    return Page(template="connections/apps.html", parts=(), gather=gather, context={"filled": filled})


def _hung(address: str, act: Any) -> HTTPRouteHandler:
    takes = rule(Surface.CONSOLE, "oauth-app:write", frozenset({"oauth-app:read"}), fresh=True)
    return post(address, status_code=200, opt=takes)(act)


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/oauth-apps", opt=rule(Surface.CONSOLE, "oauth-app:read"))(page),
    _hung("/oauth-apps", make),
    _hung("/oauth-apps/{app:str}/delete", delete),
)
"""Where this page hangs, below a tenant."""
