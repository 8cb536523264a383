"""From a credential to who it belongs to, for each surface."""

from typing import Any

from litestar.connection import ASGIConnection

from controlplane.db.database import Database
from controlplane.domain import api_keys, operator_keys, sign_ins
from controlplane.domain.api_keys import KeyUnknown
from controlplane.domain.permissions import ApiKey, OperatorKey, Person
from controlplane.http.sessions import SessionCookie
from controlplane.kit import tokens

Connection = ASGIConnection[Any, Any, Any, Any]


class WrongCredential(KeyUnknown):
    """A credential of ours that is not for this surface. It is not looked up."""

    code, title = "credential-elsewhere", "This credential is for another part of the service"
    hint = "ec_sk_ keys open /v1/tenants, ec_op_ keys /v1/operator; runtimes use tokens of their own."


async def person(connection: Connection) -> Person | None:
    """By the session cookie; nobody where it has ended."""
    state = connection.app.state
    cookie: SessionCookie = state.session_cookie
    token = connection.cookies.get(cookie.name)
    if not token:
        return None
    db: Database = state.db
    async with db.platform() as tx:
        return await sign_ins.person_by(tx, state.keyring.pepper, token)


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
    return await api_keys.principal_by(db, tenant_id, key_hash)


async def person_or_operator_key(connection: Connection) -> Person | OperatorKey | None:
    """By operator key where one is shown, else by cookie."""
    secret = _bearer(connection, operator_keys.KIND)
    if secret is None:
        return await person(connection)
    state = connection.app.state
    db: Database = state.db
    async with db.platform() as tx:
        return await operator_keys.principal_by(tx, tokens.fingerprint(state.keyring.pepper, secret))


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
