"""The directory's door: SCIM tokens come in here, and nowhere else. The tenant is the token's; no address names it."""

from typing import Any

from litestar import Request, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException

from controlplane.domain.permissions import Directory
from controlplane.http.limits import address
from controlplane.http.scim import answers, discovery, searching
from controlplane.http.scim.answers import BASE
from controlplane.http.scim.groups import GroupsController
from controlplane.http.scim.users import UsersController
from controlplane.http.scim.views import Views
from controlplane.http.transaction import TENANT_TX
from controlplane.kit.problems import Refusal

MAX_BODY_BYTES = 10 << 20
"""A group of a hundred thousand members, sent whole, has some megabytes."""


async def note_change(request: Request[Any, Any, Any]) -> None:
    """After a change has been committed and answered: when it was, and that open pages look again at who may see them."""
    user = request.user
    if request.method == "GET" or not isinstance(user, Directory):
        return
    state, tenant_id = request.app.state, user.tenant.tenant_id
    state.scim_syncs.note(tenant_id, user.id, state.db.clock(), address(request))
    await state.wakeups.nudge(f"tenant:{tenant_id}")


def provide_views(request: Request[Any, Any, Any]) -> Views:
    return Views(request.app.state.public_url)


router = Router(
    BASE,
    route_handlers=[UsersController, GroupsController, searching.search, discovery.router],
    dependencies={**TENANT_TX, "views": Provide(provide_views, sync_to_thread=False)},
    exception_handlers={Refusal: answers.refuse, HTTPException: answers.malformed, Exception: answers.broken},
    after_response=note_change,
    request_max_body_size=MAX_BODY_BYTES,
    include_in_schema=False,
)
