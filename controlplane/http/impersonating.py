"""Asking to work as somebody, beginning and ending it: for the API and for the console alike."""

from typing import Any
from uuid import UUID

from litestar import Request
from litestar.datastructures import Cookie

from controlplane.db.database import Database
from controlplane.domain.audit import Actor
from controlplane.domain.impersonation import acting, requests
from controlplane.domain.impersonation.requests import Impersonation, ImpersonationNever, Wanted
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import OperatorKey, Person
from controlplane.http.sessions import SessionCookie
from controlplane.kit.ids import TenantId
from controlplane.kit.problems import Refusal

AnyRequest = Request[Any, Any, Any]


class BrowserNeeded(Refusal):
    """What one is meanwhile is worn by a session, which a program does not have."""

    code, status, title = "impersonation-needs-session", 403, "Only a person at a browser works as somebody else"
    hint = "Sign in and begin it there. A key can ask for it, and end it."


async def ask(request: AnyRequest, db: Database, actor: Actor, tenant_id: TenantId, wanted: Wanted) -> Impersonation:
    """
    Raises:
        NotFound: If there is no such tenant or person in it.
        ImpersonationNever: If the tenant lets nobody; its owners hear of the attempt.
        ImpersonationOfNobody, ImpersonationAsked: If there is nothing to ask for.
    """
    asking = request.user
    assert isinstance(asking, Person | OperatorKey), "nobody else comes in here"
    async with db.tenant(tenant_id) as tx:
        made = await requests.request(tx, actor, asking.account_id, request.app.state.public_url, wanted)
    if made is None:
        raise ImpersonationNever
    return made


async def start(
    request: AnyRequest, db: Database, keyring: Keyring, actor: Actor, impersonation_id: UUID
) -> tuple[Impersonation, Cookie]:
    """Begin what was agreed to; with its cookie this session works as somebody else.

    Raises:
        BrowserNeeded: If a key asks.
        NotFound: If there is no such impersonation, or another operator asked for it.
        ImpersonationElsewhere, ImpersonationUnderWay: If it cannot begin now.
        ImpersonationNever, ImpersonationOfNobody: If it cannot at all, any more.
    """
    if not isinstance(request.user, Person):
        raise BrowserNeeded
    state = request.app.state
    tenant_id = await tenant_of(db, impersonation_id)
    async with db.tenant(tenant_id) as tx:
        row, token = await acting.start(tx, actor, keyring.pepper, state.public_url, request.user, impersonation_id)
    cookie: SessionCookie = state.impersonation_cookie
    return row, cookie.holding(token)


async def end(request: AnyRequest, db: Database, actor: Actor, impersonation_id: UUID) -> tuple[Impersonation, Cookie]:
    """End it, whether it is under way or has not begun; and the cookie that forgets it.

    Raises:
        NotFound: If there is no such impersonation.
        ImpersonationElsewhere: If it has come to its end.
    """
    async with db.tenant(await tenant_of(db, impersonation_id)) as tx:
        row = await requests.end(tx, actor, impersonation_id, "operator")
    return row, gone(request)


def gone(request: AnyRequest) -> Cookie:
    """Makes a browser forget what it wore."""
    cookie: SessionCookie = request.app.state.impersonation_cookie
    return cookie.gone()


async def tenant_of(db: Database, impersonation_id: UUID) -> TenantId:
    """
    Raises:
        NotFound: If there is no such impersonation.
    """
    async with db.operator() as look:
        return (await requests.anywhere(look, impersonation_id)).tenant_id
