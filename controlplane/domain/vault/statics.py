"""Static credentials: API keys, names with passwords, bearer tokens and plain secrets, as somebody types them in."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final
from uuid import UUID

from msgspec import Struct, field

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, quotas
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, histories, sealed
from controlplane.domain.vault.connections import STATIC, Auth, Connection
from controlplane.domain.vault.sealed import Access
from controlplane.kit.ids import ConnectionId, new_id
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

FIELDS: Final[Mapping[Auth, Sequence[str]]] = MappingProxyType(
    {"api_key": ("key",), "basic": ("username", "password"), "bearer": ("token",), "secret": ("value",)}
)
"""What each kind consists of. ``custom`` has whatever fields it is given."""

MOST_FIELDS: Final = 20
MOST_CHARACTERS: Final = 8_192
"""Of one field: certificates and service accounts' keys fit."""


class NewStatic(Struct, frozen=True, kw_only=True):
    auth: Auth
    name: str
    fields: Mapping[str, Secret]
    provider: str = "static"
    """In the catalogue; ``static`` is none in particular."""
    project_id: UUID | None = None
    owner_ref: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    account_name: str = ""


class FieldsUnfit(Refusal):
    code, status, title = "credential-unfit", 400, "These are not the fields of such a credential"
    hint = (
        "api_key: key; basic: username and password; bearer: token; secret: value; custom: one to twenty of your own."
    )


class NotStatic(Refusal):
    code, status, title = "connection-not-static", 409, "This credential comes from the provider"
    hint = "Connect the account again instead of typing something in."


async def create(tx: TenantTx, actor: Actor, new: NewStatic) -> Connection:
    """Keep a credential. It is active at once.

    Raises:
        FieldsUnfit: If its fields are not those of its kind.
        QuotaExceeded: If the tenant has as many connections as it may have.
    """
    access = _access(new.auth, new.fields)
    await quotas.take(tx, "connections")
    connection_id = ConnectionId(new_id(tx.now))
    blob = await sealed.seal_access(tx, connection_id, 1, access)
    await tx.run(
        tx.insert(t.connections).values(
            id=connection_id,
            provider=new.provider,
            auth=new.auth,
            name=new.name,
            project_id=new.project_id,
            owner_ref=new.owner_ref,
            labels=dict(new.labels),
            account_name=new.account_name,
            access_blob=blob,
            state="active",
            **fresh(tx, actor),
        )
    )
    audit.record(
        tx, actor, "connection.created", connections.target(connection_id), provider=new.provider, auth=new.auth
    )
    await histories.note(tx, actor, connection_id, "connection.created", 1)
    return await connections.get(tx, connection_id)


async def replace(tx: TenantTx, actor: Actor, connection_id: UUID, fields: Mapping[str, Secret]) -> Connection:
    """Put another credential into its place, as the next version.

    Raises:
        NotFound, ConnectionGone: If there is no such connection.
        NotStatic: If it is not typed in.
        FieldsUnfit: If its fields are not those of its kind.
    """
    before = await connections.locked(tx, connection_id)
    connections.check_there(before)
    if before.auth not in STATIC:
        raise NotStatic
    version = before.cred_version + 1
    blob = await sealed.seal_access(tx, before.id, version, _access(before.auth, fields))
    changed = await connections.write(
        tx, before.id, {"access_blob": blob, "cred_version": version, "refreshed_at": tx.now}
    )
    audit.record(tx, actor, "connection.replaced", connections.target(before.id), cred_version=version)
    await histories.note(tx, actor, before.id, "connection.replaced", version)
    return changed


def fresh(tx: TenantTx, actor: Actor) -> dict[str, object]:
    """What every connection begins with; whatever differs is said beside it."""
    return {
        "account_email": "",
        "requested_scopes": [],
        "granted_scopes": [],
        "endpoints": {},
        "facts": {},
        "state_reason": "",
        "state_at": tx.now,
        "cred_version": 1,
        "fence": 0,
        "rstate": "idle",
        "fail_count": 0,
        "created_by": actor.id,
        "created_at": tx.now,
        "changed_at": tx.now,
    }


def _access(auth: Auth, fields: Mapping[str, Secret]) -> Access:
    named = FIELDS.get(auth)
    fits = set(fields) == set(named) if named is not None else auth == "custom" and 0 < len(fields) <= MOST_FIELDS
    if not fits or not all(0 < len(value.reveal()) <= MOST_CHARACTERS for value in fields.values()):
        raise FieldsUnfit
    if named is not None and len(named) == 1:
        return Access(token=fields[named[0]], scheme="Bearer" if auth == "bearer" else auth)
    return Access(scheme=auth, fields=fields)
