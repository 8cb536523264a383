"""The tenant's directory: how Entra or Okta is connected by SCIM, what it last did, and what of it was refused."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import scim_tokens
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.newest import Reading
from controlplane.domain.scim_tokens import ScimToken, SyncError
from controlplane.http.console import forms
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.problems import Refusal

MOST: Final = 100


class ScimPage(Struct, frozen=True, kw_only=True):
    now: datetime
    tokens: list[ScimToken]
    """Newest first."""
    errors: list[SyncError]
    people: int
    """Whom the directory keeps."""
    made: ScimToken | None
    secret: str | None
    """Of *made*; shown this once."""

    @property
    def names(self) -> dict[Any, str]:
        """What each connection is called."""
        return {token.connection_id: token.name for token in self.tokens}


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a connection."""

    name: Annotated[str, Meta(max_length=scim_tokens.MAX_NAME)] = ""
    days: Annotated[int, Meta(ge=1, le=3660)] = scim_tokens.LIFETIME.days


async def gather(tx: Reading, made: tuple[ScimToken, str] | None = None) -> ScimPage:
    own = within(tx)
    return ScimPage(
        now=own.now,
        tokens=await scim_tokens.listing(own, after=None, limit=MOST),
        errors=await scim_tokens.errors(own),
        people=await scim_tokens.people_of(own),
        made=made[0] if made else None,
        secret=made[1] if made else None,
    )


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_page())


async def connect(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
) -> Response[Any]:
    """Make the token of a new connection and show it."""
    filled = await forms.read(request, Filled)
    try:
        async with screen.inside() as tx:
            lifetime = timedelta(days=filled.days)
            made = await scim_tokens.create(tx, actor, keyring.pepper, filled.name, lifetime=lifetime)
    except Refusal as problem:
        return await screen.show(_page(filled), problem)
    return await screen.show(_page(made=made))


async def rotate(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
    scim_token: FromPath[str],
) -> Response[Any]:
    """A new token of the same connection; the old one works for another week."""
    try:
        async with screen.inside() as tx:
            made = await scim_tokens.rotate(tx, actor, keyring.pepper, identity("scm", scim_token))
    except Refusal as problem:
        return await screen.show(_page(), problem)
    return await screen.show(_page(made=made))


async def revoke(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], scim_token: FromPath[str]
) -> Response[Any]:
    """Shut it out now."""

    async def work(tx: TenantTx) -> None:
        await scim_tokens.revoke(tx, actor, identity("scm", scim_token))

    return await screen.act(work, "/scim", _page())


def _page(filled: Filled = Filled(), made: tuple[ScimToken, str] | None = None) -> Page:  # noqa: B008 frozen
    return Page(template="access/scim.html", parts=(), gather=partial(gather, made=made), context={"filled": filled})
