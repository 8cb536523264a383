"""What is out of the vault, of everybody: narrowed to a runtime, an agent or a run, and ended all together."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Meta, Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import tenants
from controlplane.domain.audit import Actor
from controlplane.domain.newest import Reading
from controlplane.domain.vault import leased
from controlplane.domain.vault.leased import Which
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import forms
from controlplane.http.console.acts import NotConfirmed
from controlplane.http.console.pages.leases import Out, Reference, named, out
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import maybe

Term: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]

MOST_OFFERED: Final = 100
ROWS: Final = 100


class Narrowed(Struct, frozen=True, kw_only=True):
    """Which leases are meant: those that have all of this in common; nothing filled in: all of the tenant."""

    runtime: Reference | None = None
    agent: Term = ""
    run: Term = ""

    def which(self) -> Which:
        """
        Raises:
            NotFound: If no runtime can be called that.
        """
        runtime_id = maybe("rt", self.runtime)
        return Which(runtime_id=runtime_id, agent=self.agent.strip() or None, run=self.run.strip() or None)


class Confirmed(Narrowed, frozen=True, kw_only=True):
    confirm: Annotated[str, Meta(max_length=40)] = ""
    """The tenant's slug, typed by whoever means it."""


class EndingPage(Struct, frozen=True, kw_only=True):
    out: Out
    alive: int
    """Leases that the button would end."""
    offered: Mapping[UUID, str]
    """Runtimes by id, the newest; and the one that is chosen."""
    slug: str


async def page(
    screen: NamedDependency[Screen],
    runtime: FromQuery[Term] = "",
    agent: FromQuery[Term] = "",
    run: FromQuery[Term] = "",
) -> Response[str]:
    return await screen.show(_page(Narrowed(runtime=runtime or None, agent=agent, run=run)))


async def end(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """End all that are meant, once the tenant's slug was typed."""
    meant = await forms.read(request, Confirmed)

    async def work(tx: TenantTx) -> None:
        if meant.confirm.strip() != (await tenants.get(tx)).slug:
            raise NotConfirmed
        await leased.revoke_all(tx, actor, meant.which())

    return await screen.act(work, "/leases", _page(meant))


async def _gather(tx: Reading, meant: Narrowed) -> EndingPage:
    own, which = within(tx), meant.which()
    newest = own.select(t.runtimes).with_only_columns(t.runtimes.c.id).order_by(t.runtimes.c.id.desc())
    ids = [row["id"] for row in await own.rows(newest.where(t.runtimes.c.revoked_at.is_(None)).limit(MOST_OFFERED))]
    return EndingPage(
        out=await out(own, which, most=ROWS),
        alive=await leased.alive(own, which),
        offered=await named(own, t.runtimes, [*ids, *([which.runtime_id] if which.runtime_id else [])]),
        slug=(await tenants.get(own)).slug,
    )


def _page(meant: Narrowed) -> Page:
    gather = partial(_gather, meant=meant)
    return Page(template="leases/page.html", parts=(), gather=gather, context={"meant": meant})


SHOWS: Final = frozenset({"runtime:read", "connection:read"})

HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/leases", opt=rule(Surface.CONSOLE, "lease:read", SHOWS))(page),
    post("/leases", status_code=200, opt=rule(Surface.CONSOLE, "lease:revoke", SHOWS | {"lease:read"}))(end),
)
"""Where this page hangs, below a tenant."""
