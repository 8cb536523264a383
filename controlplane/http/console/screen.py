"""What a page's handler needs in hand: who looks, the database, and how changes are heard of."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

from litestar import Request, Response
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.response import Redirect, ServerSentEvent

from controlplane.db.database import Database, TenantTx
from controlplane.domain.newest import Reading
from controlplane.domain.permissions import Person
from controlplane.http import authorize
from controlplane.http.console import live, render
from controlplane.http.console.live import Feed
from controlplane.http.console.render import Page
from controlplane.http.console.view import View
from controlplane.kit.presence import Presence
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.wakeups import Wakeups

Act: TypeAlias = Callable[[TenantTx], Awaitable[object]]


def within(tx: Reading) -> TenantTx:
    """The transaction of a page that only a tenant has."""
    assert isinstance(tx, TenantTx), "such a page is hung below /t/{tenant} only"
    return tx


class Screen:
    """One request's view of the console."""

    def __init__(self, view: View, db: Database, feed: Feed, state: State) -> None:
        self.view = view
        self.db = db
        self.grace: timedelta = state.deletion_grace
        self.presence: Presence = state.presence
        self._feed = feed

    async def show(self, page: Page, problem: Refusal | None = None) -> Response[str]:
        """
        Args:
            problem: Why what was asked for on it has not been done.
        """
        return await render.whole(self.db, self.view, page, problem)

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[TenantTx]:
        """A transaction in the tenant of this view, for changes."""
        async with self.view.read(self.db) as tx:
            yield within(tx)

    async def act(self, work: Act, done: str, page: Page | None = None) -> Response[Any]:
        """Do *work* in a transaction and go on to *done*, an address below the tenant's.

        Args:
            page: Shown again with the reason where the work is refused; None: the reason is a page of its own.
        """
        try:
            async with self.inside() as tx:
                await work(tx)
        except NotFound:
            raise
        except Refusal as problem:
            if page is None:
                raise
            return await self.show(page, problem)
        return Redirect(f"{self.view.base}{done}", status_code=303)

    async def plain(
        self, template: str, context: Mapping[str, object], problem: Refusal | None = None
    ) -> Response[str]:
        """A page of forms; with the reason why the last one was refused."""
        return await render.plain(self.db, self.view, template, context, problem)

    def follow(self, page: Page, *, seen: str) -> ServerSentEvent:
        """Patches of *page* from now on.

        Args:
            seen: Fingerprint of what the browser shows already.
        """
        return live.follow(self.db, self._feed, self.view, page, seen=seen)


async def provide_screen(
    request: Request[Person, Any, Any], db: NamedDependency[Database], wakeups: NamedDependency[Wakeups]
) -> Screen:
    """The guard has let the person in, and bound them to the tenant in the path."""

    async def again() -> View | None:
        try:
            await authorize.authorize(request, request.route_handler)
        except Refusal:
            return None
        return _view(request)

    state = request.app.state
    return Screen(_view(request), db, Feed(wakeups, state.streams, again), state)


def _view(request: Request[Person, Any, Any]) -> View:
    person: Person = request.scope["user"]
    its: authorize.Rule = request.route_handler.opt["rule"]
    public_url = request.app.state.public_url
    return View(person=person, tenant=person.tenant, public_url=public_url, needs=its.permissions)
