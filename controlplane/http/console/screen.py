"""What a page's handler needs in hand: who looks, the database, and how changes are heard of."""

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent

from controlplane.db.database import Database
from controlplane.domain.permissions import Person
from controlplane.http import authorize
from controlplane.http.console import live, render
from controlplane.http.console.live import Feed
from controlplane.http.console.render import Page
from controlplane.http.console.view import View
from controlplane.kit.problems import Refusal
from controlplane.kit.wakeups import Wakeups


class Screen:
    """One request's view of the console."""

    def __init__(self, view: View, db: Database, feed: Feed) -> None:
        self.view = view
        self.db = db
        self._feed = feed

    async def show(self, page: Page) -> Response[str]:
        return await render.whole(self.db, self.view, page)

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
    person, state = request.user, request.app.state
    view = View(person=person, tenant=person.tenant, public_url=state.public_url)

    async def allowed() -> bool:
        try:
            await authorize.authorize(request, request.route_handler)
        except Refusal:
            return False
        return True

    return Screen(view, db, Feed(wakeups, state.streams, allowed))
