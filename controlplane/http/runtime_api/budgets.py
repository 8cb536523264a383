"""POST /v1/runtime/budgets: what a runtime has used, and what it may use."""

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from controlplane.db.database import Database
from controlplane.domain.budgets import leasing
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Runtime
from controlplane.http.authorize import Surface, rule
from controlplane.http.runtime_api import standing
from runtime_agent.wire.budgets import Ask, Leased


class BudgetsController(Controller):
    @post("/budgets", status_code=200, opt=rule(Surface.RUNTIME, "budget:lease"), summary="Lease a part of each budget")
    async def lease(
        self,
        data: JSONBody[Ask],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        keyring: NamedDependency[Keyring],
    ) -> Leased:
        """Take note of what was used, and hand out slices of every budget that holds for the runtime, signed.

        A slice only grows. Asking again, or saying the same again, changes nothing.
        """
        async with db.tenant(runtime.tenant_id) as tx:
            await standing.seen(tx, runtime)
            return await leasing.lease(tx, keyring, runtime.id, data)
