"""What a page's handler needs in hand: who looks, the database, and how changes are heard of."""

from datetime import timedelta
from typing import Any

from litestar import Request, Response
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent

from controlplane.db.database import Database
from controlplane.domain.permissions import Authorizer, Person
from controlplane.http import authorize
from controlplane.http.console import live, render
from controlplane.http.console.live import Feed
from controlplane.http.console.render import Page
from controlplane.http.console.view import View
from controlplane.kit.problems import Refusal
from controlplane.kit.wakeups import Wakeups


class Screen:
    """One request's view of the console."""

    def __init__(self, view: View, db: Database, feed: Feed, state: State) -> None:
        self.view = view
        self.db = db
        self.grace: timedelta = state.deletion_grace
        self._feed = feed
        self._authorizer: Authorizer = state.authorizer

    def may(self, permission: str) -> bool:
        """Whether whoever looks holds it: what they may not do is not offered."""
        return self._authorizer.decide(self.view.person, permission).allow

    async def show(self, page: Page) -> Response[str]:
        return await render.whole(self.db, self.view, page)

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

    return Screen(view, db, Feed(wakeups, state.streams, allowed), state)
