"""An archive on its way to whoever asked for it, a part at a time."""

from litestar.response import Stream

from controlplane.db.database import Database
from controlplane.domain import exports
from controlplane.domain.exports import Export
from controlplane.kit.ids import TenantId, text_id


def archive(db: Database, tenant_id: TenantId, export: Export) -> Stream:
    """The bytes of a finished export; no transaction is open while the other side takes its time."""
    headers = {
        "Content-Disposition": f'attachment; filename="{text_id("exp", export.id)}.zip"',
        "Content-Length": str(export.size_bytes),
    }
    return Stream(exports.parts(db, tenant_id, export.id), media_type="application/zip", headers=headers)
