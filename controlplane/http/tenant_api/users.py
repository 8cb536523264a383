"""/v1/tenants/{tenant}/users: the people of a tenant."""

from litestar import Controller, delete, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import handing_on, holdings, people, users
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.users import Status
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.tenant_api.holding import HeldView, held_view
from controlplane.http.words import word
from controlplane.kit.ids import text_id


class UserChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Status
    """Nothing in this tenant opens to a disabled one: not by their sessions, and not by their keys."""


class UserView(Struct, frozen=True, kw_only=True):
    id: str
    email: str
    name: str
    roles: list[str]
    """Names of those that they hold, themselves or by a group."""
    status: str
    source: str
    """Who keeps them: ``local`` or ``scim``, the tenant's directory."""
    created_at: Moment


class UsersController(Controller):
    path = "/users"
    tags = ("users",)

    @get("/", opt=rule(Surface.TENANT, "user:read"))
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        status: FromQuery[Status | None] = None,
        q: FromQuery[str | None] = None,
    ) -> Page[UserView]:
        """The tenant's people, newest first. ``q`` is the start of an address or a name."""
        found = users.Found(status=status, q=word("q", q))
        rows = await users.listing(tx, found, after=paging.after_id, limit=paging.fetch)
        roles = await holdings.roles_of(tx, [user.id for user in rows])
        return paging.page(rows, lambda user: user.id, lambda user: _view(user, roles[user.id]))

    @get("/{user:str}", opt=rule(Surface.TENANT, "user:read"))
    async def show(self, tx: NamedDependency[TenantTx], user: FromPath[str]) -> UserView:
        """One of them."""
        return await _shown(tx, await people.user(tx, identity("usr", user)))

    @get("/{user:str}/permissions", opt=rule(Surface.TENANT, "role:read"))
    async def permissions(self, tx: NamedDependency[TenantTx], user: FromPath[str]) -> list[HeldView]:
        """What they may do, and why."""
        found = await people.user(tx, identity("usr", user))
        return held_view(await holdings.of(tx, Holder("user", found.id)))

    @patch("/{user:str}", opt=rule(Surface.TENANT, "user:write", fresh=True))
    async def change(
        self,
        data: JSONBody[UserChange],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        user: FromPath[str],
    ) -> UserView:
        """Deactivate somebody, or let them in again. It counts from the next call on; the last owner stays."""
        user_id = identity("usr", user)
        await handing_on.take_from(tx, request.user, Holder("user", user_id))
        return await _shown(tx, await users.set_status(tx, actor, user_id, data.status))

    @delete("/{user:str}", opt=rule(Surface.TENANT, "user:write", fresh=True))
    async def remove(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], user: FromPath[str]
    ) -> None:
        """Take somebody out of the tenant, with what they hold in it and their keys. The last owner stays."""
        user_id = identity("usr", user)
        await handing_on.take_from(tx, request.user, Holder("user", user_id))
        await users.remove(tx, actor, user_id)


async def _shown(tx: TenantTx, user: people.User) -> UserView:
    return _view(user, (await holdings.roles_of(tx, [user.id]))[user.id])


def _view(user: people.User, roles: list[str]) -> UserView:
    return UserView(
        id=text_id("usr", user.id),
        email=user.email_norm,
        name=user.name,
        roles=roles,
        status=user.status,
        source=user.source,
        created_at=moment(user.created_at),
    )
