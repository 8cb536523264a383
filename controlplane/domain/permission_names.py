"""Every permission there is, what it opens, which are special, and what the built-in roles hold."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tenant:read": "See the tenant's name, state and settings.",
        "tenant:write": "Change the tenant's name and settings.",
        "tenant:export": "Take away everything that the tenant has.",
        "tenant:delete": "Delete the tenant, and take its deletion back.",
        "tenant:own": "Be an owner: hold and hand on everything.",
        "project:read": "See projects and their environments.",
        "project:write": "Make, change and archive projects.",
        "content:decide": "Decide what of checkpoints may leave the runtimes' network.",
        "user:read": "See the people of the tenant and their roles.",
        "invitation:read": "See who was invited, never their link.",
        "invitation:create": "Invite people to roles with no more than one's own permissions.",
        "invitation:revoke": "Revoke invitations.",
        "user:write": "Deactivate and remove people who administer no more than oneself.",
        "group:read": "See groups and who is in them.",
        "group:write": "Make groups, and put people into those that hold no more than oneself.",
        "role:read": "See roles, what they hold and who holds them.",
        "role:write": "Make and change roles with no more than one's own permissions.",
        "role:assign": "Give out roles that hold no more than oneself, and take roles away.",
        "service-account:read": "See service accounts.",
        "service-account:write": "Make, change and delete service accounts that administer no more than oneself.",
        "session:read": "See sessions, and the totals over them.",
        "log:tail": "Look at what sessions log, at their runtimes, while one looks; nothing of it is kept here.",
        "run:read": "See runs.",
        "checkpoint:read": "See checkpoints.",
        "checkpoint:content": "Read and compare what checkpoints hold, where it has come.",
        "agent:read": "See agents.",
        "runtime:read": "See runtimes and how far they are synchronized.",
        "runtime:write": "Revoke and release runtimes, and have them leave or replace their keys.",
        "runtime-key:read": "See the keys of runtimes that cannot sign, never their secret.",
        "runtime-key:create": "Let a runtime have credentials that are not sealed to it.",
        "runtime-key:revoke": "Revoke keys of runtimes.",
        "command:read": "See what runtimes were asked to do, and how far each has got.",
        "command:create": "Ask runtimes to look anew, to drain, to collect logs, and to pause, resume, cancel or roll back sessions.",
        "command:withdraw": "Take commands back that their runtime does not have yet.",
        "approval:read": "See what waits for somebody's approval.",
        "approval:decide": "Approve and reject what sessions ask for.",
        "config:read": "See documents of configuration, prompts included, and how they reach the runtimes.",
        "config:write": "Decide what runtimes are to be like, and roll that out.",
        "budget:read": "See budgets, and what each runtime has used of them.",
        "budget:write": "Decide how much runtimes may use, and whether they are paused when it is used up.",
        "join-token:read": "See join tokens, never their secret.",
        "join-token:create": "Make join tokens: let runtimes in.",
        "join-token:revoke": "Revoke join tokens.",
        "api-key:read": "See API keys, never their secret.",
        "api-key:create": "Make API keys with no more than one's own permissions.",
        "api-key:revoke": "Revoke API keys.",
        "scim-token:read": "See the tokens that directories come in with, never their secret.",
        "scim-token:create": "Connect a directory: it can deactivate everybody but the last owner, and fill its groups.",
        "scim-token:revoke": "Shut a directory out.",
        "domain:read": "See the tenant's mail domains and whether they are verified.",
        "domain:manage": "Claim, verify and delete mail domains.",
        "sso:read": "See connections to identity providers, never their secret.",
        "sso:manage": "Set up, enforce and delete connections to identity providers: decide who comes in as whom.",
        "provider:read": "See which services can be connected, and what is known of them.",
        "oauth-app:read": "See the tenant's apps at providers, never their secrets.",
        "oauth-app:write": "Set up, change and delete apps at providers: decide where people and codes are sent.",
        "connection:read": "See connections to accounts elsewhere and how they stand, never what opens them.",
        "connection:connect": "Connect accounts elsewhere, and hand out links by which others connect theirs.",
        "connection:write": "Put credentials in; confirm, change, disable and delete connections.",
        "connection:disclose": "Ask to read a credential in the clear, or agree that somebody else does: it takes two.",
        "policy:read": "See which runtimes may use which connections, and by which policy.",
        "policy:write": "Decide which runtimes may use which connections, and how.",
        "lease:read": "See which credentials were leased to whom, never the credentials.",
        "lease:revoke": "End leases.",
        "audit:read": "Read the tenant's audit log.",
        "event:read": "Read what happened in the tenant, as events.",
        "event:consume": "Make consumers of events, and say how far they have got.",
        "impersonation:read": "See which operators of the service asked to work as whom, why, and what became of it.",
        "webhook:read": "See webhooks, never their secret, and what was sent there.",
        "webhook:write": "Have events sent to addresses outside, change where, and see secrets when they are made.",
    }
)
"""What can be done inside a tenant."""

OPERATOR_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "operator:tenant-read": "See every tenant and what its runtimes report.",
        "operator:tenant-write": "Create, suspend and resume tenants, and set what they may use.",
        "operator:tenant-delete": "Delete tenants, and take a deletion back.",
        "operator:operator-read": "See who operates the service.",
        "operator:key-read": "See operator keys, never their secret.",
        "operator:key-create": "Make operator keys.",
        "operator:key-revoke": "Revoke operator keys.",
        "operator:impersonation-read": "See every impersonation.",
        "operator:vault-read": "See which keys there are, and how their rotation goes; never a key.",
        "operator:vault-rotate": "Have master keys and data keys replaced.",
        "operator:oauth-app-read": "See the apps through which every tenant can connect, never their secret.",
        "operator:oauth-app-write": "Set up, change and delete apps through which every tenant can connect.",
        "operator:impersonate": "Ask to work as somebody of a tenant, and do so where the tenant lets one.",
    }
)
"""What can be done across tenants. Never part of a tenant's role."""

