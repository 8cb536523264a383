"""Where the pages about who may do what hang: one table, inside a tenant."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from controlplane.domain.permission_names import DANGEROUS
from controlplane.http.authorize import Rule, Surface, rule
from controlplane.http.console.pages import (
    groups,
    held,
    join_tokens,
    keys,
    people,
    person,
    projects,
    roles,
    runtime_keys,
    scim,
    service_accounts,
)

Handler = Callable[..., Coroutine[Any, Any, Any]]

READ: Final[Sequence[tuple[str, str, Handler]]] = (
    ("/roles", "role:read", roles.page),
    ("/roles/{role:str}", "role:read", roles.one),
    ("/people", "user:read", people.page),
    ("/people/{user:str}", "role:read", person.page),
    ("/groups", "group:read", groups.page),
    ("/groups/{group:str}", "group:read", groups.one),
    ("/service-accounts", "service-account:read", service_accounts.page),
    ("/service-accounts/{account:str}", "service-account:read", service_accounts.one),
    ("/keys", "api-key:read", keys.page),
    ("/join-tokens", "join-token:read", join_tokens.page),
    ("/scim", "scim-token:read", scim.page),
    ("/runtime-keys/{runtime:str}", "runtime-key:read", runtime_keys.page),
    ("/projects", "project:read", projects.page),
)
"""Address, what it takes, and who answers."""

WRITE: Final[Sequence[tuple[str, str, Handler]]] = (
    ("/roles", "role:write", roles.make),
    ("/roles/{role:str}", "role:write", roles.change),
    ("/roles/{role:str}/delete", "role:write", roles.delete),
    ("/assignments", "role:assign", held.give),
    ("/assignments/{assignment:str}/withdraw", "role:assign", held.withdraw),
    ("/people", "invitation:create", people.invite),
    ("/invitations/{invitation:str}/resend", "invitation:create", people.resend),
    ("/invitations/{invitation:str}/revoke", "invitation:revoke", people.revoke),
    ("/people/{user:str}/turn", "user:write", person.turn),
    ("/people/{user:str}/remove", "user:write", person.remove),
    ("/groups", "group:write", groups.make),
    ("/groups/{group:str}/delete", "group:write", groups.delete),
    ("/groups/{group:str}/members", "group:write", groups.add),
    ("/groups/{group:str}/members/{user:str}/remove", "group:write", groups.take_out),
    ("/service-accounts", "service-account:write", service_accounts.make),
    ("/service-accounts/{account:str}/turn", "service-account:write", service_accounts.turn),
    ("/service-accounts/{account:str}/delete", "service-account:write", service_accounts.delete),
    ("/keys", "api-key:create", keys.make),
    ("/keys/{key:str}/rotate", "api-key:create", keys.rotate),
    ("/keys/{key:str}/revoke", "api-key:revoke", keys.revoke),
    ("/join-tokens", "join-token:create", join_tokens.make),
    ("/join-tokens/{token:str}/revoke", "join-token:revoke", join_tokens.revoke),
    ("/scim", "scim-token:create", scim.connect),
    ("/scim/{scim_token:str}/rotate", "scim-token:create", scim.rotate),
    ("/scim/{scim_token:str}/revoke", "scim-token:revoke", scim.revoke),
    ("/runtime-keys/{runtime:str}", "runtime-key:create", runtime_keys.make),
    ("/runtime-keys/{runtime:str}/{runtime_key:str}/rotate", "runtime-key:create", runtime_keys.rotate),
    ("/runtime-keys/{runtime:str}/{runtime_key:str}/revoke", "runtime-key:revoke", runtime_keys.revoke),
    ("/projects", "project:write", projects.make),
    ("/projects/{project:str}", "project:write", projects.change),
    ("/projects/{project:str}/turn", "project:write", projects.turn),
)
"""Forms that change something."""

SHOWN: Final = {
    "roles": frozenset({"role:read", "project:read"}),
    "assignments": frozenset({"role:read", "project:read"}),
    "people": frozenset({"user:read", "role:read", "project:read"}),
    "invitations": frozenset({"user:read", "role:read", "invitation:read", "project:read"}),
    "groups": frozenset({"group:read", "role:read", "project:read"}),
    "service-accounts": frozenset({"service-account:read", "role:read", "api-key:read", "project:read"}),
    "keys": frozenset({"api-key:read"}),
    "join-tokens": frozenset({"join-token:read", "project:read"}),
    "scim": frozenset({"scim-token:read"}),
    "runtime-keys": frozenset({"runtime-key:read", "runtime:read"}),
    "projects": frozenset({"project:read"}),
}
"""What everything takes that shows the pages of this part, those that a refused form comes back to included."""


def handlers() -> list[HTTPRouteHandler]:
    """All of them."""
    reading = [get(address, opt=_rule(address, takes))(page) for address, takes, page in READ]
    writing = [
        post(address, status_code=200, opt=_rule(address, takes, fresh=takes in DANGEROUS))(act)
        for address, takes, act in WRITE
    ]
    return [*reading, *writing]


def _rule(address: str, takes: str, *, fresh: bool = False) -> dict[str, Rule]:
    part = address.split("/")[1]
    return rule(Surface.CONSOLE, takes, also=SHOWN[part] - {takes}, fresh=fresh)
