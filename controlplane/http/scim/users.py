"""/scim/v2/Users: the tenant's users, as its directory keeps them."""

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.directory import filters, people
from controlplane.domain.directory.listed import PEOPLE
from controlplane.http.authorize import Surface, rule
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.scim.answers import answer, body_of, etag, is_known, seen_version
from controlplane.http.scim.asked import Asked, asked
from controlplane.http.scim.attributes import Chosen, chosen
from controlplane.http.scim.views import Views, listed
from controlplane.kit.ids import text_id

READ = rule(Surface.SCIM, "scim:read")
WRITE = rule(Surface.SCIM, "scim:write")


class UsersController(Controller):
    path = "/Users"

    @get("/", opt=READ)
    async def listing(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], views: NamedDependency[Views]
    ) -> Response[bytes]:
        """People, as they were made, or as they are asked for."""
        return await _page(request, tx, views, asked(request.query_params, filters.of_users))

    @post("/.search", opt=READ)
    async def search(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], views: NamedDependency[Views]
    ) -> Response[bytes]:
        """The same, asked for in the body."""
        body = await body_of(request)
        return await _page(request, tx, views, asked(body if isinstance(body, dict) else {}, filters.of_users))

    @post("/", opt=WRITE)
    async def announce(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        views: NamedDependency[Views],
    ) -> Response[bytes]:
        """Make one."""
        entry = await people.announce(tx, actor, await body_of(request))
        location = views.location("Users", text_id("usr", entry.id))
        return await _one(tx, views, entry, _chosen(request), status=201, location=location)

    @get("/{one:str}", opt=READ)
    async def show(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], views: NamedDependency[Views], one: FromPath[str]
    ) -> Response[bytes]:
        """One of them."""
        entry = await people.get(tx, identity("usr", one))
        if is_known(request, entry.version):
            return Response(b"", status_code=304, headers={"ETag": etag(entry.version)})
        return await _one(tx, views, entry, _chosen(request))

    @put("/{one:str}", opt=WRITE)
    async def replace(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        views: NamedDependency[Views],
        one: FromPath[str],
    ) -> Response[bytes]:
        """Have what is sent be all that is said of it."""
        body = await body_of(request)
        entry = await people.replace(tx, actor, identity("usr", one), body, seen_version(request))
        return await _one(tx, views, entry, _chosen(request))

    @patch("/{one:str}", opt=WRITE)
    async def change(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        views: NamedDependency[Views],
        one: FromPath[str],
    ) -> Response[bytes]:
        """Change some of what is said of it."""
        body = await body_of(request)
        entry = await people.patch(tx, actor, identity("usr", one), body, seen_version(request))
        return await _one(tx, views, entry, _chosen(request))

    @delete("/{one:str}", opt=WRITE)
    async def remove(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], one: FromPath[str]
    ) -> None:
        """Take somebody out of the tenant, with what they hold in it."""
        await people.remove(tx, actor, identity("usr", one), seen_version(request))


def _chosen(request: AnyRequest) -> Chosen:
    given = {key.casefold(): value for key, value in request.query_params.items()}
    return chosen(given.get("attributes"), given.get("excludedattributes"))


async def _page(request: AnyRequest, tx: TenantTx, views: Views, given: Asked) -> Response[bytes]:
    found = await PEOPLE.page(tx, request.app.state.scim_bookmarks, given.wanted)
    return answer(listed(found.total, given.wanted.start, await views.of_users(tx, found.rows, given.chosen)))


async def _one(
    tx: TenantTx, views: Views, entry: people.Entry, given: Chosen, *, status: int = 200, location: str | None = None
) -> Response[bytes]:
    [shown] = await views.of_users(tx, [entry], given)
    return answer(shown, status, version=entry.version, location=location)
