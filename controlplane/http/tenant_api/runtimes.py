"""/v1/tenants/{tenant}/runtimes: the tenant's fleet, and whether each tells us everything."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import departures, fleet, rekeying, runtime_locks, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.runtime_locks import MOST_RECOVERIES
from controlplane.domain.sync import comparing
from controlplane.domain.vault import leased
from controlplane.domain.vault.leased import Which
from controlplane.http.authorize import Surface, rule
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.tenant_api import filters, views
from controlplane.http.tenant_api.views import RuntimeView
from controlplane.http.words import word
from controlplane.kit.ids import RuntimeId
from controlplane.kit.presence import Presence


class Releasing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    recoveries: Annotated[int, Meta(ge=0, le=MOST_RECOVERIES)] = 0
    """How many old join states are let through after that without a person: for machines whose disks often go back."""


class RuntimesController(Controller):
    path = "/runtimes"
    tags = ("runtimes",)

    @get("/", opt=rule(Surface.TENANT, "runtime:read"))
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        presence: NamedDependency[Presence],
        paging: NamedDependency[Paging],
        project: FromQuery[str | None] = None,
        in_state: Annotated[str | None, QueryParameter(name="state", schema_extra={"enum": filters.STATES})] = None,
    ) -> Page[RuntimeView]:
        """Runtimes, the one that joined last first; those that were told to go included."""
        rows = await fleet.listing(
            tx,
            state=filters.state(in_state),
            project=word("project", project),
            before=paging.after_id,
            limit=paging.fetch,
        )
        ledgers = await fleet.ledgers(tx, rows, presence)
        return paging.page(rows, lambda row: row.id, lambda row: views.runtime(row, ledgers[row.id]))

    @get("/{runtime:str}", opt=rule(Surface.TENANT, "runtime:read"))
    async def show(
        self, tx: NamedDependency[TenantTx], presence: NamedDependency[Presence], runtime: FromPath[str]
    ) -> RuntimeView:
        """One runtime with its ledger."""
        return await _shown(tx, presence, identity("rt", runtime))

    @post("/{runtime:str}/release", status_code=200, opt=rule(Surface.TENANT, "runtime:write", fresh=True))
    async def release(
        self,
        data: JSONBody[Releasing],
        tx: NamedDependency[TenantTx],
        presence: NamedDependency[Presence],
        actor: NamedDependency[Actor],
        runtime: FromPath[str],
    ) -> RuntimeView:
        """Let a locked runtime in again: the copy that calls first goes on, so stop the other one before.

        Also before a disk is put back on purpose: then it is not locked at all.
        """
        runtime_id = RuntimeId(identity("rt", runtime))
        await runtime_locks.release(tx, actor, runtime_id, data.recoveries)
        return await _shown(tx, presence, runtime_id)

    @post("/{runtime:str}/rotate-key", status_code=200, opt=rule(Surface.TENANT, "runtime:write"))
    async def rotate_key(
        self,
        tx: NamedDependency[TenantTx],
        presence: NamedDependency[Presence],
        actor: NamedDependency[Actor],
        runtime: FromPath[str],
    ) -> RuntimeView:
        """Have it make itself a new key, with its next heartbeat. Asking again changes nothing."""
        runtime_id = RuntimeId(identity("rt", runtime))
        await rekeying.ask(tx, actor, runtime_id)
        return await _shown(tx, presence, runtime_id)

    @post("/{runtime:str}/compare", status_code=200, opt=rule(Surface.TENANT, "runtime:write"))
    async def compare(
        self,
        tx: NamedDependency[TenantTx],
        presence: NamedDependency[Presence],
        actor: NamedDependency[Actor],
        runtime: FromPath[str],
    ) -> RuntimeView:
        """Have it compare what it has said with what is held here, with its next heartbeat, and say anew what is not."""
        runtime_id = RuntimeId(identity("rt", runtime))
        await comparing.ask(tx, actor, runtime_id)
        return await _shown(tx, presence, runtime_id)

    @post("/{runtime:str}/decommission", status_code=200, opt=rule(Surface.TENANT, "runtime:write", fresh=True))
    async def decommission(
        self,
        tx: NamedDependency[TenantTx],
        presence: NamedDependency[Presence],
        actor: NamedDependency[Actor],
        runtime: FromPath[str],
    ) -> RuntimeView:
        """Have it send what is left, say goodbye and forget its keys. It does not come back."""
        runtime_id = RuntimeId(identity("rt", runtime))
        await departures.ask(tx, actor, runtime_id)
        return await _shown(tx, presence, runtime_id)

    @delete("/{runtime:str}", opt=rule(Surface.TENANT, "runtime:write"))
    async def revoke(
        self,
        tx: NamedDependency[TenantTx],
        presence: NamedDependency[Presence],
        actor: NamedDependency[Actor],
        runtime: FromPath[str],
    ) -> None:
        """End its access at its next call, and its leases. What it has sent stays; doing it again changes nothing."""
        runtime_id = RuntimeId(identity("rt", runtime))
        await runtimes.revoke(tx, actor, runtime_id)
        await leased.revoke_all(tx, actor, Which(runtime_id=runtime_id))


async def _shown(tx: TenantTx, presence: Presence, runtime_id: UUID) -> RuntimeView:
    row = await fleet.get(tx, runtime_id)
    return views.runtime(row, (await fleet.ledgers(tx, [row], presence))[row.id])
