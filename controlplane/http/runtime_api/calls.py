"""POST /v1/runtime/calls: calls that the control plane makes for a runtime, with a credential that stays here."""

from typing import Any, Final

from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.response import Stream

from controlplane.db.database import Database
from controlplane.domain.permissions import Runtime
from controlplane.domain.vault import leased
from controlplane.domain.vault.leasing import Ask
from controlplane.domain.vault.proxying import Proxying
from controlplane.http import limits
from controlplane.http.authorize import Surface, rule
from controlplane.http.paths import identity
from controlplane.http.runtime_api import signed
from controlplane.kit.ids import text_id
from runtime_agent.wire.calls import CallDecided, CallRequest
from runtime_agent.wire.leases import LeaseRequest

ANSWERED: Final = ResponseSpec(
    bytes, description="What the provider answered, or what would be sent", media_type="*/*", generate_examples=False
)


class CallsController(Controller):
    @post(
        "/calls",
        status_code=200,
        responses={200: ANSWERED},
        opt=rule(Surface.RUNTIME, "credential:lease"),
        summary="Have a call made",
    )
    async def call(
        self,
        data: JSONBody[CallRequest],
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        proxying: NamedDependency[Proxying],
        db: NamedDependency[Database],
    ) -> Response[Any]:
        """Have a provider called with a credential that the runtime never sees.

        A signed request: the token is not enough. Whatever the provider answers comes back as it comes, as a 200 with
        the provider's own status in `Proxy-Status`: `engine-cloud; received-status=404`. Any other status is ours.
        Redirects are answers, and not followed.
        """
        caller = await proxying.leasing.sights.caller(runtime, anew=False)
        nonce = await signed.check(request, db, caller)
        ask = Ask(
            runtime=runtime,
            caller=caller,
            nonce=nonce,
            address=limits.address(request),
            request=await _asked(db, runtime, data),
            mode="proxy",
            under=identity("lea", data.lease) if data.lease else None,
        )
        passed = await proxying.call(ask, data)
        if isinstance(passed, CallDecided):
            return Response(passed)
        headers = dict(passed.headers)
        media_type = headers.pop("content-type", "application/octet-stream")
        return Stream(passed.body, headers=headers, media_type=media_type)


async def _asked(db: Database, runtime: Runtime, data: CallRequest) -> LeaseRequest:
    """For what it is asked; under a lease that is what it was leased for.

    Raises:
        NotFound: If the runtime has no such lease.
        LeaseRevoked, LeaseOver: If it has ended.
    """
    if data.lease is None:
        return LeaseRequest(
            connection=data.connection,
            select=data.select,
            agent=data.agent,
            run=data.run,
            tool=data.tool,
            purpose=data.purpose,
            dry_run=data.dry_run,
        )
    async with db.tenant(runtime.tenant_id) as tx:
        held = await leased.renewable(tx, runtime.id, identity("lea", data.lease))
    return LeaseRequest(
        connection=text_id("con", held.connection_id),
        agent=held.agent,
        run=held.run,
        tool=held.tool,
        purpose=held.purpose,
        dry_run=data.dry_run,
    )
