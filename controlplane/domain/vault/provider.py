"""A provider: a service that tenants connect to, and how. What stands in one file of ``providers/``."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import quote

from msgspec import Meta, Struct, field, structs

from controlplane.kit.oauth.dialect import Dialect, Server
from controlplane.kit.problems import Refusal

Kind: TypeAlias = Literal["oauth2", "oidc", "mcp", "app-installation", "aws-role", "static"]
"""``oauth2``: by the addresses of its file, or of the tenant's own app. ``oidc``, ``mcp``: by discovery.
``app-installation``: an app mints tokens for where it is installed. ``aws-role``: AssumeRole. ``static``: what somebody
types in."""

Way: TypeAlias = Literal["client_credentials", "jwt_bearer", "installation"]
"""How an app of a tenant's gets tokens by itself: for the client (RFC 6749, section 4.4), for whom it signs an assertion
(RFC 7523), or for where it is installed."""

Category: TypeAlias = Literal[
    "office", "developer", "work", "customers", "commerce", "social", "identity", "data", "models", "generic"
]
Proof: TypeAlias = Literal["doc", "cross", "recall", "none"]
"""``doc``: read in the provider's own documentation. ``cross``: two sources agree. ``recall``: general knowledge, to be
tried before it is relied on. ``none``: there is nothing to verify."""

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=400)]
Template: TypeAlias = Annotated[str, Meta(pattern=r"^https://[^\s]+$", max_length=400)]
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Shape: TypeAlias = Literal["label", "host", "shop", "snowflake", "directory", "number", "slug", "name", "role-arn"]

ID: Final = r"^[a-z][a-z0-9-]{0,39}$"

_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = rf"(?=[^/]{{4,253}}$)({_LABEL}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9]"

SHAPES: Final[Mapping[Shape, str]] = {
    "label": _LABEL,
    "host": _HOST,
    "shop": r"[a-z0-9][a-z0-9-]{0,60}\.myshopify\.com",
    "snowflake": r"[a-z0-9]([a-z0-9._-]{0,100}[a-z0-9])?\.snowflakecomputing\.com",
    "directory": rf"[0-9a-f]{{8}}-([0-9a-f]{{4}}-){{3}}[0-9a-f]{{12}}|{_HOST}",
    "number": r"[0-9]{1,19}",
    "slug": r"[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?",
    "name": r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
    "role-arn": r"arn:aws(-cn|-us-gov)?:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}",
}
"""All that a variable can be: each is closed, so that no value leads out of its place in an address."""

VARIABLE: Final = re.compile(r"{([a-z_]+)}")
LATE: Final = frozenset({"client_id"})
"""Filled in with the call, not with the connection."""


class VariableRefused(Refusal):
    """A value that this provider's address has no place for."""

    code, status, title = "provider-variable-refused", 400, "This provider is not found like that"
    hint = "Give the variables that GET /v1/tenants/{tenant}/providers/{provider} lists, in the form it says."

    def __init__(self, variable: str, why: str) -> None:
        super().__init__(f"{variable}: {why}")
        self.variable = variable

    def facts(self) -> dict[str, object]:
        return {"variable": self.variable}


