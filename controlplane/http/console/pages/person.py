"""One person of the tenant: what they hold and why, their keys, and taking it all away."""

from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import api_keys, handing_on, holdings, people, users
from controlplane.domain.api_keys import Key
from controlplane.domain.audit import Actor
from controlplane.domain.grants import Grant
from controlplane.domain.holdings import Holder
from controlplane.domain.newest import Reading
from controlplane.domain.people import User
from controlplane.domain.users import Status
from controlplane.http.console import forms
from controlplane.http.console.pages.held import Held, Offer, held_by, offer
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.problems import Refusal

MOST: Final = 200


class PersonPage(Struct, frozen=True, kw_only=True):
    user: User
    held: list[Held]
    by_groups: list[Grant]
    keys: list[Key] | None
    """None: whoever looks may not see keys."""
    offer: Offer


class Turned(Struct, frozen=True, kw_only=True):
    status: Status


class Removal(Struct, frozen=True, kw_only=True):
    email: Annotated[str, Meta(max_length=254)] = ""
    """Typed again, so that nobody is removed by mistake."""


class NotTyped(Refusal):
    code, status, title = "confirmation-missing", 400, "Nothing has been done yet"
    hint = "Type the name as it stands there, to say that you mean it."


async def gather(tx: Reading, user_id: UUID, with_keys: bool) -> PersonPage:
    own = within(tx)
    user = await people.user(own, user_id)
    holder = Holder("user", user.id)
    return PersonPage(
        user=user,
        held=await held_by(own, holder_id=user.id),
        by_groups=[grant for grant in await holdings.of(own, holder) if grant.group_id is not None],
        keys=await api_keys.listing(own, after=None, limit=MOST, owner=holder) if with_keys else None,
        offer=await offer(own),
    )


async def page(screen: NamedDependency[Screen], user: FromPath[str]) -> Response[str]:
    return await screen.show(_page(screen, user))


async def turn(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    user: FromPath[str],
) -> Response[Any]:
    """Deactivate them, or let them in again."""
    filled, user_id = await forms.read(request, Turned), identity("usr", user)

    async def work(tx: TenantTx) -> None:
        await handing_on.take_from(tx, screen.view.person, Holder("user", user_id))
        await users.set_status(tx, actor, user_id, filled.status)

    return await screen.act(work, f"/people/{user}", _page(screen, user))


async def remove(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    user: FromPath[str],
) -> Response[Any]:
    """Take them out of the tenant."""
    filled, user_id = await forms.read(request, Removal), identity("usr", user)

    async def work(tx: TenantTx) -> None:
        found = await people.user(tx, user_id)
        if people.normalized(filled.email) != found.email_norm:
            raise NotTyped
        await handing_on.take_from(tx, screen.view.person, Holder("user", user_id))
        await users.remove(tx, actor, user_id)

    return await screen.act(work, "/roles", _page(screen, user))


def _page(screen: Screen, user: str) -> Page:
    gathering = partial(gather, user_id=identity("usr", user), with_keys=screen.view.may("api-key:read"))
    return Page(template="access/person.html", parts=(), gather=gathering)
