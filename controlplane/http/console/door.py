"""Who may see which page: one table, hung twice, for operators across tenants and inside one tenant."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from controlplane.domain.permissions import AuthenticationRequired, Person, ReauthenticationRequired
from controlplane.domain.tenants import TenantPendingDeletion, TenantSuspended
from controlplane.http import problems
from controlplane.http.authorize import (
    TENANT_PARAMETER,
    AccountProofRequired,
    Rule,
    SsoRequired,
    Surface,
    open_to_all,
    rule,
)
from controlplane.http.console import (
    access,
    account,
    acts,
    assets,
    confirm,
    finding,
    invited,
    render,
    sign_in,
    sign_on_page,
    single_sign_on,
)
from controlplane.http.console.pages import (
    approvals,
    audit,
    budgets,
    checkpoints,
    commands,
    comparison,
    configs,
    connection,
    connections,
    could_use,
    disclosures,
    ending,
    impersonations,
    leases,
    logs,
    mcp,
    minted,
    oauth_apps,
    other_device,
    overview,
    policies,
    receipts,
    runtime,
    runtimes,
    session,
    sessions,
    settings,
    tenants,
    vault,
    webhooks,
    wordings,
)
from controlplane.http.console.screen import Screen, provide_screen
from controlplane.http.console.switcher import memberships
from controlplane.http.console.view import CONSOLE, home_of
from controlplane.http.demanded_factors import MfaRequired
from controlplane.http.headers import request_id
from controlplane.kit.problems import NotFound, Refusal

AnyRequest = Request[Any, Any, Any]
Handler = Callable[..., Coroutine[Any, Any, Any]]

ACROSS: Final = "operator:tenant-read"
"""What it takes to look at every tenant at once."""

WORK: Final = frozenset({"session:read", "run:read", "checkpoint:read", "agent:read", "runtime:read", "command:read"})
"""What pages of work take together: each shows some of everything."""

COMPARE: Final = rule(Surface.CONSOLE, "checkpoint:content", also=frozenset({"checkpoint:read"}))

PAGES: Final[Sequence[tuple[str, str, Handler]]] = (
    ("/live", "session:read", overview.live),
    ("/sessions", "session:read", sessions.page),
    ("/sessions/live", "session:read", sessions.live),
    ("/runtimes", "runtime:read", runtimes.page),
    ("/runtimes/live", "runtime:read", runtimes.live),
    ("/search", "session:read", finding.search),
)
"""Address, what it takes inside a tenant, and who answers. Across tenants each takes :data:`ACROSS`."""

ONE: Final[Sequence[tuple[str, str, Handler]]] = (
    ("/", "session:read", overview.page),
    ("/sessions/{session:str}", "session:read", session.page),
    ("/sessions/{session:str}/live", "session:read", session.live),
    ("/sessions/{session:str}/checkpoints", "checkpoint:read", checkpoints.page),
    ("/checkpoints/{checkpoint:str}", "checkpoint:read", checkpoints.one),
    ("/runtimes/{runtime:str}", "runtime:read", runtime.page),
    ("/runtimes/{runtime:str}/live", "runtime:read", runtime.live),
    ("/audit", "audit:read", audit.page),
)
"""Pages that a tenant alone has."""

ACTS: Final[Sequence[HTTPRouteHandler]] = (
    post("/audit/verify", opt=rule(Surface.CONSOLE, "audit:read"), status_code=303)(audit.verify),
    get("/checkpoints/{checkpoint:str}/compare/{other:str}", opt=COMPARE)(comparison.page),
    get("/sessions/{session:str}/compare", opt=COMPARE)(checkpoints.chosen),
)
"""What a tenant's pages can have done, and what is written down where it is looked at."""

ANYWHERE: Final[Sequence[tuple[str, str, Handler]]] = (
    ("/go", ACROSS, finding.go),
    ("/sessions/{session:str}", ACROSS, finding.session_anywhere),
    ("/runtimes/{runtime:str}", ACROSS, finding.runtime_anywhere),
    ("/tenants", ACROSS, tenants.page),
    ("/tenants/{target:str}", ACROSS, tenants.one),
)
"""From an id alone to its place, and the tenants themselves, for operators."""


async def home(request: AnyRequest, screen: NamedDependency[Screen]) -> Response[Any]:
    """Everybody's first page: an operator's overview, one's only tenant, or the choice."""
    view = screen.view
    if request.app.state.authorizer.decide(view.person, ACROSS).allow:
        return await overview.page(screen)
    places = await memberships(screen.db, view.person)
    if len(places) == 1:
        return Redirect(f"{home_of(places[0].slug)}/", status_code=303)
    return render.html("tenants.html", {"view": view, "tenants": places, "stream": None})


