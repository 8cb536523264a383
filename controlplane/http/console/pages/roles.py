"""Roles: which there are, what each holds, and who holds it."""

from collections import defaultdict
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain import assignments, handing_on, roles
from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.permission_names import ADMINISTRATION, PERMISSIONS, RESERVED
from controlplane.domain.permissions import check_grantable
from controlplane.domain.roles import BUILT_IN, Role
from controlplane.http.console import forms
from controlplane.http.console.pages.held import Held, held_by
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity

MOST: Final = 200

COUNTS: Final = text("""
    SELECT built_in, role_id, count(*) AS holders FROM role_assignments
    WHERE tenant_id = :tenant_id GROUP BY built_in, role_id
""")


class Choice(Struct, frozen=True, kw_only=True):
    """One permission in a form."""

    name: str
    meaning: str
    verb: str


def _choices() -> dict[str, list[Choice]]:
    found: dict[str, list[Choice]] = defaultdict(list)
    for name, meaning in PERMISSIONS.items():
        if name not in RESERVED:
            noun, _, verb = name.partition(":")
            found[noun].append(Choice(name=name, meaning=meaning, verb=verb))
    return found


GROUPS: Final = list(_choices().items())
"""The permissions that a role of a tenant's own can hold, by what they are about."""


class Line(Struct, frozen=True, kw_only=True):
    role: Role
    holders: int


class RolesPage(Struct, frozen=True, kw_only=True):
    lines: list[Line]


class RolePage(Struct, frozen=True, kw_only=True):
    role: Role
    held: list[Held]
    others: list[Role]
    """What could replace it."""


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a role."""

    name: Annotated[str, Meta(max_length=63)] = ""
    description: Annotated[str, Meta(max_length=500)] = ""
    permission: list[str] = []


class Going(Struct, frozen=True, kw_only=True):
    replacement: Annotated[str, Meta(max_length=63)] | None = None


class _Count(Struct, frozen=True):
    built_in: str | None
    role_id: UUID | None
    holders: int


async def gather(tx: Reading) -> RolesPage:
    own = within(tx)
    holders: dict[UUID, int] = defaultdict(int)
    for row in await own.query(_Count, COUNTS, tenant_id=own.tenant_id):
        holders[row.role_id or BUILT_IN[row.built_in or ""].id] = row.holders
    found = await roles.listing(own, after=None, limit=MOST)
    return RolesPage(lines=[Line(role=role, holders=holders[role.id]) for role in found])


async def gather_one(tx: Reading, role_id: UUID) -> RolePage:
    own = within(tx)
    role = await roles.get(own, role_id)
    return RolePage(
        role=role,
        held=await held_by(own, role=role),
        others=[other for other in await roles.listing(own, after=None, limit=MOST) if other.id != role.id],
    )


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_all())


async def one(screen: NamedDependency[Screen], role: FromPath[str]) -> Response[str]:
    return await screen.show(_one(role))


async def make(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """Make a role."""
    filled = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        handing_on.permissions(screen.view.person, filled.permission, filled.name)
        await roles.create(tx, actor, filled.name, filled.permission, filled.description)

    return await screen.act(work, "/roles", _all(filled))


async def change(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    role: FromPath[str],
) -> Response[Any]:
    """Change what it holds, or what it is called."""
    filled = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        found = await roles.get(tx, identity("role", role))
        check_grantable(screen.view.person, found.permissions & ADMINISTRATION, role=found.name)
        handing_on.permissions(screen.view.person, filled.permission, found.name)
        await roles.change(
            tx, actor, found, name=filled.name, description=filled.description, permissions=filled.permission
        )

    return await screen.act(work, f"/roles/{role}", _one(role))


async def delete(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    role: FromPath[str],
) -> Response[Any]:
    """Delete it; who holds it gets another one."""
    filled = await forms.read(request, Going)

    async def work(tx: TenantTx) -> None:
        found = await roles.get(tx, identity("role", role))
        check_grantable(screen.view.person, found.permissions & ADMINISTRATION, role=found.name)
        instead = None
        if filled.replacement is not None:
            instead = await handing_on.role(tx, screen.view.person, filled.replacement)
        await assignments.delete_role(tx, actor, found, instead)

    return await screen.act(work, "/roles", _one(role))


def _all(filled: Filled = Filled()) -> Page:  # noqa: B008 frozen
    context = {"filled": filled, "groups": GROUPS}
    return Page(template="access/roles.html", parts=(), gather=gather, context=context)


def _one(role: str) -> Page:
    gathering = partial(gather_one, role_id=identity("role", role))
    return Page(template="access/role.html", parts=(), gather=gathering, context={"groups": GROUPS})
