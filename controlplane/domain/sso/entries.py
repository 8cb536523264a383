"""Which tenants a session has been let into by their providers, and how a provider ends that."""

import hashlib
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.domain import audit, keys
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Context, Shredded
from controlplane.kit import tokens
from controlplane.kit.ids import SsoId, TenantId, text_id
from controlplane.kit.openid.tokens import LoggedOut, TokenRefused

ONLY_BY_ENTRY: Final = ("tenants", "operators")
"""Scopes of sessions that are nothing without what let them in."""


class Entry(Struct, frozen=True, kw_only=True):
    """What a provider has vouched for."""

    tenant_id: TenantId
    connection_id: SsoId
    sub: str
    sid: str | None
    id_token: str
    """Shown to the provider again when somebody signs out."""


class Way(Struct, frozen=True, kw_only=True):
    """How a session came in, for whoever signs out."""

    tenant_id: TenantId
    connection_id: SsoId
    id_token: str | None


SEALED: Final = keys.SealedColumn(
    t.session_entries, "sealed_token", "id-token", lambda row: _place(row["session_id"], row["tenant_id"])
)


async def enter(tx: PlatformTx, pepper: bytes, session_id: UUID, entry: Entry) -> None:
    """Let a session into a tenant; an earlier entry of it there is replaced."""
    token = await keys.seal(tx, "id-token", entry.id_token.encode(), _place(session_id, entry.tenant_id))
    values = {
        "connection_id": entry.connection_id,
        "subject_hash": _subject(pepper, entry.sub),
        "sid_hash": _sid(pepper, entry.sid) if entry.sid else None,
        "sealed_token": token,
        "entered_at": tx.now,
    }
    await _put(tx, session_id, entry.tenant_id, values)


async def break_glass(tx: PlatformTx, actor: Actor, session_id: UUID, tenant_id: TenantId) -> None:
    """Let a session in without the provider, until it ends. Whether its person may is the caller's question."""
    values: dict[str, object] = {
        "connection_id": None,
        "subject_hash": None,
        "sid_hash": None,
        "sealed_token": None,
        "entered_at": tx.now,
    }
    await _put(tx, session_id, tenant_id, values)
    audit.record(tx, actor, "sso.glass-broken", ("tenant", text_id("ten", tenant_id)))


async def log_out(tx: PlatformTx, actor: Actor, pepper: bytes, connection_id: SsoId, told: LoggedOut) -> int:
    """End what the provider says has ended, and return how many sessions it was.

    Raises:
        TokenRefused: If the same token was used before.
    """
    used = f"{connection_id}\x1f{told.jti}".encode()
    kept = tx.insert(t.logout_tokens).values(token_hash=hashlib.sha256(used).digest(), expires_at=told.expires_at)
    if not await tx.run(kept.on_conflict_do_nothing()):
        raise TokenRefused("used before")
    its = t.session_entries.c
    gone = tx.delete(t.session_entries).where(its.connection_id == connection_id)
    if told.sub is not None:
        gone = gone.where(its.subject_hash == _subject(pepper, told.sub))
    if told.sid is not None:
        gone = gone.where(its.sid_hash == _sid(pepper, told.sid))
    sessions = [each.session_id for each in await tx.take(_Session, gone)]
    await _end_empty(tx, sessions)
    audit.record(tx, actor, "sso.logged-out", ("sso-connection", text_id("sso", connection_id)), sessions=len(sessions))
    return len(sessions)


async def way_of(tx: PlatformTx, session_id: UUID) -> Way | None:
    """The provider that vouched for this session last, if one did."""
    mine = tx.select(t.session_entries).where(
        t.session_entries.c.session_id == session_id, t.session_entries.c.connection_id.is_not(None)
    )
    found = await tx.first(_Held, mine.order_by(t.session_entries.c.entered_at.desc()))
    if found is None:
        return None
    return Way(
        tenant_id=found.tenant_id, connection_id=found.connection_id, id_token=await _opened(tx, session_id, found)
    )


class _Session(Struct, frozen=True):
    session_id: UUID


class _Held(Struct, frozen=True):
    tenant_id: TenantId
    connection_id: SsoId
    sealed_token: bytes | None
    entered_at: datetime


async def _opened(tx: PlatformTx, session_id: UUID, held: _Held) -> str | None:
    if held.sealed_token is None:
        return None
    try:
        return (await keys.unseal(tx, "id-token", held.sealed_token, _place(session_id, held.tenant_id))).decode()
    except Shredded:
        return None


async def _put(tx: PlatformTx, session_id: UUID, tenant_id: TenantId, values: dict[str, object]) -> None:
    row = tx.insert(t.session_entries).values(session_id=session_id, tenant_id=tenant_id, **values)
    await tx.run(row.on_conflict_do_update(index_elements=["session_id", "tenant_id"], set_=values))


async def _end_empty(tx: PlatformTx, sessions: list[UUID]) -> None:
    """Sessions that were nothing but their entries end with the last of them."""
    still = tx.select(t.session_entries).where(t.session_entries.c.session_id.in_(sessions))
    left = {row.session_id for row in await tx.all(_Session, still)}
    empty = [each for each in sessions if each not in left]
    its = t.browser_sessions.c
    await tx.run(tx.delete(t.browser_sessions).where(its.id.in_(empty), its.scope.in_(ONLY_BY_ENTRY)))


def _subject(pepper: bytes, sub: str) -> bytes:
    return tokens.fingerprint(pepper, f"sub {sub}")


def _sid(pepper: bytes, sid: str) -> bytes:
    return tokens.fingerprint(pepper, f"sid {sid}")


def _place(session_id: UUID, tenant_id: TenantId) -> Context:
    return Context(t.session_entries.name, f"{session_id} {tenant_id}")
