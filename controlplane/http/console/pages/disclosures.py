"""What two people do on a connection's page, so that one of them reads its credential."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.vault import disclosures
from controlplane.domain.vault.disclosures import MAX_REASON, Who
from controlplane.domain.vault.sealed import Access
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting.desk import Vault
from controlplane.http.console import forms
from controlplane.http.console.pages.connection import SHOWS, one_page
from controlplane.http.console.screen import Act, Screen
from controlplane.http.paths import identity
from controlplane.kit.problems import NotFound, Refusal


class Asked(Struct, frozen=True, kw_only=True):
    reason: Annotated[str, Meta(max_length=MAX_REASON)] = ""


class NoReason(Refusal):
    code, status, title = "disclosure-without-reason", 400, "There is no reason given"
    hint = "Say why: the tenant's owners read it."


async def ask(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
) -> Response[Any]:
    asked = await forms.read(request, Asked)

    async def work(tx: TenantTx) -> None:
        if not asked.reason.strip():
            raise NoReason
        await disclosures.request(tx, actor, _who(screen), identity("con", connection), asked.reason.strip())

    return await _done(screen, vault, connection, work)


async def approve(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
    disclosure: FromPath[str],
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await disclosures.approve(tx, actor, _who(screen), identity("dis", disclosure))

    return await _done(screen, vault, connection, work)


async def refuse(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
    disclosure: FromPath[str],
) -> Response[Any]:
    async def work(tx: TenantTx) -> None:
        await disclosures.refuse(tx, actor, _who(screen), identity("dis", disclosure))

    return await _done(screen, vault, connection, work)


async def read(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
    disclosure: FromPath[str],
) -> Response[Any]:
    """The credential, on a page that no browser keeps."""
    try:
        async with screen.inside() as tx:
            found = await disclosures.read(tx, actor, _who(screen), keyring, identity("dis", disclosure))
    except NotFound:
        raise
    except Refusal as problem:
        return await screen.show(one_page(vault, connection), problem)
    own = {"its": found.connection, "values": _values(found.access)}
    return await screen.plain("connections/disclosed.html", own)


def _values(access: Access) -> dict[str, str]:
    token = {"token": access.token.reveal()} if access.token else {}
    return {**token, **{name: each.reveal() for name, each in access.fields.items()}}


def _who(screen: Screen) -> Who:
    person = screen.view.person
    return Who(account_id=person.account_id, name=person.name or person.email, public_url=screen.view.public_url)


async def _done(screen: Screen, vault: Vault, connection: str, work: Act) -> Response[Any]:
    return await screen.act(work, f"/connections/{connection}", one_page(vault, connection))


def _hung(address: str, act: Any, *, fresh: bool = True) -> HTTPRouteHandler:
    return post(address, status_code=200, opt=rule(Surface.CONSOLE, "connection:disclose", SHOWS, fresh=fresh))(act)


HERE: Final = "/connections/{connection:str}/disclosures"

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    _hung(HERE, ask),
    _hung(f"{HERE}/{{disclosure:str}}/approve", approve),
    _hung(f"{HERE}/{{disclosure:str}}/refuse", refuse, fresh=False),
    _hung(f"{HERE}/{{disclosure:str}}/read", read),
)
"""Below a tenant."""
