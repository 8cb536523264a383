"""SCIM tokens: what a tenant's directory comes in with. One connection has two at most, so that one can replace the other."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import func, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Directory
from controlplane.domain.tenants import Tenant
from controlplane.kit import tokens
from controlplane.kit.ids import ScimTokenId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

KIND: Final = "sc"
ROUTE: Final = "scim-token"
"""Kind of the route from a token's hash to its tenant."""

LIFETIME: Final = timedelta(days=365)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3660)
OVERLAP: Final = timedelta(days=7)
"""How long the old token still works after a rotation, unless said otherwise."""

LONGEST_OVERLAP: Final = timedelta(days=30)
MAX_NAME: Final = 100
AT_ONCE: Final = 2
"""Tokens of one connection that work at the same time."""

ERRORS_KEPT: Final = 50
"""Of each connection."""


class ScimToken(Struct, frozen=True, kw_only=True):
    """What may be shown of a token."""

    id: ScimTokenId
    connection_id: ScimTokenId
    """The first token of the same directory."""
    name: str
    hint: str
    rotated_from: ScimTokenId | None
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    last_used_from: str | None
    synced_at: datetime | None
    """When it last changed something."""
    revoked_at: datetime | None

    def works(self, now: datetime) -> bool:
        return self.revoked_at is None and self.expires_at > now


class SyncError(Struct, frozen=True, kw_only=True):
    """A request of a directory that was refused."""

    id: UUID
    connection_id: ScimTokenId
    occurred_at: datetime
    method: str
    path: str
    status: int
    scim_type: str
    detail: str
    request_id: str


class ScimTokenUnknown(Refusal):
    code, status, title = "scim-token-unknown", 401, "This is not a SCIM token of ours"
    hint = "Check that the whole token was copied. SCIM tokens begin with ec_sc_."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class ScimTokenExpired(ScimTokenUnknown):
    code, title = "scim-token-expired", "This SCIM token has expired"
    hint = "Rotate it in the console, and give the new one to the directory."


class ScimTokenRevoked(ScimTokenUnknown):
    code, title = "scim-token-revoked", "This SCIM token has been revoked"
    hint = "Ask an owner of the tenant for a new one."


class ScimTokenUnfit(Refusal):
    code, status, title = "scim-token-unfit", 400, "A SCIM token cannot be made like that"
    hint = (
        f"A name of 1 to {MAX_NAME} characters; it lives between a minute and ten years; an overlap is 30 days at most."
    )


class ScimTokenEnded(Refusal):
    code, status, title = "scim-token-ended", 409, "This token works no more"
    hint = "Make a new one."


class TwoTokensWork(Refusal):
    code, status, title = "scim-token-two-work", 409, "Two tokens of this connection work already"
    hint = "Revoke the older one first."


async def create(
    tx: TenantTx, actor: Actor, pepper: bytes, name: str, *, lifetime: timedelta = LIFETIME
) -> tuple[ScimToken, str]:
    """Make the first token of a new connection and return it with its secret.

    Raises:
        ScimTokenUnfit: If it has no name, or would live too long or too briefly.
    """
    if not 1 <= len(name.strip()) <= MAX_NAME:
        raise ScimTokenUnfit
    identity = ScimTokenId(new_id(tx.now))
    row = _Row(id=identity, connection_id=identity, name=name.strip(), lifetime=lifetime)
    token, secret = await _mint(tx, actor, pepper, row)
    audit.record(tx, actor, "scim-token.created", _target(token.id))
    return token, secret