class Verified(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far what a file says can be relied on."""

    endpoints: Proof
    behavior: Proof
    """Lifetimes, rotation, replay, errors."""
    lookup: Proof = "none"
    """Whose account it is, and where the API is."""
    on: Annotated[str, Meta(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")]
    """Year and month."""
    note: str = ""


class Variable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands between braces in addresses. It is one of ``choices``, or of ``shape``, and nothing else."""

    title: Text
    choices: tuple[str, ...] = ()
    shape: Shape | None = None
    ends: tuple[str, ...] = ()
    """Of a ``host``: whose it has to be, such as ``.my.salesforce.com``; empty: anybody's."""
    default: str | None = None
    open: bool = False
    """The tenant decides whose address it is: other than the default it goes with the tenant's own app only."""

    def fits(self, value: str) -> bool:
        if value in self.choices:
            return True
        if self.shape is None or re.fullmatch(SHAPES[self.shape], value) is None:
            return False
        return not self.ends or value.endswith(self.ends)


class Urls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """https, with variables in braces."""

    authorize: Template | None = None
    token: Template | None = None
    refresh: Template | None = None
    lengthen: Template | None = None
    revoke: Template | None = None
    introspect: Template | None = None
    par: Template | None = None
    device: Template | None = None
    lookup: Template | None = None
    install: Template | None = None
    issuer: Template | None = None


class Field(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody types in."""

    title: Text
    secret: bool = True
    shape: Shape | None = None


class Api(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the credential is used, and how a request carries it."""

    hosts: tuple[Annotated[str, Meta(pattern=r"^(\*\.)?[a-z0-9.{}_-]+$")], ...] = ()
    """The only ones that are called with it. Empty: not settled for all; the connection says."""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Authorization": "Bearer {access_token}"})
    extra: Mapping[str, str] = {}
    """Headers that every request has, without anything secret."""
    takes: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,60}$")], ...] = ()
    """Headers of its own that callers may send beside the usual ones."""


class Test(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that succeeds with a good credential and changes nothing."""

    url: Template
    method: Literal["GET", "POST"] = "GET"
    status: int = 200


class Provider(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern=ID)]
    name: Annotated[str, Meta(min_length=1, max_length=60)]
    kind: Kind
    category: Category
    covers: tuple[Text, ...] = ()
    """Services that the same connection opens."""
    verified: Verified
    variables: Mapping[Name, Variable] = {}
    urls: Urls = Urls()
    own_urls: bool = False
    """The tenant's own app brings the addresses."""
    mints: tuple[Way, ...] = ()
    """How an app gets tokens here without a person."""
    dialect: Dialect = Dialect()
    fields: Mapping[Name, Field] = {}
    """Of ``static``: what is typed in."""
    api: Api = Api()
    test: Test | None = None
    narrows: Text | None = None
    """How a token for less can be had, for a single lease."""
    notes: tuple[Text, ...] = ()
    """What whoever connects, or writes code for it, has to know."""

    def chosen(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Every variable with its value, defaults included.

        Raises:
            VariableRefused: If one is missing, not of its form, or not this provider's.
        """
        for name in variables.keys() - self.variables.keys():
            raise VariableRefused(name[:40], "this provider has no such variable")
        found = {}
        for name, variable in self.variables.items():
            value = variables.get(name, variable.default)
            if value is None:
                raise VariableRefused(name, "missing")
            if not variable.fits(value):
                raise VariableRefused(name, "not of its form")
            found[name] = value
        return found

    def needs_own_app(self, variables: Mapping[str, str]) -> bool:
        """Whether the address is of the tenant's choosing: nobody else's client secret goes there."""
        return self.own_urls or any(
            variable.open and variables.get(name, variable.default) != variable.default
            for name, variable in self.variables.items()
        )

    def server(self, variables: Mapping[str, str] | None = None) -> Server:
        """Where and how tokens are had, with *variables* filled in.

        For ``oidc`` and ``mcp`` see :mod:`controlplane.kit.oauth.discovery` and :mod:`controlplane.kit.oauth.resources`.

        Raises:
            VariableRefused: If *variables* do not fit.
        """
        values = self.chosen(variables or {})
        templates = {name: url for name, url in structs.asdict(self.urls).items() if url and name != "install"}
        bare = Server(token="", dialect=self.dialect)
        return structs.replace(bare, **{name: filled(url, values) for name, url in templates.items()})

    def address(self, name: str, variables: Mapping[str, str] | None = None) -> str:
        """One of :class:`Urls`, filled in; empty if there is none."""
        template = getattr(self.urls, name)
        return filled(template, self.chosen(variables or {})) if template else ""


def filled(template: str, values: Mapping[str, str]) -> str:
    """*template* with what is in *values*; the rest is left for later."""
    return VARIABLE.sub(
        lambda found: quote(values[found[1]], safe=".:-_") if found[1] in values else found[0], template
    )
