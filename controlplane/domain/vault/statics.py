"""Static credentials: API keys, names with passwords, bearer tokens and plain secrets, as somebody types them in."""

import re
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct, field

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, quotas
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, histories, sealed
from controlplane.domain.vault.connections import Connection
from controlplane.domain.vault.provider import SHAPES, VARIABLE, Provider
from controlplane.domain.vault.sealed import Access
from controlplane.kit.ids import ConnectionId, new_id
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

CUSTOM: Final = "generic-custom"
"""The one of the catalogue whose fields the tenant names."""

MOST_FIELDS: Final = 20
MOST_CHARACTERS: Final = 8_192
"""Of one field: certificates and service accounts' keys fit."""

FIELD: Final = re.compile("[a-z][a-z0-9_]{0,39}")
HEADER: Final = re.compile("[A-Za-z0-9-]{1,60}")


class NewStatic(Struct, frozen=True, kw_only=True):
    name: str
    fields: Mapping[str, Secret]
    project_id: UUID | None = None
    owner_ref: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    account_name: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Which of the provider's places it is for, where there are several."""
    api_base: str = ""
    """Where it is used, for what is no provider in particular."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """How a request carries it, with fields between braces, instead of what the catalogue says of such a thing."""


class FieldsUnfit(Refusal):
    code, status, title = "credential-unfit", 400, "These are not the fields of such a credential"
    hint = "GET …/providers/{provider} lists the fields; generic-custom has one to twenty of your own."

    def __init__(self, why: str) -> None:
        super().__init__(why)


class NotStatic(Refusal):
    code, status, title = "connection-not-static", 409, "This credential comes from the provider"
    hint = "Connect the account in a browser instead of typing something in."


async def create(tx: TenantTx, actor: Actor, provider: Provider, new: NewStatic) -> Connection:
    """Keep a credential. It is active at once.

    Raises:
        NotStatic: If *provider* gives credentials itself.
        FieldsUnfit: If its fields or headers are not those of such a credential.
        VariableRefused: If it is not said which of the provider's places it is for.
        QuotaExceeded: If the tenant has as many connections as it may have.
    """
    _check(provider, new.fields)
    facts = provider.chosen(new.variables) | _facts(provider, new)
    await quotas.take(tx, "connections")
    connection_id = ConnectionId(new_id(tx.now))
    blob = await sealed.seal_access(tx, connection_id, 1, Access(fields=new.fields))
    begun = fresh(tx, actor) | {"facts": facts}
    await tx.run(
        tx.insert(t.connections).values(
            id=connection_id,
            provider=provider.id,
            auth="static",
            name=new.name,
            project_id=new.project_id,
            owner_ref=new.owner_ref,
            labels=dict(new.labels),
            account_name=new.account_name,
            access_blob=blob,
            state="active",
            **begun,
        )
    )
    audit.record(tx, actor, "connection.created", connections.target(connection_id), provider=provider.id)
    await histories.note(tx, actor, connection_id, "connection.created", 1)
    return await connections.get(tx, connection_id)


async def replace(
    tx: TenantTx, actor: Actor, provider: Provider, connection_id: UUID, fields: Mapping[str, Secret]
) -> Connection:
    """Put another credential into its place, as the next version.

    Args:
        provider: The connection's.

    Raises:
        NotFound, ConnectionGone: If there is no such connection.
        NotStatic: If it is not typed in.
        FieldsUnfit: If its fields are not those of such a credential.
    """
    before = await connections.locked(tx, connection_id)
    connections.check_there(before)
    _check(provider, fields)
    version = before.cred_version + 1
    blob = await sealed.seal_access(tx, before.id, version, Access(fields=fields))
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


def _check(provider: Provider, fields: Mapping[str, Secret]) -> None:
    if provider.kind != "static":
        raise NotStatic
    if provider.id == CUSTOM:
        if not 0 < len(fields) <= MOST_FIELDS or not all(map(FIELD.fullmatch, fields)):
            raise FieldsUnfit(f"one to {MOST_FIELDS} fields, named with lower-case letters, digits and underscores")
    elif fields.keys() != provider.fields.keys():
        raise FieldsUnfit(f"wanted: {', '.join(sorted(provider.fields))}")
    for name, value in fields.items():
        wanted = provider.fields.get(name)
        shape = SHAPES[wanted.shape] if wanted is not None and wanted.shape is not None else None
        if not 0 < len(value.reveal()) <= MOST_CHARACTERS:
            raise FieldsUnfit(f"{name} is empty, or longer than {MOST_CHARACTERS} characters")
        if shape is not None and re.fullmatch(shape, value.reveal()) is None:
            raise FieldsUnfit(f"{name} is not of its form")


def _facts(provider: Provider, new: NewStatic) -> dict[str, object]:
    """Where and how a credential is used that is of no provider in particular."""
    if (new.api_base or new.headers) and not provider.own_urls:
        raise FieldsUnfit(f"{provider.id} says itself where and how it is used")
    for name, value in new.headers.items():
        if not HEADER.fullmatch(name) or not value.isprintable() or len(value) > MOST_CHARACTERS:
            raise FieldsUnfit("a header's name has letters, digits and hyphens; its value can be printed")
        if not set(VARIABLE.findall(value)) <= new.fields.keys():
            raise FieldsUnfit(f"{name} names a field that there is not")
    said: dict[str, object] = {"api_base": new.api_base, "headers": dict(new.headers)}
    return {name: value for name, value in said.items() if value}
