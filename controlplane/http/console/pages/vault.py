"""The vault, for those who run the service: which keys there are, and their rotation as it goes."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from litestar.response import Redirect, ServerSentEvent
from msgspec import Meta, Struct

from controlplane.db.database import Database, OperatorTx
from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.rotations import Kind, standing
from controlplane.domain.rotations.standing import Standing
from controlplane.http import rotating
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen
from controlplane.http.console.view import CONSOLE
from controlplane.http.principals import AnyRequest
from controlplane.http.rotating import NewRotation
from controlplane.kit.problems import Refusal
from controlplane.kit.sealing import Sealing

SEES: Final = rule(Surface.CONSOLE, "operator:vault-read")
ROTATES: Final = rule(Surface.CONSOLE, "operator:vault-rotate", frozenset({"operator:vault-read"}), fresh=True)


class Shown(Struct, frozen=True, kw_only=True):
    now: datetime
    stands: Standing
    keeper: str
    """``keyring``, or the kind of the key service."""


class Wanted(Struct, frozen=True, kw_only=True):
    """The form."""

    kind: Kind
    tenant: Annotated[str, Meta(max_length=60)] = ""


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_page(screen))


async def live(screen: NamedDependency[Screen], seen: FromQuery[str] = "") -> ServerSentEvent:
    return screen.follow(_page(screen), seen=seen)


async def rotate(
    request: AnyRequest, screen: NamedDependency[Screen], db: NamedDependency[Database], actor: NamedDependency[Actor]
) -> Response[Any]:
    """Ask for what the form says."""
    wanted = await forms.read(request, Wanted)
    try:
        asked = NewRotation(kind=wanted.kind, tenant=wanted.tenant.strip() or None)
        await rotating.ask(request, db, actor, asked)
    except Refusal as problem:
        return await screen.show(_page(screen), problem)
    return Redirect(f"{CONSOLE}/vault", status_code=303)


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/vault", opt=SEES)(page),
    get("/vault/live", opt=SEES)(live),
    post("/vault/rotations", status_code=200, opt=ROTATES)(rotate),
)


async def _gather(tx: Reading, sealing: Sealing) -> Shown:
    assert isinstance(tx, OperatorTx), "the page is in no tenant"
    keeper = "keyring" if sealing.service is None else sealing.service.kind
    return Shown(now=tx.now, stands=await standing.gather(tx, sealing), keeper=keeper)


def _page(screen: Screen) -> Page:
    assert screen.db.sealing is not None, "servers have keys"
    return Page(
        template="vault/page.html",
        parts=("vault/rotations", "vault/masters", "vault/kinds"),
        gather=partial(_gather, sealing=screen.db.sealing),
        context={"may": screen.view.may},
        stream=f"{CONSOLE}/vault/live",
    )
