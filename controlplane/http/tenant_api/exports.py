"""/v1/tenants/{tenant}/exports: everything the tenant has, to take away. Also while it is suspended."""

from typing import Final

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Struct

from controlplane.db.database import Database, TenantTx
from controlplane.domain import exports
from controlplane.domain.audit import Actor
from controlplane.http.archive import archive
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id

FRESH: Final = rule(Surface.TENANT, "tenant:export", fresh=True, unserved=True)


class ExportView(Struct, frozen=True, kw_only=True):
    id: str
    state: str
    """`waiting`, `writing`, `ready` or `expired`."""
    requested_by: str
    requested_at: Moment
    finished_at: Moment | None
    expires_at: Moment | None
    """Until then the archive can be fetched."""
    rows: int
    size_bytes: int
    manifest_sha256: str | None
    """Of `manifest.json` in the archive."""


class ExportsController(Controller):
    path = "/exports"
    tags = ("exports",)
    opt = rule(Surface.TENANT, "tenant:export", unserved=True)

    @get("/")
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ExportView]:
        """Exports, newest first; expired ones included."""
        rows = await exports.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda export: export.id, _view)

    @post("/", status_code=202, opt=FRESH)
    async def request(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]) -> Response[ExportView]:
        """Have an archive made of everything. It is there when its state is `ready`."""
        return Response(_view(await exports.request(tx, actor)))

    @get("/{export:str}")
    async def show(self, tx: NamedDependency[TenantTx], export: FromPath[str]) -> ExportView:
        """One export, and how far it is."""
        return _view(await exports.get(tx, identity("exp", export)))

    @get("/{export:str}/archive", media_type="application/zip", opt=FRESH)
    async def download(
        self,
        db: NamedDependency[Database],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        export: FromPath[str],
    ) -> Stream:
        """The archive: a ZIP of one JSON line for each row, with a manifest."""
        return archive(db, tx.tenant_id, await exports.fetch(tx, actor, identity("exp", export)))

    @delete("/{export:str}", opt=FRESH)
    async def discard(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], export: FromPath[str]
    ) -> None:
        """Delete an archive before it expires. Doing it again changes nothing."""
        await exports.discard(tx, actor, identity("exp", export))


def _view(export: exports.Export) -> ExportView:
    return ExportView(
        id=text_id("exp", export.id),
        state=export.state,
        requested_by=export.requested_by,
        requested_at=moment(export.requested_at),
        finished_at=moment(export.finished_at),
        expires_at=moment(export.expires_at),
        rows=export.rows,
        size_bytes=export.size_bytes,
        manifest_sha256=export.manifest_sha256,
    )
