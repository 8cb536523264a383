"""Groups: who is in each, and what they hold by it."""

from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import groups, handing_on, users
from controlplane.domain.audit import Actor
from controlplane.domain.groups import Group, Member
from controlplane.domain.holdings import Holder
from controlplane.domain.newest import Reading
from controlplane.http.console import forms
from controlplane.http.console.pages.held import Held, Offer, held_by, offer
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal

MOST: Final = 200


class GroupsPage(Struct, frozen=True, kw_only=True):
    groups: list[Group]


class GroupPage(Struct, frozen=True, kw_only=True):
    group: Group
    members: list[Member]
    held: list[Held]
    offer: Offer


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a group."""

    name: Annotated[str, Meta(max_length=groups.MAX_NAME)] = ""
    description: Annotated[str, Meta(max_length=500)] = ""


class Added(Struct, frozen=True, kw_only=True):
    """The form that puts somebody into it."""

    email: Annotated[str, Meta(max_length=254)]


class NobodyCalledSo(Refusal):
    code, status, title = "user-unknown", 400, "Nobody in this tenant has this address"
    hint = "Check the spelling, or invite them first."


async def gather(tx: Reading) -> GroupsPage:
    return GroupsPage(groups=await groups.listing(within(tx), after=None, limit=MOST))


async def gather_one(tx: Reading, group_id: UUID) -> GroupPage:
    own = within(tx)
    return GroupPage(
        group=await groups.get(own, group_id),
        members=await groups.members(own, group_id, after=None, limit=MOST),
        held=await held_by(own, holder_id=group_id),
        offer=await offer(own),
    )


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_all())


async def one(screen: NamedDependency[Screen], group: FromPath[str]) -> Response[str]:
    return await screen.show(_one(group))


async def make(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """Make a group."""
    filled = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        await groups.create(tx, actor, filled.name, filled.description)

    return await screen.act(work, "/groups", _all(filled))


async def delete(screen: NamedDependency[Screen], actor: NamedDependency[Actor], group: FromPath[str]) -> Response[Any]:
    """Delete it, and what its members held by it."""
    group_id = identity("grp", group)

    async def work(tx: TenantTx) -> None:
        await handing_on.take_from(tx, screen.view.person, Holder("group", group_id))
        await groups.delete(tx, actor, group_id)

    return await screen.act(work, "/groups", _one(group))


async def add(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    group: FromPath[str],
) -> Response[Any]:
    """Put somebody into it, by their address."""
    filled, group_id = await forms.read(request, Added), identity("grp", group)

    async def work(tx: TenantTx) -> None:
        found = await users.by_email(tx, filled.email)
        if found is None:
            raise NobodyCalledSo
        await handing_on.group(tx, screen.view.person, group_id)
        await groups.add_member(tx, actor, group_id, found.id)

    return await screen.act(work, f"/groups/{text_id('grp', group_id)}", _one(group))


async def take_out(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], group: FromPath[str], user: FromPath[str]
) -> Response[Any]:
    """Take somebody out of it."""
    group_id = identity("grp", group)

    async def work(tx: TenantTx) -> None:
        await handing_on.take_from(tx, screen.view.person, Holder("group", group_id))
        await groups.remove_member(tx, actor, group_id, identity("usr", user))

    return await screen.act(work, f"/groups/{group}", _one(group))


def _all(filled: Filled = Filled()) -> Page:  # noqa: B008 frozen
    return Page(template="access/groups.html", parts=(), gather=gather, context={"filled": filled})


def _one(group: str) -> Page:
    return Page(template="access/group.html", parts=(), gather=partial(gather_one, group_id=identity("grp", group)))
