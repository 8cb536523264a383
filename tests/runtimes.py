"""Runtimes to test with, joined without HTTP."""

import itertools
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import audit, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.sync import cursors
from controlplane.kit.ids import ProjectId, RuntimeId, TenantId, new_id
from runtime_agent.wire.join import Enroll

SHELL = Actor(kind="shell", id="tests")
KEY = "A" * 43

_serial = itertools.count(1)


class Joined(Struct, frozen=True):
    tenant_id: TenantId
    project_id: ProjectId
    id: RuntimeId


async def join(
    db: Database,
    tenant_id: TenantId | None = None,
    project_id: ProjectId | None = None,
    labels: dict[str, str] | None = None,
) -> Joined:
    """A runtime in this tenant and project, or in new ones."""
    if tenant_id is None or project_id is None:
        tenant_id, project_id = await _tenant(db)
    async with db.tenant(tenant_id) as tx:
        keys = {"public_key": KEY, "sealing_key": KEY, "proof": "", "join_token": ""}
        asked = Enroll(**keys, name=f"runtime-{next(_serial)}", labels=labels or {})
        runtime = await runtimes.enroll(tx, SHELL, project_id, asked, bytes(32), bytes(32))
        await cursors.begin(tx, runtime.id)
    return Joined(tenant_id, project_id, runtime.id)


async def _tenant(db: Database) -> tuple[TenantId, ProjectId]:
    slug, project_id = f"tenant-{next(_serial)}", ProjectId(new_id(db.clock()))
    async with db.new_tenant() as tx:
        tenant = {"slug": slug, "name": slug, "status": "active", "status_reason": "", "created_at": tx.now}
        await tx.run(tx.insert(t.tenants).values(**tenant))
        await tx.run(tx.insert(t.routes).values(kind="slug", key=slug.encode()))
        project = {"id": project_id, "slug": "default", "name": "Default", "environment": "prod"}
        await tx.run(tx.insert(t.projects).values(**project, created_at=tx.now))
        audit.record(tx, SHELL, "tenant.created", ("tenant", str(UUID(int=0))))
        return tx.tenant_id, project_id
