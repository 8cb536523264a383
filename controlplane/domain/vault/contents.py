"""What a lease has inside: the credential, where it may be sent, and the headers that carry it."""

import base64
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from controlplane.domain.vault.provider import VARIABLE, Provider
from controlplane.domain.vault.sealed import Access
from runtime_agent.wire.leases import Contents

BASIC: Final = "Basic "


class Place(Struct, frozen=True, kw_only=True):
    """Where a connection's credential may be sent."""

    api_base: str
    """Its own address, where it has one."""
    hosts: tuple[str, ...]
    """Names, or ``*.`` and a name; empty: the catalogue does not say."""


def place(provider: Provider | None, facts: Mapping[str, Any]) -> Place:
    values = texts(facts)
    return Place(
        api_base=str(facts.get("api_base") or facts.get("instance_url") or ""),
        hosts=tuple(VARIABLE.sub(lambda found: values.get(found[1], found[0]), host) for host in _hosts(provider)),
    )


def contents(provider: Provider | None, access: Access, scopes: list[str], facts: Mapping[str, Any]) -> Contents:
    """
    Args:
        provider: None: it is not in the catalogue any more.
        facts: Of the connection.
    """
    token = access.token.reveal() if access.token else ""
    fields = {name: secret.reveal() for name, secret in access.fields.items()}
    where, templates = place(provider, facts), carriers(provider, facts)
    values = {**texts(facts), **fields, **({"access_token": token} if token else {})}
    inject = {name: filled for name, each in templates.items() if (filled := _filled(each, values)) is not None}
    return Contents(
        access_token=token,
        token_type=access.scheme,
        fields=fields,
        scopes=scopes,
        api_base=where.api_base,
        hosts=list(where.hosts),
        inject={**(provider.api.extra if provider and inject else {}), **inject},
    )


def carriers(provider: Provider | None, facts: Mapping[str, Any]) -> Mapping[str, str]:
    """The headers that carry a connection's credential, with fields between braces."""
    own: Mapping[str, str] = facts.get("headers") or {}
    return own or (provider.api.headers if provider else {})


def secrets_in(access: Access) -> list[str]:
    """Whatever of it somebody could find elsewhere, and ask where it came from."""
    return [each.reveal() for each in (access.token, *access.fields.values()) if each is not None]


def _filled(template: str, values: Mapping[str, str]) -> str | None:
    """None where something is missing. Names with passwords are encoded as RFC 7617 has it."""
    if not all(name in values for name in VARIABLE.findall(template)):
        return None
    text = VARIABLE.sub(lambda found: values[found[1]], template)
    if template.startswith(BASIC):
        return BASIC + base64.b64encode(text.removeprefix(BASIC).encode()).decode()
    return text


def _hosts(provider: Provider | None) -> tuple[str, ...]:
    return provider.api.hosts if provider else ()


def texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Of a connection's facts those that can be filled in somewhere."""
    return {name: value for name, value in facts.items() if isinstance(value, str)}