RUNTIME_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sync:write": "Report what a runtime does, as that runtime.",
        "config:fetch": "Have one's configuration, as that runtime.",
        "budget:lease": "Have a part of a budget, as that runtime.",
        "command:fetch": "Be asked to do something, as that runtime.",
        "credential:lease": "Have credentials that a policy lets the runtime have.",
    }
)
"""What a runtime can do, as itself and nobody else."""

SCIM_PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "scim:read": "See the tenant's people, and the groups that its directory keeps.",
        "scim:write": "Make, change, deactivate and delete them, as the directory that keeps them.",
    }
)
"""What a tenant's directory can do, by its token."""

WITHIN_RUNTIMES: Final = frozenset(
    {"session:read", "run:read", "checkpoint:read", "checkpoint:content", "agent:read", "log:tail"}
    | {"runtime:read", "runtime:write"}
    | {"command:read", "command:create", "command:withdraw", "approval:read", "approval:decide"}
)
"""What is about runtimes and what they report. A role that is limited to a project or to labels gives it there."""

WITHIN_PROJECTS: Final = frozenset({"project:read", "join-token:read", "join-token:create", "join-token:revoke"})
"""What is about projects. A role that is limited to a project gives it there; one limited to labels does not."""

ANYWHERE: Final = frozenset({"tenant:read", "provider:read"})
"""What every role that holds it gives, however limited. All other permissions take a role without limits."""

ADMINISTRATION: Final = frozenset(
    {"tenant:own", "user:write", "group:write", "role:write", "role:assign", "service-account:write"}
    | {"api-key:create", "api-key:revoke", "project:write", "scim-token:create", "scim-token:revoke"}
)
"""Power over others. Nobody takes anything from somebody who has more of it than they."""

DANGEROUS: Final = frozenset(
    {"tenant:own", "tenant:export", "tenant:delete", "user:write", "role:write", "role:assign", "service-account:write"}
    | {"api-key:create", "api-key:revoke", "scim-token:create", "scim-token:revoke"}
    | {"runtime-key:create", "runtime-key:revoke"}
    | {"domain:manage", "sso:manage", "webhook:write", "oauth-app:write", "connection:write", "policy:write"}
    | {"connection:disclose", "content:decide", "config:write", "budget:write"}
    | {"operator:tenant-write", "operator:tenant-delete"}
    | {"operator:key-create", "operator:key-revoke", "operator:vault-rotate"}
    | {"operator:oauth-app-write"}
)
"""What a browser that was left open must not be enough for: it takes a fresh proof of who it is."""

RESERVED: Final = frozenset({"tenant:own"})
"""What only built-in roles hold."""

_WORK = {
    *("session:read", "run:read", "checkpoint:read", "agent:read", "runtime:read"),
    *("project:read", "provider:read", "tenant:read", "command:read", "approval:read", "config:read"),
    "budget:read",
}

Role: TypeAlias = Literal["owner", "admin", "user_admin", "developer", "auditor", "billing", "viewer"]
"""The roles that every tenant has."""

ROLES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "owner": frozenset(PERMISSIONS),
        "admin": frozenset(PERMISSIONS) - {"tenant:own", "tenant:delete", "tenant:export", "scim-token:create"},
        "user_admin": frozenset(
            {"tenant:read", "project:read", "user:read", "user:write"}
            | {"group:read", "group:write", "role:read", "role:assign"}
            | {"invitation:read", "invitation:create", "invitation:revoke"}
        ),
        "developer": frozenset(
            {
                *_WORK,
                "checkpoint:content",
                "log:tail",
                "runtime:write",
                "join-token:read",
                "join-token:create",
                "join-token:revoke",
            }
            | {"command:create", "command:withdraw", "approval:decide"}
            | {"oauth-app:read", "connection:read", "connection:connect", "policy:read", "lease:read", "lease:revoke"}
        ),
        "auditor": frozenset(
            {*_WORK, "user:read", "group:read", "role:read", "service-account:read", "domain:read", "sso:read"}
            | {"invitation:read", "join-token:read", "api-key:read", "scim-token:read", "audit:read"}
            | {"event:read", "webhook:read", "impersonation:read", "oauth-app:read", "connection:read"}
            | {"policy:read", "lease:read", "runtime-key:read"}
        ),
        "billing": frozenset({"tenant:read", "project:read", "budget:read"}),
        "viewer": frozenset(_WORK),
    }
)
"""What each built-in role of a tenant holds."""

OPERATOR_ROLES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "admin": frozenset(OPERATOR_PERMISSIONS),
        "viewer": frozenset({"operator:tenant-read", "operator:operator-read"}),
    }
)

OPERATORS_IN_TENANTS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "admin": frozenset(
            {*_WORK, "user:read", "audit:read", "api-key:read", "join-token:read", "join-token:create"}
            | {"join-token:revoke", "runtime:write", "group:read", "role:read", "service-account:read"}
        ),
        "viewer": frozenset(_WORK),
    }
)
"""What an operator holds inside a tenant of which they are no member. Never a way to make credentials for its API."""
