"""Who was turned down is written into the audit log: where a credential opened nothing, or not enough."""

from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Request
from litestar.types import Scope
from msgspec.structs import replace

from controlplane.domain.actors import actor_of
from controlplane.domain.audit.denials import Denial, Denials
from controlplane.domain.audit.events import Actor
from controlplane.domain.impersonation.acting import ImpersonationOver
from controlplane.domain.permissions import ApiKey, AuthenticationRequired, Principal, Runtime
from controlplane.domain.sign_ins import SignInRefused
from controlplane.http import limits
from controlplane.http.authentication import SHOWN_OF
from controlplane.http.authorize import TENANT_PARAMETER
from controlplane.http.headers import request_id
from controlplane.http.principals import personal
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import NotFound, Refusal

log = structlog.get_logger("controlplane.http")

ALREADY_TOLD: Final = (AuthenticationRequired, SignInRefused, ImpersonationOver)
"""Showing nothing, or what was good until now, is no attempt; a wrong password is written down where it is found to be wrong."""


MOST_OF_A_NAME: Final = 60


async def write_down(error: Exception, scope: Scope) -> None:
    """An ``after_exception`` hook. Whatever happens here changes nothing of the answer."""
    if not isinstance(error, Refusal) or isinstance(error, ALREADY_TOLD):
        return
    request: Request[Any, Any, Any] = Request(scope)
    denial = _denial(request, error)
    if denial is None:
        return
    denials: Denials = request.app.state.denials
    try:
        await denials.note(denial)
    except Exception as failed:
        log.error("denial.unwritten", code=error.code, error=type(failed).__name__)


def _denial(request: Request[Any, Any, Any], refusal: Refusal) -> Denial | None:
    """What *refusal* is to the audit log; None for what is no denial."""
    principal: Principal | None = request.scope.get("user")
    what: dict[str, object] = {
        "code": refusal.code,
        "method": request.scope.get("method", "GET"),  # a WebSocket's scope has none
        "path": str(request.scope.get("path_template", "")),
    }
    if principal is None:
        return _of_nobody(request, what) if refusal.status == HTTPStatus.UNAUTHORIZED else None
    chain: TenantId | None = request.state.get("tenant_id")
    tried = request.path_params.get(TENANT_PARAMETER) if chain is None else None
    if isinstance(refusal, NotFound) and tried is not None:
        target = ("tenant", str(tried)[:MOST_OF_A_NAME])
    elif refusal.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        target = ("permission", str(refusal.facts().get("permission", "")))
    else:
        return None
    if isinstance(principal, ApiKey):
        chain = principal.tenant.tenant_id
    actor = actor_of(principal, request_id(request.scope))
    actor = replace(actor, personal=None if isinstance(principal, Runtime) else personal(request, principal))
    return Denial(chain=chain, caller=actor.id, actor=actor, action="access.denied", target=target, facts=what)


def _of_nobody(request: Request[Any, Any, Any], what: dict[str, object]) -> Denial:
    """Somebody showed a credential that opens nothing: in the log of the tenant whose it was, if it was one's."""
    return Denial(
        chain=request.state.get(SHOWN_OF),
        caller=limits.address(request),
        actor=Actor(kind="nobody", id="", request_id=request_id(request.scope), personal=personal(request)),
        action="authentication.refused",
        target=("credential", ""),
        facts=what,
    )
