"""From what somebody types or follows to the page it means."""

from typing import Any, TypeAlias
from uuid import UUID

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import fleet, sessions, tenants
from controlplane.http.console.screen import Screen
from controlplane.http.console.view import View, home_of
from controlplane.http.console.words import public_id, with_query
from controlplane.http.paths import identity
from controlplane.kit.ids import parse_id

Answer: TypeAlias = Response[Any]


async def search(screen: NamedDependency[Screen], q: FromQuery[str] = "") -> Answer:
    """An id, a runtime's name or a tenant's slug leads to its page; all else to the sessions that it finds."""
    view, db, wanted = screen.view, screen.db, q.strip()
    for kind, place in (("ses", "sessions"), ("rt", "runtimes")):
        if parse_id(kind, wanted) is not None:
            return _to(f"{view.base}/{place}/{wanted}")
    if runtime := await _runtime_named(db, view, wanted):
        return _to(f"{view.base}/runtimes/{public_id(runtime, 'rt')}")
    if view.across and tenants.SLUG.fullmatch(wanted) and await tenants.find(db, wanted):
        return _to(f"{home_of(wanted)}/")
    return _to(f"{view.base}/sessions{with_query(q=wanted, period='all' if wanted else None)}")


async def go(tenant: FromQuery[str]) -> Answer:
    """To a tenant by slug or id, for menus that do not hold them all."""
    return _to(f"{home_of(tenant.strip())}/")


async def session_anywhere(db: NamedDependency[Database], session: FromPath[str]) -> Answer:
    """To the session's page in its tenant."""
    async with db.operator() as tx:
        found = await sessions.get(tx, identity("ses", session))
    return _to(f"{home_of(found.tenant)}/sessions/{session}")


async def runtime_anywhere(db: NamedDependency[Database], runtime: FromPath[str]) -> Answer:
    """To the runtime's page in its tenant."""
    async with db.operator() as tx:
        found = await fleet.get(tx, identity("rt", runtime))
    return _to(f"{home_of(found.tenant)}/runtimes/{runtime}")


class _Id(Struct, frozen=True):
    id: UUID


async def _runtime_named(db: Database, view: View, name: str) -> UUID | None:
    """The runtime that is called exactly this, if it is one only."""
    async with view.read(db) as tx:
        found = await tx.all(_Id, tx.select(t.runtimes).where(t.runtimes.c.name == name).limit(2))
    return found[0].id if len(found) == 1 else None


def _to(address: str) -> Answer:
    return Redirect(address, status_code=303)
