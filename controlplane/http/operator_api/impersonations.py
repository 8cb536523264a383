"""/v1/operator/impersonations: asking to work as somebody of a tenant, and doing so where the tenant lets one."""

from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain.audit import Actor
from controlplane.domain.impersonation import requests
from controlplane.domain.impersonation.requests import LONGEST_MINUTES, MAX_REASON, MAX_TICKET, Wanted
from controlplane.domain.keys import Keyring
from controlplane.domain.masks import Mode
from controlplane.http import impersonating
from controlplane.http.authorize import Surface, as_oneself, rule
from controlplane.http.impersonation_view import ImpersonationView, impersonation_view, operators_of
from controlplane.http.operator_api.lifecycle import found
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest

SEES, DOES = "operator:impersonation-read", "operator:impersonate"


class NewImpersonation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tenant: Annotated[str, Meta(max_length=60)]
    """Slug or id."""
    user: Annotated[str, Meta(max_length=60)]
    """As whom: `usr_…`."""
    reason: Annotated[str, Meta(pattern=r"\S", max_length=MAX_REASON)]
    """Shown to the tenant, and kept in its audit log."""
    ticket: Annotated[str, Meta(max_length=MAX_TICKET)] = ""
    minutes: Annotated[int, Meta(ge=1, le=LONGEST_MINUTES)] = 30
    mode: Mode = "read_only"


class ImpersonationsController(Controller):
    path = "/impersonations"
    tags = ("operator",)

    @get("/", opt=rule(Surface.OPERATOR, SEES))
    async def listing(
        self,
        db: NamedDependency[Database],
        tx: NamedDependency[PlatformTx],
        paging: NamedDependency[Paging],
        target: FromQuery[Annotated[str, Meta(max_length=60)] | None] = None,
    ) -> Page[ImpersonationView]:
        """Every impersonation, newest first; what has ended included. `target` is a tenant, by slug or id."""
        tenant_id = None if target is None else await found(db, target)
        async with db.operator() as look:
            rows = await requests.listing(look, after=paging.after_id, limit=paging.fetch, tenant_id=tenant_id)
        operators = await operators_of(tx, rows)
        return paging.page(rows, lambda row: row.id, lambda row: impersonation_view(row, operators, tx.now))

    @post("/", status_code=201, opt=rule(Surface.OPERATOR, DOES, fresh=True))
    async def request(
        self,
        data: JSONBody[NewImpersonation],
        request: AnyRequest,
        db: NamedDependency[Database],
        tx: NamedDependency[PlatformTx],
        actor: NamedDependency[Actor],
    ) -> ImpersonationView:
        """Ask to work as somebody. What follows is the tenant's `impersonation_policy`; its owners get a letter."""
        wanted = Wanted(
            user_id=identity("usr", data.user),
            reason=data.reason.strip(),
            ticket=data.ticket.strip(),
            minutes=data.minutes,
            mode=data.mode,
        )
        made = await impersonating.ask(request, db, actor, await found(db, data.tenant), wanted)
        return impersonation_view(made, await operators_of(tx, [made]), tx.now)

    @get("/{impersonation:str}", opt=rule(Surface.OPERATOR, SEES))
    async def show(
        self, db: NamedDependency[Database], tx: NamedDependency[PlatformTx], impersonation: FromPath[str]
    ) -> ImpersonationView:
        """One of them."""
        async with db.operator() as look:
            row = await requests.anywhere(look, identity("imp", impersonation))
        return impersonation_view(row, await operators_of(tx, [row]), tx.now)

    @post("/{impersonation:str}/start", status_code=200, opt=rule(Surface.OPERATOR, DOES, fresh=True))
    async def start(
        self,
        request: AnyRequest,
        db: NamedDependency[Database],
        keyring: NamedDependency[Keyring],
        actor: NamedDependency[Actor],
        impersonation: FromPath[str],
    ) -> Response[ImpersonationView]:
        """Begin what was agreed to. A second cookie comes with it: together with the session's, one works as somebody."""
        row, cookie = await impersonating.start(request, db, keyring, actor, identity("imp", impersonation))
        return Response(await _view(db, row), cookies=[cookie])

    @post("/{impersonation:str}/end", status_code=200, opt=as_oneself(rule(Surface.OPERATOR, DOES)))
    async def end(
        self,
        request: AnyRequest,
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        impersonation: FromPath[str],
    ) -> Response[ImpersonationView]:
        """End it, or take the request back. Also while one works as somebody in it."""
        row, cookie = await impersonating.end(request, db, actor, identity("imp", impersonation))
        return Response(await _view(db, row), cookies=[cookie])


async def _view(db: Database, row: requests.Impersonation) -> ImpersonationView:
    async with db.platform() as tx:
        return impersonation_view(row, await operators_of(tx, [row]), tx.now)
