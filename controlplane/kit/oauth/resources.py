"""Servers that say themselves who lets people in: protected resources (RFC 9728), as MCP servers are.

The order of places, and what is refused, are those of the Model Context Protocol's authorization of 2026-07-28.
"""

import re
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from controlplane.kit.oauth import discovery
from controlplane.kit.oauth.calling import Caller, Request, send
from controlplane.kit.oauth.dialect import Client, Dialect, Server
from controlplane.kit.oauth.discovery import Metadata, ServerUnusable
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.judging import said, text
from controlplane.kit.secret import Secret

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
PARAMETER: Final = re.compile(r'(?P<name>[A-Za-z_]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))')
MOST_ISSUERS: Final = 20

Registration: TypeAlias = Literal["document", "dynamic", "by hand"]
"""How a client that is not registered yet becomes known. ``document``: its id is the address of a document about it.
``dynamic``: RFC 7591, deprecated by the protocol. ``by hand``: a person registers it there."""


class _Resource(Struct, frozen=True, kw_only=True):
    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] = ()


class Resource(Struct, frozen=True, kw_only=True):
    """A protected resource, and who gives tokens for it."""

    resource: str
    """What tokens are asked for, in both requests."""
    issuers: tuple[str, ...]
    scopes: tuple[str, ...]
    """To ask for: those of the challenge if it names some, else those that the resource knows."""


async def found_at(caller: Caller, url: str) -> Resource:
    """Who protects the resource at *url*.

    Raises:
        ServerUnusable: If it does not say, or says it of another resource.
        Failure: If nobody answered.
    """
    url = canonical(url)
    challenge = await _challenge(caller, url)
    named = challenge.get("resource_metadata")
    for place in ([named] if named else []) + well_known(url):
        answer = await send(caller, Request(url=place, method="GET"))
        if 400 <= answer.status < 500:
            continue
        found = discovery.read(answer, _Resource, "what the resource says of itself")
        if not covers(found.resource, url):
            raise ServerUnusable("what the resource says of itself is about another")
        if not found.authorization_servers:
            raise ServerUnusable("the resource names no authorization server")
        scopes = tuple(challenge["scope"].split()) if challenge.get("scope") else found.scopes_supported
        return Resource(resource=found.resource, issuers=found.authorization_servers[:MOST_ISSUERS], scopes=scopes)
    raise ServerUnusable("the resource does not say who protects it")


async def server_for(
    caller: Caller, resource: Resource, issuer: str, dialect: Dialect | None = None
) -> tuple[Server, Metadata]:
    """One of the resource's authorization servers; a client that is known to one is never shown to another.

    Raises:
        ServerUnusable: If the resource does not name *issuer*, or it cannot be worked with.
        Failure: If nobody answered.
    """
    if issuer not in resource.issuers:
        raise ServerUnusable("the resource does not name this issuer")
    found = await discovery.metadata(caller, issuer, first="oauth", pkce=True)
    return discovery.server_of(found, dialect=dialect, resources=(resource.resource,)), found


def registration(found: Metadata) -> Registration:
    """How to become known to a server at which we are not."""
    if found.client_id_metadata_document_supported:
        return "document"
    return "dynamic" if found.registration_endpoint else "by hand"


async def register(caller: Caller, found: Metadata, name: str, redirect_uri: str) -> Client:
    """Become known to a server by RFC 7591: as a public client, if it lets us, without a secret to keep.

    Raises:
        Failure: If it did not take us.
    """
    public = "none" in found.token_endpoint_auth_methods_supported
    method = "none" if public else "client_secret_basic"
    wanted = {
        "client_name": name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
    }
    answer = await send(caller, Request(url=found.registration_endpoint, fields=wanted, body="json"))
    granted = said(answer, Dialect())
    id_, secret = text(granted.get("client_id")), text(granted.get("client_secret"))
    if not id_:
        raise Failure("malformed", "no-client-id", sent=True, status=answer.status)
    return Client(
        id=id_, secret=Secret(secret) if secret else None, redirect_uri=redirect_uri, auth="basic" if secret else "none"
    )


def document(url: str, name: str, redirect_uri: str, keys: dict[str, object] | None = None) -> dict[str, object]:
    """What stands at *url*, which is our client id (OAuth Client ID Metadata Document).

    Args:
        keys: A set of public keys, if we prove who we are with the private ones.
    """
    proof = {"token_endpoint_auth_method": "private_key_jwt", "jwks": keys} if keys else {}
    return {
        "client_id": url,
        "client_name": name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        **proof,
    }


def canonical(url: str) -> str:
    """*url* as tokens are asked for: scheme and host in lower case, no fragment, no lonely slash."""
    parts = urlsplit(url)
    path = "" if parts.path == "/" else parts.path
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, parts.query, ""))


def well_known(url: str) -> list[str]:
    """Where *url* can say who protects it: for its path, then for all of its host."""
    parts = urlsplit(url)
    paths = [WELL_KNOWN + parts.path.rstrip("/"), WELL_KNOWN]
    return [urlunsplit((parts.scheme, parts.netloc, path, "", "")) for path in dict.fromkeys(paths)]


def covers(resource: str, url: str) -> bool:
    """Whether *resource* is *url*, or a place above it at the same host."""
    theirs, ours = urlsplit(canonical(resource)), urlsplit(url)
    if (theirs.scheme, theirs.netloc) != (ours.scheme, ours.netloc) or theirs.query:
        return canonical(resource) == url
    return f"{ours.path.rstrip('/')}/".startswith(f"{theirs.path.rstrip('/')}/")


async def _challenge(caller: Caller, url: str) -> dict[str, str]:
    """What the resource answers to somebody without a token."""
    answer = await send(
        caller, Request(url=url, method="GET", headers={"Accept": "application/json, text/event-stream"})
    )
    value = answer.headers.get("www-authenticate", "")
    if answer.status != 401 or not value.lower().startswith("bearer"):
        return {}
    return {
        found["name"].lower(): found["bare"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "")
        for found in PARAMETER.finditer(value[6:4_096])
    }