async def rotate(
    tx: TenantTx,
    actor: Actor,
    pepper: bytes,
    token_id: UUID,
    *,
    overlap: timedelta = OVERLAP,
    lifetime: timedelta = LIFETIME,
) -> tuple[ScimToken, str]:
    """A new token of the same connection; the old one works for *overlap* at most.

    Raises:
        NotFound: If this tenant has no such token.
        ScimTokenEnded: If it works no more.
        TwoTokensWork: If it has been replaced already, or replaces one that still works.
        ScimTokenUnfit: If it cannot be.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ScimTokenUnfit
    old = await get(tx, token_id)
    its = t.scim_tokens.c
    siblings = tx.select(t.scim_tokens).where(its.connection_id == old.connection_id).with_for_update()
    working = [each for each in await tx.all(ScimToken, siblings) if each.works(tx.now)]
    if old.id not in {each.id for each in working}:
        raise ScimTokenEnded
    if len(working) >= AT_ONCE:
        raise TwoTokensWork
    ending = tx.update(t.scim_tokens).where(its.id == old.id)
    await tx.run(ending.values(expires_at=min(old.expires_at, tx.now + overlap)))
    identity = ScimTokenId(new_id(tx.now))
    row = _Row(id=identity, connection_id=old.connection_id, name=old.name, lifetime=lifetime, rotated_from=old.id)
    made, secret = await _mint(tx, actor, pepper, row)
    audit.record(tx, actor, "scim-token.rotated", _target(old.id), to=text_id("scm", made.id))
    return made, secret


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[ScimToken]:
    """Newest first, from just before *after* on; those that open nothing any more included."""
    wanted = tx.select(t.scim_tokens)
    if after is not None:
        wanted = wanted.where(t.scim_tokens.c.id < after)
    return await tx.all(ScimToken, wanted.order_by(t.scim_tokens.c.id.desc()).limit(limit))


async def get(tx: TenantTx, token_id: UUID) -> ScimToken:
    """
    Raises:
        NotFound: If this tenant has no such token.
    """
    token = await tx.first(ScimToken, tx.select(t.scim_tokens).where(t.scim_tokens.c.id == token_id))
    if token is None:
        raise NotFound
    return token


async def revoke(tx: TenantTx, actor: Actor, token_id: UUID) -> None:
    """Shut out whoever has it. Whom it has announced stays. Doing it again changes nothing.

    Raises:
        NotFound: If this tenant has no such token.
    """
    token = await get(tx, token_id)
    if token.revoked_at is None:
        await tx.run(tx.update(t.scim_tokens).where(t.scim_tokens.c.id == token_id).values(revoked_at=tx.now))
        audit.record(tx, actor, "scim-token.revoked", _target(token.id))


async def principal_by(tx: TenantTx, token_hash: bytes) -> Directory:
    """Whose token this is.

    Raises:
        ScimTokenUnknown, ScimTokenExpired, ScimTokenRevoked: If it opens nothing.
    """
    found = await tx.query(_Found, WHOSE, token_hash=token_hash, tenant_id=tx.tenant_id)
    if not found:
        raise ScimTokenUnknown
    [token] = found
    if token.revoked_at is not None:
        raise ScimTokenRevoked
    if token.expires_at <= tx.now:
        raise ScimTokenExpired
    tenant = msgspec.json.decode(token.tenant, type=Tenant)
    return Directory(id=token.id, connection_id=token.connection_id, tenant=tenant)


async def note_error(tx: TenantTx, error: SyncError) -> None:
    """Keep what was refused, for people to see; the oldest beyond :data:`ERRORS_KEPT` are forgotten."""
    await tx.run(tx.insert(t.scim_errors).values(**msgspec.structs.asdict(error)))
    await tx.load(FORGET, connection_id=error.connection_id, kept=ERRORS_KEPT)


async def errors(tx: TenantTx, *, limit: int = ERRORS_KEPT) -> list[SyncError]:
    """Of all connections, newest first."""
    return await tx.all(SyncError, tx.select(t.scim_errors).order_by(t.scim_errors.c.id.desc()).limit(limit))


async def people_of(tx: TenantTx) -> int:
    """How many people the tenant's directory keeps."""
    kept = tx.select(t.users).with_only_columns(func.count()).where(t.users.c.source == "scim")
    return int(await tx.scalar(kept))


FORGET: Final = text("""
    DELETE FROM scim_errors WHERE tenant_id = :tenant_id AND connection_id = :connection_id AND id <= (
        SELECT id FROM scim_errors WHERE tenant_id = :tenant_id AND connection_id = :connection_id
        ORDER BY id DESC OFFSET :kept LIMIT 1)
""")

WHOSE: Final = text("""
    SELECT k.id, k.connection_id, k.expires_at, k.revoked_at, CAST(to_json(t) AS text) AS tenant
    FROM scim_tokens k JOIN tenants t ON t.tenant_id = k.tenant_id
    WHERE k.tenant_id = :tenant_id AND k.token_hash = :token_hash
""")


class _Found(Struct, frozen=True, kw_only=True):
    id: ScimTokenId
    connection_id: ScimTokenId
    expires_at: datetime
    revoked_at: datetime | None
    tenant: str


async def _mint(
    tx: TenantTx,
    actor: Actor,
    pepper: bytes,
    row: "_Row",
) -> tuple[ScimToken, str]:
    if not SHORTEST <= row.lifetime <= LONGEST:
        raise ScimTokenUnfit
    secret = tokens.mint(KIND)
    token_hash = tokens.fingerprint(pepper, secret)
    values = {
        "id": row.id,
        "connection_id": row.connection_id,
        "name": row.name,
        "rotated_from": row.rotated_from,
        "token_hash": token_hash,
        "hint": tokens.hint(secret),
        "created_by": actor.id,
        "created_at": tx.now,
        "expires_at": tx.now + row.lifetime,
    }
    [token] = await tx.take(ScimToken, tx.insert(t.scim_tokens).values(**values))
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=token_hash))
    return token, secret


class _Row(Struct, frozen=True, kw_only=True):
    """A token that is to be made."""

    id: ScimTokenId
    connection_id: ScimTokenId
    name: str
    lifetime: timedelta
    rotated_from: ScimTokenId | None = None


def _target(token_id: ScimTokenId) -> audit.Target:
    return "scim-token", text_id("scm", token_id)
