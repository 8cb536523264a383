"""Setting an app up from a server's address alone: an MCP server says who lets people in, and they how one becomes known.

A client is known to one issuer, and shown to no other: the app keeps which, and connecting asks the server again.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.domain.vault import apps
from controlplane.domain.vault.apps import App, NewApp
from controlplane.domain.vault.sealed import Proof
from controlplane.domain.vault.servers import ISSUER, RESOURCE
from controlplane.http.connecting.desk import Vault
from controlplane.kit.guard import AddressRefused
from controlplane.kit.ids import OAuthAppId
from controlplane.kit.oauth import resources
from controlplane.kit.oauth.dialect import Client
from controlplane.kit.oauth.discovery import Metadata, ServerUnusable
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

MCP: Final = "mcp-remote"

CLIENT_NAME: Final = "Engine Cloud"
"""What people read at the server when they are asked to consent."""

MOST_SCOPES: Final = 200


class Wanted(Struct, frozen=True, kw_only=True):
    url: str
    """Of the server."""
    issuer: str = ""
    """Empty: the first that the server names."""
    name: str = ""
    client_id: str = ""
    """What somebody has registered there; empty: the server has a way without."""
    client_secret: Secret | None = None
    scopes: Sequence[str] | None = None
    """None: those that the server names."""


class RegistrationWanted(Refusal):
    code, status, title = "oauth-registration-wanted", 409, "This server wants its clients registered by somebody"
    hint = "Register one there, and give its client_id (and client_secret) with the server's address."

    def __init__(self, issuer: str) -> None:
        super().__init__(f"at {issuer}"[:300])


async def known(tx: TenantTx, wanted: Wanted) -> App | None:
    """The tenant's app at that server, if it has one like this."""
    url = resources.canonical(wanted.url)
    for app in await apps.listing(tx, after=None, limit=apps.MOST, provider=MCP):
        is_there = app.overrides.get(RESOURCE) == url and wanted.issuer in ("", app.overrides.get(ISSUER))
        if is_there and wanted.client_id in ("", app.client_id):
            return app
    return None


async def found(vault: Vault, keyring: Keyring, app_id: OAuthAppId, wanted: Wanted) -> NewApp:
    """What the app is to be. No transaction is open while servers are asked.

    Args:
        app_id: That it will have: its document and the address to come back to are named after it.

    Raises:
        AddressRefused: If the server must not be called.
        ServerUnusable: If somebody does not answer, says not who lets people in, or cannot be worked with.
        RegistrationWanted: If one becomes known there by hand only.
    """
    url = resources.canonical(wanted.url)
    vault.caller.guard.check(url)
    name = wanted.name or urlsplit(url).hostname or MCP
    if wanted.client_id and wanted.issuer:
        return _app(name, _by_hand(wanted), {RESOURCE: url, ISSUER: wanted.issuer}, wanted.scopes or ())
    try:
        resource = await resources.found_at(vault.caller, url)
        issuer = wanted.issuer or resource.issuers[0]
        _, metadata = await resources.server_for(vault.caller, resource, issuer)
        client = _by_hand(wanted) if wanted.client_id else await _known(vault, keyring, app_id, metadata)
    except Failure as failure:
        raise ServerUnusable(str(failure)) from failure
    scopes = resource.scopes[:MOST_SCOPES] if wanted.scopes is None else wanted.scopes
    return _app(name, client, {RESOURCE: url, ISSUER: issuer}, scopes)


def _by_hand(wanted: Wanted) -> Client:
    return Client(id=wanted.client_id, secret=wanted.client_secret, auth=None if wanted.client_secret else "none")


async def _known(vault: Vault, keyring: Keyring, app_id: OAuthAppId, metadata: Metadata) -> Client:
    """By our document where the server reads such, else registered there (RFC 7591).

    Raises:
        RegistrationWanted: If it has neither way.
        Failure: If it does not take us.
    """
    way = resources.registration(metadata)
    if way == "document" and not _is_read_from_outside(vault, app_id):
        way = "dynamic" if metadata.registration_endpoint else "by hand"
    if way == "document":
        proves = "private_key_jwt" in metadata.token_endpoint_auth_methods_supported
        address = vault.document(app_id, public=not proves)
        if not proves:
            return Client(id=address, auth="none")
        return Client(id=address, key=keys.client_key(keyring), key_id=keys.KEY_ID, auth="key")
    if way == "dynamic":
        return await resources.register(vault.caller, metadata, CLIENT_NAME, vault.redirect_uri(app_id))
    raise RegistrationWanted(metadata.issuer)


def _is_read_from_outside(vault: Vault, app_id: OAuthAppId) -> bool:
    """Whether others can read what stands at our own address, as far as that can be known here."""
    try:
        vault.caller.guard.check(vault.document(app_id))
    except AddressRefused:
        return False
    return True


def _app(name: str, client: Client, overrides: dict[str, str], scopes: Sequence[str]) -> NewApp:
    return NewApp(
        provider=MCP,
        name=name[:100],
        client_id=client.id,
        proof=Proof(secret=client.secret, key=client.key),
        key_id=client.key_id,
        client_auth=client.auth,
        overrides=overrides,
        scopes=list(dict.fromkeys(scopes)),
    )
