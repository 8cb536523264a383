"""Join tokens: what lets runtimes in; making one, and taking one back."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import join_tokens, projects
from controlplane.domain.audit import Actor
from controlplane.domain.join_tokens import JoinToken
from controlplane.domain.keys import Keyring
from controlplane.domain.newest import Reading
from controlplane.domain.projects import Project
from controlplane.http.console import forms
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal

MOST: Final = 200


class JoinTokensPage(Struct, frozen=True, kw_only=True):
    now: datetime
    tokens: list[JoinToken]
    projects: dict[Any, Project]
    """Those of the tokens, and those that a runtime can join."""
    secret: str | None
    """Of the one that was made just now; shown this once."""


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a join token."""

    project: Annotated[str, Meta(max_length=100)] = projects.DEFAULT
    uses: Annotated[int, Meta(ge=1, le=join_tokens.MOST_USES)] = 1
    hours: Annotated[int, Meta(ge=1, le=join_tokens.LONGEST // timedelta(hours=1))] = join_tokens.LIFETIME // timedelta(
        hours=1
    )


async def gather(tx: Reading, secret: str | None = None) -> JoinTokensPage:
    own = within(tx)
    return JoinTokensPage(
        now=own.now,
        tokens=await join_tokens.listing(own, after=None, limit=MOST),
        projects={each.id: each for each in await projects.listing(own, after=None, limit=MOST)},
        secret=secret,
    )


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_page())


async def make(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
) -> Response[Any]:
    """Make one, and show it with the command that takes it."""
    filled = await forms.read(request, Filled)
    try:
        async with screen.inside() as tx:
            project = await projects.named(tx, filled.project)
            lifetime = timedelta(hours=filled.hours)
            _, secret = await join_tokens.create(
                tx, actor, keyring.pepper, project.id, lifetime=lifetime, uses=filled.uses
            )
    except Refusal as problem:
        return await screen.show(_page(filled), problem)
    return await screen.show(_page(filled, secret))


async def revoke(screen: NamedDependency[Screen], actor: NamedDependency[Actor], token: FromPath[str]) -> Response[Any]:
    """Let nobody in with it any more."""

    async def work(tx: TenantTx) -> None:
        await join_tokens.revoke(tx, actor, identity("jt", token))

    return await screen.act(work, "/join-tokens", _page())


def _page(filled: Filled = Filled(), secret: str | None = None) -> Page:  # noqa: B008 frozen
    context = {"filled": filled, "text_id": text_id}
    return Page(template="access/join_tokens.html", parts=(), gather=partial(gather, secret=secret), context=context)
