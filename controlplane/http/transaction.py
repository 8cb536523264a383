"""The transaction of a request: committed before the answer leaves, or not at all.

``tx`` is the only generator among the dependencies, because Litestar ends several of them at the same time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Request
from litestar.di import NamedDependency, Provide

from controlplane.db.database import Database, PlatformTx, TenantTx
from controlplane.domain import sights
from controlplane.http import preconditions
from controlplane.http.authorize import Rule
from controlplane.http.idempotency import done_once


async def _in_the_tenant(db: NamedDependency[Database], request: Request[Any, Any, Any]) -> AsyncIterator[TenantTx]:
    async with seeing(db, request) as tx, done_once(request, tx):
        await preconditions.check(request, tx)
        yield tx


@asynccontextmanager
async def seeing(db: Database, request: Request[Any, Any, Any]) -> AsyncIterator[TenantTx]:
    """As ``tx``, for handlers that talk to somebody else as well, which they do when the block has ended."""
    its: Rule = request.route_handler.opt["rule"]
    async with db.tenant(request.state.tenant_id) as tx:
        tx.sight = await sights.sight(tx, request.user, its.permissions)
        yield tx


async def _on_the_platform(db: NamedDependency[Database], request: Request[Any, Any, Any]) -> AsyncIterator[PlatformTx]:
    async with db.platform() as tx, done_once(request, tx):
        await preconditions.check(request, tx)
        yield tx


TENANT_TX = {"tx": Provide(_in_the_tenant)}
"""For routers whose rules bind a request to a tenant: the guard has put its id where this looks. It sees what whoever
asks may do with what the rule says."""

PLATFORM_TX = {"tx": Provide(_on_the_platform)}
