"""/v1/me/sessions: where one is signed in, and ending it."""

from typing import Any

from litestar import Controller, Request, Response, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from controlplane.db.database import PlatformTx
from controlplane.domain import sign_ins
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Person
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.me.sign_in import with_cookie
from controlplane.http.pages import Page, PageInfo
from controlplane.http.paths import identity
from controlplane.http.transaction import PLATFORM_TX
from controlplane.kit.ids import text_id


class BrowserSessionView(Struct, frozen=True, kw_only=True):
    id: str
    current: bool
    """Whether it is the one that asks."""
    client: str
    """What the browser calls itself."""
    method: str
    """How its person last proved who they are."""
    created_at: Moment
    authenticated_at: Moment
    last_seen_at: Moment
    """To the minute."""


class BrowserSessionsController(Controller):
    path = "/sessions"
    tags = ("me",)
    dependencies = PLATFORM_TX

    @get("/", opt=rule(Surface.ME))
    async def listing(
        self, tx: NamedDependency[PlatformTx], person: NamedDependency[Person]
    ) -> Page[BrowserSessionView]:
        """Where one is signed in, the session used last first; 200 at most."""
        found = await sign_ins.sessions_of(tx, person.account_id)
        return Page(data=[_view(each, person) for each in found], page=PageInfo(next_cursor=None, has_more=False))

    @delete("/", opt=rule(Surface.ME))
    async def end_all(
        self,
        request: Request[Any, Any, Any],
        tx: NamedDependency[PlatformTx],
        person: NamedDependency[Person],
        actor: NamedDependency[Actor],
    ) -> Response[None]:
        """Sign out everywhere, here too; links that would sign in work no longer."""
        await sign_ins.end_all(tx, actor, person.account_id)
        return with_cookie(request.app.state.session_cookie.gone())

    @delete("/{session:str}", opt=rule(Surface.ME))
    async def end(
        self,
        tx: NamedDependency[PlatformTx],
        person: NamedDependency[Person],
        actor: NamedDependency[Actor],
        session: FromPath[str],
    ) -> None:
        """End one session."""
        await sign_ins.end_another(tx, actor, person.account_id, identity("bs", session))


def _view(session: sign_ins.Session, person: Person) -> BrowserSessionView:
    return BrowserSessionView(
        id=text_id("bs", session.id),
        current=session.id == person.session_id,
        client=session.client,
        method=session.auth_method,
        created_at=moment(session.created_at),
        authenticated_at=moment(session.authenticated_at),
        last_seen_at=moment(session.seen_at),
    )
