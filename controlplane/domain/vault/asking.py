"""Asking a provider for the next token of a connection: what is sent, to whom, and by whom we are."""

from uuid import UUID

import msgspec
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import keys
from controlplane.domain.keys import Context
from controlplane.domain.vault import apps, sealed, servers
from controlplane.domain.vault.apps import RedirectUri
from controlplane.domain.vault.connections import MINTED
from controlplane.domain.vault.intents import Intent
from controlplane.domain.vault.provider import Provider
from controlplane.kit.ids import text_id
from controlplane.kit.oauth import assertions, granting, installations
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.oauth.dialect import Client, Refreshing, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.installations import Narrowed
from controlplane.kit.oauth.tokens import Tokens
from controlplane.kit.secret import Secret

REPLAYABLE = frozenset({"stable", "grace", "until_used"})
"""Where a used refresh token can be sent once more."""


class Question(Struct, frozen=True, kw_only=True):
    """All that is needed to ask, secrets included: no transaction is open while it is asked."""

    server: Server
    client: Client
    held: Secret | None
    """The refresh token, or the access token where that is what is sent; None: nothing of the kind is needed."""
    spool_key: bytes
    """What comes back is sealed with this, should the database not be there …"""
    spool_key_blob: bytes
    """… and only the database opens this."""

    @property
    def goes_on(self) -> Secret | None:
        """What stays if nothing comes in its place: the refresh token."""
        return self.held if self.server.dialect.refreshing.by == "refresh_token" else None

    def __repr__(self) -> str:
        return f"Question({self.server.token})"


class Minting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an app asks for by itself, beside scopes."""

    subject: str = ""
    """Of an assertion: for whom; empty: as the provider wants it."""
    audience: str = ""
    """Whom the token is for, or of an assertion whom that is for; empty: the provider does not ask, or it is its token
    endpoint."""
    repositories: tuple[str, ...] = ()
    """Of an installation, by name; empty: all."""
    permissions: dict[str, str] = {}
    """Of an installation: ``{"contents": "read"}``; empty: all."""


def is_replayable(intent: Intent, refreshing: Refreshing) -> bool:
    """Whether asking twice costs nothing."""
    return intent.auth in MINTED or refreshing.replay in REPLAYABLE or refreshing.by != "refresh_token"


async def prepare(tx: TenantTx, intent: Intent, provider: Provider, redirect_uri: RedirectUri, key: bytes) -> Question:
    """
    Args:
        key: 32 random bytes, for the spool.

    Raises:
        Failure: If there is nobody to ask, or nothing to ask with.
    """
    server = servers.read(intent.endpoints, provider)
    blob = await keys.seal(tx, "refresh", key, spooled(intent.id, intent.cred_version))
    return Question(
        server=server,
        client=await _client(tx, intent, redirect_uri),
        held=await _held(tx, intent, server.dialect.refreshing),
        spool_key=key,
        spool_key_blob=blob,
    )


async def ask(caller: Caller, intent: Intent, question: Question) -> Tokens:
    """One call.

    Raises:
        Failure: If it brought nothing.
    """
    server, client = question.server, question.client
    if intent.auth in MINTED:
        minted = await _mint(caller, server, client, intent)
        return msgspec.structs.replace(minted, refresh=None)  # it would be another way to what the app may have anyway
    assert question.held is not None, "what is asked with is there, or nothing was prepared"
    return await granting.refresh(caller, server, client, question.held)


def spooled(connection_id: UUID, version: int) -> Context:
    """Where a key of the spool belongs: it opens for what follows this version, and for nothing else."""
    return Context("refresh-spool", text_id("con", connection_id), version)


async def _mint(caller: Caller, server: Server, client: Client, intent: Intent) -> Tokens:
    wanted, scopes = msgspec.convert(intent.minting or {}, Minting), intent.requested_scopes
    if intent.auth == "installation":
        narrowed = Narrowed(repositories=wanted.repositories, permissions=wanted.permissions)
        return await installations.mint(caller, server, client, narrowed)
    if intent.auth == "jwt_bearer":
        about = {"subject": wanted.subject, "audience": wanted.audience}
        assertion = assertions.grant_assertion(server, client, scopes, caller.clock(), **about)
        return await granting.jwt_bearer(caller, server, client, assertion, scopes)
    more = {"audience": wanted.audience} if wanted.audience else {}
    return await granting.client_credentials(caller, server, client, scopes, more)


async def _client(tx: TenantTx, intent: Intent, redirect_uri: RedirectUri) -> Client:
    found = await apps.through(tx, intent.app_id, intent.platform_app_id, redirect_uri)
    if found is None:
        raise Failure("app_fault", "no-app", sent=False)
    return found


async def _held(tx: TenantTx, intent: Intent, refreshing: Refreshing) -> Secret | None:
    if intent.auth != "oauth2":
        return None
    if refreshing.by == "refresh_token" and intent.refresh_blob is not None:
        return await sealed.open_refresh(tx, intent.id, intent.cred_version, intent.refresh_blob)
    if refreshing.by == "access_token" and intent.access_blob is not None:
        access = await sealed.open_access(tx, intent.id, intent.cred_version, intent.access_blob)
        if access.token is not None and (intent.access_exp is None or intent.access_exp > tx.now):
            return access.token
    raise Failure("needs_person", "expired", sent=False)
