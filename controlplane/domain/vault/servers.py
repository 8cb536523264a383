"""Which authorization server a connection is made with, and how that is written down so that it stays so."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from controlplane.domain.vault.apps import App
from controlplane.domain.vault.provider import Provider
from controlplane.kit.oauth.dialect import Server
from controlplane.kit.problems import Refusal

OVERRIDES: Final = ("issuer", "authorize", "token", "refresh", "revoke", "introspect", "par", "device", "lookup")
"""Addresses that a tenant's own app may have instead of the catalogue's."""

ISSUER: Final = "issuer"
RESOURCE: Final = "resource"
"""The address of an MCP server: what tokens are for, and who says who gives them."""


class AppNotOwn(Refusal):
    code, status, title = "oauth-app-not-own", 409, "This takes an app of the tenant's own"
    hint = "Where the tenant says whose address it is, only the tenant's own secret goes there: set up an OAuth app."


def named(provider: Provider, app: App, variables: Mapping[str, str]) -> Server:
    """The server that *app* is one of, with the addresses that are known without asking it.

    Args:
        variables: Beside those of the app, which count where both have one.

    Raises:
        VariableRefused: If they do not fit.
        AppNotOwn: If the tenant has chosen where it is, and the app is the platform's.
    """
    given = provider.chosen({**variables, **app.variables})
    if app.is_platform and provider.needs_own_app(given):
        raise AppNotOwn
    server = provider.server(given)
    overridden = {name: url for name, url in app.overrides.items() if name in OVERRIDES}
    return replace(server, resources=tuple(filter(None, [app.overrides.get(RESOURCE)])), **overridden)


def written(server: Server, provider: Provider) -> dict[str, Any]:
    """*server* as it stands in a row: every address, and how it is spoken to where that is not the catalogue's to say."""
    said: dict[str, Any] = msgspec.to_builtins(server)
    if server.dialect == provider.dialect:
        del said["dialect"]
    return {name: value for name, value in said.items() if value}


def read(endpoints: Mapping[str, Any], provider: Provider) -> Server:
    """The server that :func:`written` has written down: where it was then, spoken to as the catalogue says now."""
    said = {"token": "", "dialect": msgspec.to_builtins(provider.dialect), **endpoints}
    return msgspec.convert(said, Server)
