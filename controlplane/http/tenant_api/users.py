"""/v1/tenants/{tenant}/users: the people of a tenant."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import people
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id


class UserView(Struct, frozen=True, kw_only=True):
    id: str
    email: str
    name: str
    role: str
    status: str
    created_at: Moment


class UsersController(Controller):
    path = "/users"
    tags = ("users",)
    opt = rule(Surface.TENANT, "user:read")

    @get("/")
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[UserView]:
        """The tenant's people, newest first."""
        rows = await people.users(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda user: user.id, _view)

    @get("/{user:str}")
    async def show(self, tx: NamedDependency[TenantTx], user: FromPath[str]) -> UserView:
        """One of them."""
        return _view(await people.user(tx, identity("usr", user)))


def _view(user: people.User) -> UserView:
    return UserView(
        id=text_id("usr", user.id),
        email=user.email_norm,
        name=user.name,
        role=user.role,
        status=user.status,
        created_at=moment(user.created_at),
    )
