"""Connecting an MCP server from its address: what it says of itself, an app there, and off to whoever lets people in."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.vault import apps
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import discovering, starting
from controlplane.http.connecting.desk import Desk
from controlplane.http.connecting.discovering import MCP
from controlplane.http.console import forms
from controlplane.http.console.pages.connections import ADDS, Filled, gallery_page, off
from controlplane.http.console.screen import Screen
from controlplane.kit.ids import OAuthAppId, new_id
from controlplane.kit.problems import NotFound, Refusal


async def connect(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
    connect_desk: NamedDependency[Desk],
) -> Response[Any]:
    """Through the app that the tenant has at this server, or a new one."""
    filled = await forms.read(request, Filled)
    try:
        app_id = await _app_at(screen, actor, keyring, connect_desk, discovering.Wanted(url=filled.url.strip()))
        name, project = filled.name.strip(), filled.project or None
        wanted = starting.Wanted(provider=MCP, app_id=app_id, name=name, project=project)
        return await off(screen, actor, connect_desk, wanted)
    except NotFound:
        raise
    except Refusal as problem:
        return await screen.show(gallery_page(connect_desk.vault, filled), problem)


async def _app_at(screen: Screen, actor: Actor, keyring: Keyring, desk: Desk, wanted: discovering.Wanted) -> UUID:
    async with screen.inside() as tx:
        known = await discovering.known(tx, wanted)
    if known is not None:
        return known.id
    app_id = OAuthAppId(new_id(desk.db.clock()))
    new = await discovering.found(desk.vault, keyring, app_id, wanted)
    async with screen.inside() as tx:
        await apps.create(tx, actor, new, app_id)
    return app_id


TAKES: Final = ADDS | {"connection:connect"}

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    post("/connections/mcp", status_code=200, opt=rule(Surface.CONSOLE, "oauth-app:write", TAKES, fresh=True))(connect),
)
"""Where this form is sent, below a tenant."""
