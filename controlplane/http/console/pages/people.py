"""The people of a tenant: who is in it and as what, and who is invited."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import handing_on, holdings, invitations, roles, users
from controlplane.domain.audit import Actor
from controlplane.domain.invitations import Invitation
from controlplane.domain.letters import Letterhead
from controlplane.domain.newest import Reading
from controlplane.domain.people import User
from controlplane.domain.roles import Role
from controlplane.domain.sso import identities
from controlplane.domain.users import Status
from controlplane.http import limits
from controlplane.http.console import forms
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.limiter import Limiter

MOST: Final = 100
"""On one page; a search finds the others."""

Part = Annotated[str, Meta(max_length=200)]

EVERYBODY: Final = users.Found()


class Member(Struct, frozen=True, kw_only=True):
    user: User
    roles: list[str]


class People(Struct, frozen=True, kw_only=True):
    now: datetime
    members: list[Member]
    more: bool
    """Whether there are further ones."""
    invitations: list[Invitation]
    """That are open, the expired ones included. Empty where whoever looks may not see them."""
    roles: list[Role]
    """What somebody can be invited as."""


class Guest(Struct, frozen=True, kw_only=True):
    """The form that invites."""

    email: Annotated[str, Meta(max_length=254)] = ""
    role: Annotated[str, Meta(max_length=100)] = "viewer"


NOBODY: Final = Guest()


async def gather(tx: Reading, found: users.Found, with_invitations: bool) -> People:
    own = within(tx)
    rows = await users.listing(own, found, after=None, limit=MOST + 1)
    names = await holdings.roles_of(own, [row.id for row in rows])
    waiting: list[Invitation] = []
    if with_invitations:
        waiting += await invitations.listing(own, limit=MOST, status="pending")
        waiting += await invitations.listing(own, limit=MOST, status="expired")
    return People(
        now=tx.now,
        members=[Member(user=row, roles=names[row.id]) for row in rows[:MOST]],
        more=len(rows) > MOST,
        invitations=waiting,
        roles=await roles.listing(own, after=None, limit=MOST),
    )


async def page(
    screen: NamedDependency[Screen],
    q: FromQuery[Part | None] = None,
    wanted: Annotated[Status | None, QueryParameter(name="status")] = None,
) -> Response[str]:
    return await screen.show(_page(screen, users.Found(q=q or None, status=wanted)))


async def invite(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    letterhead: NamedDependency[Letterhead],
    limiter: NamedDependency[Limiter],
) -> Response[Any]:
    """Write somebody a letter that lets them in."""
    filled = await forms.read(request, Guest)

    async def work(tx: TenantTx) -> None:
        role = await handing_on.role(tx, screen.view.person, filled.role)
        await identities.check_may_be_invited(tx, filled.email)
        await limits.invitation(limiter, tx.tenant_id, filled.email)
        await invitations.create(tx, actor, letterhead, filled.email, role.name)

    return await screen.act(work, "/people", _page(screen, EVERYBODY, filled))


async def resend(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    letterhead: NamedDependency[Letterhead],
    limiter: NamedDependency[Limiter],
    invitation: FromPath[str],
) -> Response[Any]:
    """Write the letter again, with another link."""
    invitation_id = identity("inv", invitation)

    async def work(tx: TenantTx) -> None:
        earlier = await invitations.get(tx, invitation_id)
        await handing_on.role(tx, screen.view.person, earlier.role)
        await limits.invitation(limiter, tx.tenant_id, earlier.email)
        await invitations.resend(tx, actor, letterhead, invitation_id)

    return await screen.act(work, "/people", _page(screen, EVERYBODY))


async def revoke(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], invitation: FromPath[str]
) -> Response[Any]:
    """Make the letter's link worthless."""
    invitation_id = identity("inv", invitation)

    async def work(tx: TenantTx) -> None:
        await invitations.revoke(tx, actor, invitation_id)

    return await screen.act(work, "/people", _page(screen, EVERYBODY))


def _page(screen: Screen, found: users.Found, filled: Guest = NOBODY) -> Page:
    gathering = partial(gather, found=found, with_invitations=screen.view.may("invitation:read"))
    return Page(template="access/people.html", parts=(), gather=gathering, context={"found": found, "filled": filled})
