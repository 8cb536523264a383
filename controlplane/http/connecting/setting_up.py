"""Setting an app up, for the API and for the console alike: whether it fits its provider, and where it would call."""

from collections.abc import Mapping
from typing import Final

from controlplane.domain.vault.provider import Provider, VariableRefused
from controlplane.domain.vault.servers import ISSUER, OVERRIDES, RESOURCE
from controlplane.http.connecting.desk import Vault
from controlplane.kit.guard import Guard
from controlplane.kit.problems import Refusal

WITH_APPS: Final = frozenset({"oauth2", "oidc", "mcp", "app-installation"})
"""Kinds of providers at which one is somebody by an app."""


class AppUnfit(Refusal):
    code, status, title = "oauth-app-unfit", 400, "This provider takes no such app"
    hint = "GET …/providers/{provider} says of which kind it is, and which addresses an app of it brings."

    def __init__(self, why: str) -> None:
        super().__init__(why)


def check(
    vault: Vault, guard: Guard, provider_name: str, variables: Mapping[str, str], overrides: Mapping[str, str]
) -> None:
    """
    Raises:
        UnknownProvider, AppUnfit, VariableRefused: If it does not fit its provider.
        AddressRefused: If one of its addresses must not be called.
    """
    provider = _provider(vault, provider_name, variables)
    known = (RESOURCE, ISSUER) if provider.kind == "mcp" else OVERRIDES
    if unknown := sorted(overrides.keys() - set(known)):
        raise AppUnfit(f"no address is called {unknown[0][:40]}; there are {', '.join(known)}")
    wanted = {"oidc": {ISSUER}, "oauth2": {"token"}, "mcp": {RESOURCE, ISSUER}}.get(provider.kind, set())
    if provider.own_urls and (missing := sorted(wanted - overrides.keys())):
        raise AppUnfit(f"{provider.id} takes its addresses from the app: {', '.join(missing)}")
    for url in overrides.values():
        guard.check(url)


def check_shared(vault: Vault, provider_name: str, variables: Mapping[str, str]) -> None:
    """For an app of the platform, whose secret goes to the catalogue's addresses and nowhere else.

    Raises:
        UnknownProvider, AppUnfit, VariableRefused: If it does not fit its provider.
    """
    provider = _provider(vault, provider_name, variables)
    if provider.needs_own_app(variables):
        raise AppUnfit(f"whose address it is at {provider.id} the tenant says")


def _provider(vault: Vault, name: str, variables: Mapping[str, str]) -> Provider:
    provider = vault.provider(name)
    if provider.kind not in WITH_APPS:
        raise AppUnfit(f"{provider.id} is of the kind {provider.kind}")
    for variable, value in variables.items():
        its = provider.variables.get(variable)
        if its is None:
            raise VariableRefused(variable[:40], "this provider has no such variable")
        if not its.fits(value):
            raise VariableRefused(variable, "not of its form")
    return provider
