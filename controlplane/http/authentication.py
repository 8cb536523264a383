"""From a credential to who it belongs to, for each surface."""

from typing import Any, Final

from litestar.connection import ASGIConnection

from controlplane.db.database import Database
from controlplane.domain import api_keys, credentials, operator_keys, runtime_keys, scim_tokens, sign_ins
from controlplane.domain.credentials import KeyUnknown
from controlplane.domain.impersonation import acting
from controlplane.domain.impersonation.acting import ImpersonationOver
from controlplane.domain.key_uses import KeyUses
from controlplane.domain.masks import ImpersonationForbids
from controlplane.domain.permissions import ApiKey, Directory, OperatorKey, Person, Runtime
from controlplane.domain.runtime_keys import RuntimeKeyUnknown
from controlplane.domain.scim_tokens import ScimTokenUnknown
from controlplane.http.limits import SCIM, UNSEALED, address, check
from controlplane.http.sessions import SessionCookie
from controlplane.kit import tokens

Connection = ASGIConnection[Any, Any, Any, Any]

SHOWN_OF: Final = "credential_of"
"""In a connection's state: the tenant whose credential was shown, whether or not it opens anything."""


class WrongCredential(KeyUnknown):
    """A credential of ours that is not for this surface. It is not looked up."""

    code, title = "credential-elsewhere", "This credential is for another part of the service"
    hint = "ec_sk_ keys open /v1/tenants, ec_op_ keys /v1/operator; ec_sc_ tokens /scim/v2, ec_rk_ keys /v1/credentials; runtimes use tokens of their own."


async def person(connection: Connection) -> Person | None:
    """By the session cookie; nobody where it has ended. With the other cookie beside it, as whom they work.

    Raises:
        ImpersonationOver: If that is over. Nothing is done as oneself that was meant to be done as somebody else.
    """
    state = connection.app.state
    cookie: SessionCookie = state.session_cookie
    token = connection.cookies.get(cookie.name)
    if not token:
        return None
    db: Database = state.db
    worn: SessionCookie = state.impersonation_cookie
    mask = connection.cookies.get(worn.name)
    async with db.platform() as tx:
        found = await sign_ins.person_by(tx, state.keyring.pepper, token, mask)
    if found is None or mask is None:
        return None if found is None else found[0]
    try:
        return await acting.put_on(db, *found)
    except ImpersonationOver:
        raise ImpersonationOver(worn.gone().to_header(header="")) from None


async def oneself(connection: Connection) -> Person | None:
    """As :func:`person`, for what belongs to an account: nobody does it as somebody else.

    Raises:
        ImpersonationForbids: If they work as somebody.
    """
    found = await person(connection)
    if found is not None and found.acting is not None:
        raise ImpersonationForbids
    return found


async def person_or_api_key(connection: Connection) -> Person | ApiKey | None:
    """By API key where one is shown, else by cookie: a key is never mixed with somebody's session."""
    secret = _bearer(connection, api_keys.KIND)
    if secret is None:
        return await person(connection)
    state = connection.app.state
    db: Database = state.db
    key_hash = tokens.fingerprint(state.keyring.pepper, secret)
    tenant_id = await db.tenant_of(api_keys.ROUTE, key_hash)
    if tenant_id is None:
        raise KeyUnknown
    connection.state[SHOWN_OF] = tenant_id
    here = address(connection)
    now = db.clock()
    found = await db.glance(tenant_id, credentials.Found, credentials.WHOSE, key_hash)
    key = credentials.principal(found, now, here)
    uses: KeyUses = state.key_uses
    uses.note(tenant_id, key.id, now, here)
    return key


async def person_or_operator_key(connection: Connection) -> Person | OperatorKey | None:
    """By operator key where one is shown, else by cookie."""
    secret = _bearer(connection, operator_keys.KIND)
    if secret is None:
        return await person(connection)
    state = connection.app.state
    db: Database = state.db
    async with db.platform() as tx:
        return await operator_keys.principal_by(tx, tokens.fingerprint(state.keyring.pepper, secret))


async def directory(connection: Connection) -> Directory | None:
    """By SCIM token. Calls of one connection are counted together, whichever token they come with.

    Raises:
        RateLimited: If there are too many of them.
    """
    try:
        secret = _bearer(connection, scim_tokens.KIND)
    except WrongCredential:
        raise
    except KeyUnknown:
        raise ScimTokenUnknown from None
    if secret is None:
        return None
    state = connection.app.state
    db: Database = state.db
    token_hash = tokens.fingerprint(state.keyring.pepper, secret)
    tenant_id = await db.tenant_of(scim_tokens.ROUTE, token_hash)
    if tenant_id is None:
        raise ScimTokenUnknown
    connection.state[SHOWN_OF] = tenant_id
    async with db.tenant(tenant_id) as tx:
        found = await scim_tokens.principal_by(tx, token_hash)
        state.scim_uses.note(tenant_id, found.id, tx.now, address(connection))
    await check(state.limiter, SCIM, "scim", str(found.connection_id))
    return found


async def runtime_by_key(connection: Connection) -> Runtime | None:
    """By the key of a runtime that cannot sign. Calls of one runtime are counted together, whichever key they come with.

    Raises:
        RuntimeKeyUnknown, RuntimeKeyOver: If it opens nothing.
        TenantSuspended, TenantPendingDeletion, UnsealedReadsOff: If its tenant lets nobody in, or nobody like that.
        RateLimited: If there are too many of them.
    """
    try:
        secret = _bearer(connection, runtime_keys.KIND)
    except WrongCredential:
        raise
    except KeyUnknown:
        raise RuntimeKeyUnknown from None
    if secret is None:
        return None
    state = connection.app.state
    db: Database = state.db
    key_hash = tokens.fingerprint(state.keyring.pepper, secret)
    tenant_id = await db.tenant_of(runtime_keys.ROUTE, key_hash)
    if tenant_id is None:
        raise RuntimeKeyUnknown
    connection.state[SHOWN_OF] = tenant_id
    found = await db.glance(tenant_id, runtime_keys.Found, runtime_keys.WHOSE, key_hash)
    now = db.clock()
    runtime = runtime_keys.principal(found, tenant_id, now, connection.headers.get("x-tenant-id", ""))
    state.runtime_key_uses.note(tenant_id, found[0].id, now, address(connection))
    await check(state.limiter, UNSEALED, "unsealed", str(runtime.id))
    return runtime


def _bearer(connection: Connection, kind: str) -> str | None:
    """The secret in the Authorization header; None where there is no such header.

    Raises:
        KeyUnknown: If it cannot be one of ours, by form or checksum.
        WrongCredential: If it is of another kind than *kind*.
    """
    given = connection.headers.get("authorization")
    if given is None:
        return None
    scheme, _, secret = given.partition(" ")
    if scheme.lower() != "bearer":
        raise KeyUnknown
    found = tokens.kind_of(secret.strip())
    if found != kind:
        raise KeyUnknown if found is None and secret.count(".") != 2 else WrongCredential
    return secret.strip()
