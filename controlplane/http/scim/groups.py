"""/scim/v2/Groups: the tenant's groups, as its directory keeps them."""

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.directory import filters, groups
from controlplane.domain.directory.listed import GROUPS
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


class GroupsController(Controller):
    path = "/Groups"

    @get("/", opt=READ)
    async def listing(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], views: NamedDependency[Views]
    ) -> Response[bytes]:
        """Groups that the directory has made, as they were made, or as they are asked for."""
        return await _page(request, tx, views, asked(request.query_params, filters.of_groups))

    @post("/.search", opt=READ)
    async def search(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], views: NamedDependency[Views]
    ) -> Response[bytes]:
        """The same, asked for in the body."""
        body = await body_of(request)
        return await _page(request, tx, views, asked(body if isinstance(body, dict) else {}, filters.of_groups))

    @post("/", opt=WRITE)
    async def announce(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        views: NamedDependency[Views],
    ) -> Response[bytes]:
        """Make one."""
        entry = await groups.announce(tx, actor, await body_of(request))
        location = views.location("Groups", text_id("grp", entry.id))
        return await _one(tx, views, entry, _chosen(request), status=201, location=location)

    @get("/{one:str}", opt=READ)
    async def show(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], views: NamedDependency[Views], one: FromPath[str]
    ) -> Response[bytes]:
        """One of them."""
        entry = await groups.get(tx, identity("grp", one))
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
        entry = await groups.replace(tx, actor, identity("grp", one), body, seen_version(request))
        return await _one(tx, views, entry, _chosen(request))

    @patch("/{one:str}", status_code=204, opt=WRITE)
    async def change(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], one: FromPath[str]
    ) -> Response[None]:
        """Change some of what is said of it. The answer is empty: its members may be very many."""
        body = await body_of(request)
        entry = await groups.patch(tx, actor, identity("grp", one), body, seen_version(request))
        return Response(None, status_code=204, headers={"ETag": etag(entry.version)})

    @delete("/{one:str}", opt=WRITE)
    async def remove(
        self, request: AnyRequest, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], one: FromPath[str]
    ) -> None:
        """Delete a group; what its members held by it ends with it."""
        await groups.remove(tx, actor, identity("grp", one), seen_version(request))


def _chosen(request: AnyRequest) -> Chosen:
    given = {key.casefold(): value for key, value in request.query_params.items()}
    return chosen(given.get("attributes"), given.get("excludedattributes"))


async def _page(request: AnyRequest, tx: TenantTx, views: Views, given: Asked) -> Response[bytes]:
    found = await GROUPS.page(tx, request.app.state.scim_bookmarks, given.wanted)
    return answer(listed(found.total, given.wanted.start, await views.of_groups(tx, found.rows, given.chosen)))


async def _one(
    tx: TenantTx, views: Views, entry: groups.Entry, given: Chosen, *, status: int = 200, location: str | None = None
) -> Response[bytes]:
    [shown] = await views.of_groups(tx, [entry], given)
    return answer(shown, status, version=entry.version, location=location)
