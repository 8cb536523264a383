"""Consenting on another device: a code to be typed in elsewhere, and asking what became of it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Struct

from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.vault import connecting, waiting
from controlplane.domain.vault.confirming import NotTheirs
from controlplane.domain.vault.connecting import ConnectSession
from controlplane.domain.vault.waiting import Waiting
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import elsewhere, starting
from controlplane.http.connecting.desk import Desk
from controlplane.http.connecting.returning import TOLD, SaidNo
from controlplane.http.console import forms
from controlplane.http.console.pages.connections import ADDS, Filled, gallery_page, wanted_of
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import ConnectSessionId, text_id
from controlplane.kit.problems import NotFound, Refusal


class DevicePage(Struct, frozen=True, kw_only=True):
    now: datetime
    session: ConnectSession
    waiting: Waiting
    problem: type[Refusal] | None
    """Why nothing came of it."""


async def begin(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    connect_desk: NamedDependency[Desk],
) -> Response[Any]:
    """Get a code, and show it."""
    filled = await forms.read(request, Filled)
    try:
        wanted = await wanted_of(request, filled)
        async with screen.inside() as tx:
            new = await starting.session(tx, connect_desk.vault, screen.view.person, wanted)
            session, _ = await connecting.begin(tx, connect_desk.pepper, actor, new)
            tenant_id = tx.tenant_id
        await elsewhere.begin(connect_desk, actor, tenant_id, session.id)
    except NotFound:
        raise
    except Refusal as problem:
        return await screen.show(gallery_page(connect_desk.vault, filled), problem)
    return Redirect(f"{screen.view.base}/connections/device/{text_id('cns', session.id)}", status_code=303)


async def page(screen: NamedDependency[Screen], connect_session: FromPath[str]) -> Response[str]:
    gather = partial(_gather, session_id=identity("cns", connect_session), person_id=screen.view.person.account_id)
    return await screen.show(Page(template="connections/device.html", parts=(), gather=gather, context={}))


async def ask(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    connect_desk: NamedDependency[Desk],
    connect_session: FromPath[str],
) -> Response[Any]:
    """On to the connection, to confirm it, once there is one."""
    session_id = ConnectSessionId(identity("cns", connect_session))
    async with screen.inside() as tx:
        tenant_id = tx.tenant_id
        _check_own(await connecting.get(tx, session_id), screen.view.person.account_id)
    session = await elsewhere.ask(connect_desk, actor, tenant_id, session_id)
    made = text_id("con", session.made_id) if session.made_id is not None else f"device/{connect_session}"
    return Redirect(f"{screen.view.base}/connections/{made}", status_code=303)


async def _gather(tx: Reading, session_id: Any, person_id: Any) -> DevicePage:
    own = within(tx)
    session = await connecting.get(own, session_id)
    _check_own(session, person_id)
    said = TOLD.get(session.failure, SaidNo) if session.state == "failed" else None
    return DevicePage(now=tx.now, session=session, waiting=await waiting.get(own, session_id), problem=said)


def _check_own(session: ConnectSession, person_id: Any) -> None:
    """
    Raises:
        NotTheirs: If somebody else has begun it.
    """
    if session.person_id != person_id:
        raise NotTheirs


BEGINS: Final = rule(Surface.CONSOLE, "connection:connect", ADDS)
SHOWS: Final = rule(Surface.CONSOLE, "connection:connect", frozenset({"connection:read"}))

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    post("/connections/device", status_code=200, opt=BEGINS)(begin),
    get("/connections/device/{connect_session:str}", opt=SHOWS)(page),
    post("/connections/device/{connect_session:str}", status_code=200, opt=SHOWS)(ask),
)
"""Where these pages hang, below a tenant."""
