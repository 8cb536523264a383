"""Roles: those that every tenant has, and a tenant's own."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.permission_names import PERMISSIONS, RESERVED, ROLES
from controlplane.domain.permissions import UnknownRole
from controlplane.kit.ids import RoleId, new_id, parse_id, text_id
from controlplane.kit.problems import NotFound, Refusal

NAME: Final = re.compile("[a-z][a-z0-9_-]{1,62}")

MEANINGS: Final[Mapping[str, str]] = {
    "owner": "Everything, and handing it on.",
    "admin": "Everything but being an owner and connecting a directory.",
    "user_admin": "People, groups and who holds which role.",
    "developer": "All work, and letting runtimes in.",
    "auditor": "All work, who may do what, and the audit log; changes nothing.",
    "billing": "The tenant and its projects.",
    "viewer": "All work; changes nothing.",
}


class Role(Struct, frozen=True, kw_only=True):
    id: RoleId
    name: str
    description: str
    permissions: frozenset[str]
    created_at: datetime | None
    """None: built in."""
    changed_at: datetime | None

    @property
    def built_in(self) -> bool:
        return self.created_at is None


class RoleNameInvalid(Refusal):
    code, status, title = "role-name-invalid", 400, "This cannot be a role's name"
    hint = "2 to 63 characters: lower-case letters, digits, hyphens, underscores; a letter first."


class RoleNameTaken(Refusal):
    code, status, title = "role-name-taken", 409, "There is a role of this name"
    hint = "Pick another name. Those of built-in roles are taken everywhere."


class PermissionUnfit(Refusal):
    """No such permission, or one that only built-in roles hold."""

    code, status, title = "permission-unfit", 400, "A role cannot hold this permission"
    hint = "Those there are: GET …/permissions."

    def __init__(self, names: Iterable[str]) -> None:
        self.names = sorted(names)
        super().__init__(f"not for a role of a tenant's own: {', '.join(self.names)}")

    def facts(self) -> dict[str, object]:
        return {"permissions": self.names}


class RoleBuiltIn(Refusal):
    code, status, title = "role-built-in", 409, "Built-in roles are the same in every tenant"
    hint = "Make a role of your own with the permissions you want."


BUILT_IN: Final[Mapping[str, Role]] = {
    name: Role(
        id=RoleId(UUID(int=len(ROLES) - place)),
        name=name,
        description=MEANINGS[name],
        permissions=held,
        created_at=None,
        changed_at=None,
    )
    for place, (name, held) in enumerate(ROLES.items())
}
"""By name. Their ids are the same everywhere and the smallest there are, so that lists end with them."""


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[Role]:
    """The tenant's own, newest first, then the built-in ones; from just before *after* on."""
    wanted = tx.select(t.roles)
    if after is not None:
        wanted = wanted.where(t.roles.c.id < after)
    own = await tx.all(_Row, wanted.order_by(t.roles.c.id.desc()).limit(limit))
    built_in = [role for role in BUILT_IN.values() if after is None or role.id < after]
    return [*map(_role, own), *built_in][:limit]


async def get(tx: TenantTx, role_id: UUID) -> Role:
    """
    Raises:
        NotFound: If this tenant has no such role.
    """
    for role in BUILT_IN.values():
        if role.id == role_id:
            return role
    found = await tx.first(_Row, tx.select(t.roles).where(t.roles.c.id == role_id))
    if found is None:
        raise NotFound
    return _role(found)


async def named(tx: TenantTx, reference: str) -> Role:
    """The role whose name or id is *reference*.

    Raises:
        UnknownRole: If no role is called so.
        NotFound: If it is an id, and this tenant has no role with it.
    """
    identity = parse_id("role", reference)
    if identity is not None:
        return await get(tx, identity)
    if reference in BUILT_IN:
        return BUILT_IN[reference]
    found = await tx.first(_Row, tx.select(t.roles).where(t.roles.c.name == reference))
    if found is None:
        raise UnknownRole(reference)
    return _role(found)


async def create(tx: TenantTx, actor: Actor, name: str, permissions: Iterable[str], description: str = "") -> Role:
    """Make a role of the tenant's own. Whether *actor* holds all of it is the caller's question.

    Raises:
        RoleNameInvalid, RoleNameTaken, PermissionUnfit: If there can be no such role.
    """
    held = _fit(permissions)
    added = await tx.take(
        _Row,
        tx.insert(t.roles)
        .values(
            id=new_id(tx.now),
            name=_name(name),
            description=description,
            permissions=sorted(held),
            created_at=tx.now,
            changed_at=tx.now,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "name"]),
    )
    if not added:
        raise RoleNameTaken
    audit.record(tx, actor, "role.created", _target(added[0].id), permissions=sorted(held))
    return _role(added[0])


async def change(
    tx: TenantTx,
    actor: Actor,
    role: Role,
    *,
    name: str | None = None,
    description: str | None = None,
    permissions: Iterable[str] | None = None,
) -> Role:
    """Change what is given; whoever holds the role has the new permissions from the next call on.

    Raises:
        RoleBuiltIn: If it is not the tenant's own.
        RoleNameInvalid, RoleNameTaken, PermissionUnfit: If there can be no such role.
    """
    if role.built_in:
        raise RoleBuiltIn
    held = role.permissions if permissions is None else _fit(permissions)
    wanted = role.name if name is None else _name(name)
    if wanted != role.name and await tx.first(_Row, tx.select(t.roles).where(t.roles.c.name == wanted)):
        raise RoleNameTaken
    values = {
        "name": wanted,
        "description": role.description if description is None else description,
        "permissions": sorted(held),
    }
    mine = tx.update(t.roles).where(t.roles.c.id == role.id)
    [changed] = await tx.take(_Row, mine.values(**values, changed_at=tx.now))
    audit.record(
        tx,
        actor,
        "role.changed",
        _target(role.id),
        added=sorted(held - role.permissions),
        removed=sorted(role.permissions - held),
    )
    return _role(changed)


def _fit(permissions: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(permissions)
    if unfit := wanted - (PERMISSIONS.keys() - RESERVED):
        raise PermissionUnfit(unfit)
    return wanted


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise RoleNameInvalid
    if name in BUILT_IN:
        raise RoleNameTaken
    return name


class _Row(Struct, frozen=True, kw_only=True):
    id: RoleId
    name: str
    description: str
    permissions: list[str]
    created_at: datetime
    changed_at: datetime


def _role(row: _Row) -> Role:
    return Role(
        id=row.id,
        name=row.name,
        description=row.description,
        permissions=frozenset(row.permissions) & PERMISSIONS.keys(),
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _target(role_id: RoleId) -> audit.Target:
    return "role", text_id("role", role_id)
