"""What secrets are recognized by where they turn up: an HMAC under a key of the tenant that is not in the database."""

import base64
import hashlib
import hmac
from typing import Final
from uuid import UUID

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.domain.vault import connections
from controlplane.domain.vault.contents import secrets_in
from controlplane.kit.ids import TenantId

BYTES: Final = 16


def print_of(keyring: Keyring, tenant_id: UUID, secret: str) -> bytes:
    """16 bytes; the same for the same secret in the same tenant, and useless to whoever does not have it."""
    return hmac.digest(keys.print_key(keyring, tenant_id), secret.encode(), hashlib.sha256)[:BYTES]


async def learn(db: Database, keyring: Keyring, tenant_id: TenantId, connection_id: UUID) -> None:
    """Write down what the secrets of a connection are recognized by, before any of them is handed out.

    Raises:
        NotFound: If there is no such connection.
    """
    async with db.tenant(tenant_id) as tx:
        connection, access = await connections.access(tx, connection_id)
        if access is None:
            return
        found = [print_of(keyring, tenant_id, each) for each in secrets_in(access)]
        row = {"connection_id": connection_id, "cred_version": connection.cred_version, "prints": found}
        await tx.run(tx.insert(t.credential_prints).values(**row).on_conflict_do_nothing())


def base64url(raw: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
