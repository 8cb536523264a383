"""/v1/tenants/{tenant}/permissions: what can be done in a tenant, and what of it whoever asks may do."""

from typing import Literal

from litestar import Controller, get
from msgspec import Struct

from controlplane.domain.permission_names import ANYWHERE, PERMISSIONS, RESERVED, WITHIN_PROJECTS, WITHIN_RUNTIMES
from controlplane.domain.permissions import limits_of
from controlplane.http.authorize import Surface, rule
from controlplane.http.principals import AnyRequest
from controlplane.http.tenant_api.holding import LimitView, limit_view


class PermissionView(Struct, frozen=True, kw_only=True):
    name: str
    meaning: str
    limited_to: Literal["nothing", "projects", "runtimes", "the tenant"]
    """How far a role that is limited to a project or to labels still gives it: ``runtimes``, within both; ``projects``,
    within a project; ``nothing``, not at all; ``the tenant``, as if it were not limited."""
    built_in_only: bool
    """No role of a tenant's own can hold it."""
    held: bool
    """By whoever asks, somewhere at least."""
    within: list[LimitView]
    """Where; empty where it is everywhere or nowhere."""


class PermissionsController(Controller):
    path = "/permissions"
    tags = ("roles",)

    @get("/", opt=rule(Surface.TENANT, "tenant:read"))
    async def listing(self, request: AnyRequest) -> list[PermissionView]:
        """Every permission there is in a tenant, and whether whoever asks has it."""
        return [_view(request, name, meaning) for name, meaning in PERMISSIONS.items()]


def _view(request: AnyRequest, name: str, meaning: str) -> PermissionView:
    limits = limits_of(request.user, name)
    return PermissionView(
        name=name,
        meaning=meaning,
        limited_to=_limited_to(name),
        built_in_only=name in RESERVED,
        held=limits is None or bool(limits),
        within=[limit_view(limit) for limit in limits or ()],
    )


def _limited_to(name: str) -> Literal["nothing", "projects", "runtimes", "the tenant"]:
    if name in WITHIN_RUNTIMES:
        return "runtimes"
    if name in WITHIN_PROJECTS:
        return "projects"
    return "the tenant" if name in ANYWHERE else "nothing"
