"""What is in a connection's envelopes, and for which place: the row, its version and the purpose are bound into each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct, field
from sqlalchemy import Table

from controlplane.db import schema as t
from controlplane.db.database import ScopedTx, TenantTx
from controlplane.domain import keys
from controlplane.domain.keys import Context, SealedColumn
from controlplane.kit.ids import text_id
from controlplane.kit.sealing import Sealing
from controlplane.kit.secret import Secret


class Access(Struct, frozen=True, kw_only=True):
    """What opens the account: what leases hand out."""

    token: Secret | None = None
    """An access token …"""
    scheme: str = "Bearer"
    fields: Mapping[str, Secret] = field(default_factory=dict)
    """… or what somebody has typed in, by the names that the catalogue has for it."""


class Proof(Struct, frozen=True, kw_only=True):
    """What an app shows at the provider that it is itself. Neither: the client is public."""

    secret: Secret | None = None
    key: Secret | None = None
    """A private key as PEM."""


async def seal_access(tx: TenantTx, connection_id: UUID, cred_version: int, access: Access) -> bytes:
    inside = _Inside(
        token=access.token.reveal() if access.token else "",
        scheme=access.scheme,
        fields={name: value.reveal() for name, value in access.fields.items()},
    )
    return await keys.seal(tx, "access", msgspec.json.encode(inside), _of_connection(connection_id, cred_version))


async def open_access(tx: TenantTx, connection_id: UUID, cred_version: int, blob: bytes) -> Access:
    """
    Raises:
        NotOpened: If it is not the access of this version of this connection.
        Shredded: If its key was destroyed.
    """
    return _access(await keys.unseal(tx, "access", blob, _of_connection(connection_id, cred_version)))


def access_at_hand(
    sealing: Sealing, tenant_id: UUID, version: tuple[UUID, int], blob: bytes, now: datetime
) -> Access | None:
    """As :func:`open_access`, with what this process remembers and without a transaction; None: it lacks the key.

    Args:
        version: The connection's id, and the version of its credential.

    Raises:
        NotOpened: If it is not the access of this version of this connection.
    """
    plain = keys.unseal_at_hand(sealing, tenant_id, "access", blob, _of_connection(*version), now)
    return _access(plain) if plain is not None else None


async def seal_refresh(tx: TenantTx, connection_id: UUID, cred_version: int, token: Secret) -> bytes:
    return await keys.seal(tx, "refresh", token.reveal().encode(), _of_connection(connection_id, cred_version))


async def open_refresh(tx: TenantTx, connection_id: UUID, cred_version: int, blob: bytes) -> Secret:
    """
    Raises:
        NotOpened: If it is not the refresh token of this version of this connection.
        Shredded: If its key was destroyed.
    """
    return Secret((await keys.unseal(tx, "refresh", blob, _of_connection(connection_id, cred_version))).decode())


async def seal_proof(tx: ScopedTx, app_id: UUID, version: int, proof: Proof) -> bytes:
    """Of an app of the tenant of *tx*, or of the platform."""
    held = _HeldProof(secret=proof.secret.reveal() if proof.secret else "", key=proof.key.reveal() if proof.key else "")
    return await keys.seal(tx, "client_secret", msgspec.json.encode(held), _of_app(_apps(tx), app_id, version))


async def open_proof(tx: ScopedTx, app_id: UUID, version: int, blob: bytes) -> Proof:
    """
    Raises:
        NotOpened: If it is not this version of this app's proof.
    """
    plain = await keys.unseal(tx, "client_secret", blob, _of_app(_apps(tx), app_id, version))
    held = msgspec.json.decode(plain, type=_HeldProof)
    return Proof(secret=Secret(held.secret) if held.secret else None, key=Secret(held.key) if held.key else None)


async def seal_verifier(tx: TenantTx, transaction_id: UUID, verifier: Secret) -> bytes:
    """Of PKCE, for the minutes that a browser is away."""
    return await keys.seal(tx, "pkce", verifier.reveal().encode(), _of_transaction(transaction_id))


async def open_verifier(tx: TenantTx, transaction_id: UUID, blob: bytes) -> Secret:
    """
    Raises:
        NotOpened: If it is not the verifier of this transaction.
    """
    return Secret((await keys.unseal(tx, "pkce", blob, _of_transaction(transaction_id))).decode())


async def seal_code(tx: TenantTx, transaction_id: UUID, code: Secret) -> bytes:
    """That a device asks with, for the minutes that a person consents elsewhere."""
    return await keys.seal(tx, "pkce", code.reveal().encode(), _of_device(transaction_id))


async def open_code(tx: TenantTx, transaction_id: UUID, blob: bytes) -> Secret:
    """
    Raises:
        NotOpened: If it is not the code of this transaction.
    """
    return Secret((await keys.unseal(tx, "pkce", blob, _of_device(transaction_id))).decode())


class _Inside(Struct, frozen=True, kw_only=True, omit_defaults=True):
    token: str = ""
    scheme: str = "Bearer"
    fields: dict[str, str] = field(default_factory=dict)


class _HeldProof(Struct, frozen=True, kw_only=True, omit_defaults=True):
    secret: str = ""
    key: str = ""


CONNECTION: Final = "con"
APP: Final = "app"


def _access(plain: bytes) -> Access:
    inside = msgspec.json.decode(plain, type=_Inside)
    return Access(
        token=Secret(inside.token) if inside.token else None,
        scheme=inside.scheme,
        fields={name: Secret(value) for name, value in inside.fields.items()},
    )


def _of_connection(connection_id: UUID, cred_version: int) -> Context:
    return Context(t.connections.name, text_id(CONNECTION, connection_id), cred_version)


def _apps(tx: ScopedTx) -> Table:
    return t.oauth_apps if isinstance(tx, TenantTx) else t.platform_oauth_apps


def _of_app(table: Table, app_id: UUID, version: int) -> Context:
    return Context(table.name, text_id(APP, app_id), version)


def _of_transaction(transaction_id: UUID) -> Context:
    return Context(t.login_transactions.name, str(transaction_id))


def _of_device(transaction_id: UUID) -> Context:
    return Context(t.device_transactions.name, str(transaction_id))


def _version_of(row: Mapping[str, Any]) -> Context:
    return _of_connection(row["id"], row["cred_version"])


def _version_before(row: Mapping[str, Any]) -> Context:
    return _of_connection(row["id"], row["cred_version"] - 1)


def _version_after(row: Mapping[str, Any]) -> Context:
    return _of_connection(row["connection_id"], row["from_version"] + 1)


def _version_revoked(row: Mapping[str, Any]) -> Context:
    return _of_connection(row["connection_id"], row["cred_version"])


def _app_of(table: Table) -> SealedColumn:
    def place(row: Mapping[str, Any]) -> Context:
        return _of_app(table, row["id"], row["secret_version"])

    return SealedColumn(table, "secret_blob", "client_secret", place, reads=("secret_version",))


_OF: Final = ("connection_id", "from_version")
_REVOKED: Final = ("connection_id", "cred_version")

SEALED: Final = (
    SealedColumn(t.connections, "access_blob", "access", _version_of, reads=("cred_version",)),
    SealedColumn(t.connections, "refresh_blob", "refresh", _version_of, reads=("cred_version",)),
    SealedColumn(t.connections, "prev_refresh_blob", "refresh", _version_before, reads=("cred_version",)),
    SealedColumn(t.refresh_orphans, "access_blob", "access", _version_after, reads=_OF),
    SealedColumn(t.refresh_orphans, "refresh_blob", "refresh", _version_after, reads=_OF),
    SealedColumn(t.connection_revocations, "access_blob", "access", _version_revoked, reads=_REVOKED),
    SealedColumn(t.connection_revocations, "refresh_blob", "refresh", _version_revoked, reads=_REVOKED),
    _app_of(t.oauth_apps),
    _app_of(t.platform_oauth_apps),
    SealedColumn(t.login_transactions, "pkce_blob", "pkce", lambda row: _of_transaction(row["id"])),
    SealedColumn(t.device_transactions, "code_blob", "pkce", lambda row: _of_device(row["id"])),
)
"""What stands beside a connection is sealed for the connection's own row, to which it can move as it is."""