async def absent(rest: FromPath[str]) -> None:
    raise NotFound


def refuse(request: AnyRequest, refusal: Refusal) -> Response[Any]:
    """A refusal as a page. Who has not signed in is asked to; streams get the bare problem."""
    if "text/event-stream" in request.headers.get("accept", ""):
        return problems.refuse(request, refusal)
    person = request.scope.get("user")
    acting = person.acting if isinstance(person, Person) else None
    if acting is not None and request.url.path.rstrip("/") == CONSOLE:
        return Redirect(f"{home_of(person.tenant.slug)}/", status_code=303)
    if isinstance(refusal, AuthenticationRequired):
        return sign_in.first_sign_in(request)
    if isinstance(refusal, ReauthenticationRequired):
        return confirm.first_confirm(request)
    if isinstance(refusal, MfaRequired):
        return confirm.first_second_factor(request, refusal)
    if isinstance(refusal, SsoRequired | AccountProofRequired):
        return single_sign_on.refused(request, refusal)
    if isinstance(refusal, TenantSuspended | TenantPendingDeletion):
        onward = f"{home_of(str(request.path_params[TENANT_PARAMETER]))}/settings"
        return render.refusal(refusal, said=refusal.detail, onward=onward)
    absent_or_foreign = isinstance(refusal, NotFound)
    return render.refusal(refusal, "" if absent_or_foreign else request_id(request.scope), acting=acting)


def malformed(request: AnyRequest, error: HTTPException) -> Response[Any]:
    return refuse(request, problems.as_refusal(request, error))


def broken(request: AnyRequest, error: Exception) -> Response[Any]:
    return refuse(request, problems.as_refusal(request, error))


def _hung(pages: Sequence[tuple[str, str, Handler]], permission: str | None = None) -> list[HTTPRouteHandler]:
    return [get(address, opt=_rule(permission or its_own))(page) for address, its_own, page in pages]


def _rule(permission: str) -> dict[str, Rule]:
    return rule(Surface.CONSOLE, permission, also=WORK - {permission} if permission in WORK else frozenset())


router = Router(
    CONSOLE,
    route_handlers=[
        get("/", opt=rule(Surface.CONSOLE, vouched=True))(home),
        get("/{rest:path}", opt=open_to_all("says that nothing is there", Surface.CONSOLE))(absent),
        *_hung(PAGES, ACROSS),
        *_hung(ANYWHERE),
        *impersonations.OF_OPERATORS,
        *vault.HANDLERS,
        *(account.HANDLERS + confirm.HANDLERS + invited.HANDLERS + single_sign_on.HANDLERS),
        Router("/tenants/{target:str}", route_handlers=acts.ABOUT_ONE),
        Router(
            "/t/{tenant:str}",
            route_handlers=[
                *_hung([*PAGES, *ONE]),
                *ACTS,
                *runtime.ACTS,
                *access.handlers(),
                *approvals.HANDLERS,
                *commands.HANDLERS,
                *receipts.HANDLERS,
                *budgets.HANDLERS,
                *configs.HANDLERS,
                *wordings.HANDLERS,
                *logs.HANDLERS,
                *webhooks.HANDLERS,
                *connections.HANDLERS,
                *minted.HANDLERS,
                *mcp.HANDLERS,
                *other_device.HANDLERS,
                *connection.HANDLERS,
                *could_use.HANDLERS,
                *leases.HANDLERS,
                *ending.HANDLERS,
                *policies.HANDLERS,
                *disclosures.HANDLERS,
                *oauth_apps.HANDLERS,
                *impersonations.OF_THE_TENANT,
                get("/settings", opt=rule(Surface.CONSOLE, "tenant:read", unserved=True))(settings.page),
                Router("/settings", route_handlers=acts.ABOUT_ONES_OWN, dependencies=acts.IN_THE_TENANT),
                Router("/single-sign-on", route_handlers=sign_on_page.HANDLERS),
            ],
        ),
        *(
            assets.static,
            sign_in.sign_in_form,
            sign_in.sign_in,
            sign_in.second_step,
            sign_in.forgot_form,
            sign_in.forgot,
            sign_in.welcome_form,
            sign_in.welcome,
        ),
    ],
    dependencies={
        "screen": Provide(provide_screen),
        "asked": Provide(sessions.provide_asked, sync_to_thread=False),
        "asked_of_audit": Provide(audit.provide_asked_of_audit, sync_to_thread=False),
    },
    exception_handlers={Refusal: refuse, HTTPException: malformed, Exception: broken},
    include_in_schema=False,
)
