"""A tenant's own page about itself: its name, what it may use, taking everything along, and its end."""

from datetime import datetime
from functools import partial
from typing import Final

from litestar import Response
from litestar.di import NamedDependency
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import exports
from controlplane.domain.exports import Export
from controlplane.domain.newest import Reading
from controlplane.http.console.pages.tenants import ONE as FACTS
from controlplane.http.console.pages.tenants import LimitRow, TenantFacts, limit_rows
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen

EXPORTS: Final = 10


class Settings(Struct, frozen=True, kw_only=True):
    now: datetime
    tenant: TenantFacts
    limits: list[LimitRow]
    exports: list[Export]

    @property
    def writing(self) -> bool:
        """Whether an archive is being made."""
        return any(export.state in exports.UNFINISHED for export in self.exports)


async def gather(tx: Reading) -> Settings:
    assert isinstance(tx, TenantTx), "a page that only a tenant has"
    [tenant] = await tx.query(TenantFacts, FACTS, tenant_id=tx.tenant_id)
    return Settings(
        now=tx.now,
        tenant=tenant,
        limits=await limit_rows(tx, tx.tenant_id),
        exports=await exports.listing(tx, after=None, limit=EXPORTS),
    )


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(
        Page(
            template="settings/page.html",
            parts=("settings/head", "settings/limits", "settings/exports", "settings/end"),
            gather=partial(gather),
            context={"grace": screen.grace, "may": screen.view.may},
        )
    )
