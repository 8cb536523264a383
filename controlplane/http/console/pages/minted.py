"""Connections whose app gets tokens by itself: made in the gallery, and asked to try again."""

from collections.abc import Sequence
from typing import Any, Final, get_args

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, minted
from controlplane.domain.vault.asking import Minting
from controlplane.domain.vault.minted import MintingChange, NewMinted
from controlplane.domain.vault.provider import Way
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import starting
from controlplane.http.connecting.desk import Vault
from controlplane.http.console import forms
from controlplane.http.console.pages import connection as one
from controlplane.http.console.pages.connections import ADDS, OF_A_VARIABLE, Filled, brought, gallery_page
from controlplane.http.console.screen import Screen
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound, Refusal


async def make(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
) -> Response[Any]:
    """Have an app get tokens by itself from now on."""
    filled = await forms.read(request, Filled)
    variables = await brought(request, OF_A_VARIABLE)
    try:
        async with screen.inside() as tx:
            app = await starting.app_of(tx, identity("app", filled.app))
            project = await projects.named(tx, filled.project) if filled.project else None
            new = NewMinted(
                name=filled.name.strip(),
                way=msgspec.convert(filled.way, Way) if filled.way in get_args(Way) else None,
                variables=variables,
                scopes=filled.scopes.split() or None,
                minting=_minting(filled),
                project_id=project.id if project else None,
            )
            made = await minted.create(tx, actor, app, vault.provider(app.provider), new)
    except NotFound:
        raise
    except Refusal as problem:
        return await screen.show(gallery_page(vault, filled), problem)
    return Redirect(f"{screen.view.base}/connections/{text_id('con', made.id)}", status_code=303)


async def again(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
) -> Response[Any]:
    """Ask for the same once more, after somebody has mended what was wrong."""

    async def work(tx: TenantTx) -> None:
        its = await connections.get(tx, identity("con", connection))
        await minted.change(tx, actor, vault.provider(its.provider), its.id, MintingChange())

    return await screen.act(work, f"/connections/{connection}", one.one_page(vault, connection))


def _minting(filled: Filled) -> Minting:
    """
    Raises:
        Invalid: If the permissions are written otherwise than as pairs.
    """
    return Minting(
        subject=filled.subject.strip(),
        audience=filled.audience.strip(),
        repositories=tuple(filled.repositories.split()),
        permissions=forms.pairs(filled.permissions),
    )


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    post("/connections/minted", status_code=200, opt=rule(Surface.CONSOLE, "connection:write", ADDS, fresh=True))(make),
    post(
        "/connections/{connection:str}/minting",
        status_code=200,
        opt=rule(Surface.CONSOLE, "connection:write", one.SHOWS, fresh=True),
    )(again),
)
"""Where these forms are sent, below a tenant."""
