"""Leases on the pages of what they are of: a connection's, a runtime's; and ending them there."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Meta, Struct
from sqlalchemy import Table

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.vault import leased
from controlplane.domain.vault.leased import Leased, State, Which
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.screen import Screen
from controlplane.http.paths import identity

Reference: TypeAlias = Annotated[str, Meta(pattern="^[a-z0-9_]{1,40}$")]

ROWS: Final = 20


class Names(Struct, frozen=True, kw_only=True):
    """What rows point to is called so; what is gone is not in it."""

    runtimes: dict[UUID, str]
    connections: dict[UUID, str]
    policies: dict[UUID, str]


class Out(Struct, frozen=True, kw_only=True):
    """Some leases, the newest first."""

    rows: list[Leased]
    more: bool
    names: Names


class Of(Struct, frozen=True, kw_only=True):
    """What the leases are of: one of the two."""

    connection: Reference | None = None
    runtime: Reference | None = None

    def which(self) -> Which:
        """
        Raises:
            NotFound: If it is neither: nobody ends everything by an empty form.
        """
        if self.connection is not None:
            return Which(connection_id=identity("con", self.connection))
        return Which(runtime_id=identity("rt", self.runtime or ""))

    @property
    def page(self) -> str:
        """Below the tenant's address."""
        return f"/connections/{self.connection}#leases" if self.connection else f"/runtimes/{self.runtime}#leases"


class _Named(Struct, frozen=True):
    id: UUID
    name: str


async def out(tx: TenantTx, which: Which, state: State = "active", most: int = ROWS) -> Out:
    rows = await leased.listing(tx, which, state=state, limit=most + 1)
    shown = rows[:most]
    names = Names(
        runtimes=await named(tx, t.runtimes, [row.runtime_id for row in shown]),
        connections=await named(tx, t.connections, [row.connection_id for row in shown]),
        policies=await named(tx, t.policies, [row.policy_id for row in shown]),
    )
    return Out(rows=shown, more=len(rows) > most, names=names)


async def named(tx: TenantTx, table: Table, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The names of those of *ids* that there are."""
    if not ids:
        return {}
    found = await tx.all(
        _Named, tx.select(table).with_only_columns(table.c.id, table.c.name).where(table.c.id.in_(ids))
    )
    return {row.id: row.name for row in found}


async def end(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    lease: FromPath[str],
) -> Response[Any]:
    """End one lease, and go back to the page that the button stood on."""
    of = await forms.read(request, Of)

    async def work(tx: TenantTx) -> None:
        await leased.revoke(tx, actor, identity("lea", lease))

    return await screen.act(work, of.page)


async def end_all(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """End every lease of a connection, or of a runtime."""
    of = await forms.read(request, Of)

    async def work(tx: TenantTx) -> None:
        await leased.revoke_all(tx, actor, of.which())

    return await screen.act(work, of.page)


TAKES: Final = rule(Surface.CONSOLE, "lease:revoke", frozenset({"lease:read"}))

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    post("/leases/end", status_code=200, opt=TAKES)(end_all),
    post("/leases/{lease:str}/end", status_code=200, opt=TAKES)(end),
)
"""Where ending them hangs, below a tenant."""
