"""Connecting: a session for one attempt, and the transaction of the browser that is away for it.

Nothing of either could be used by whoever reads the tables: tickets and states are hashes, the verifier is sealed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct, field
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, return_urls, sealed
from controlplane.kit import tokens
from controlplane.kit.ids import AccountId, ConnectionId, ConnectSessionId, OAuthAppId, ProjectId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.secret import Secret

ROUTE: Final = "connecting"
"""Kind of the route from a ticket or a state to its tenant."""

SESSION_LIVES: Final = timedelta(minutes=30)
AWAY_FOR: Final = timedelta(minutes=10)
"""How long a browser may be at the provider."""

KEPT: Final = timedelta(days=1)
"""After its end: until then a replayed answer is told from one that was made up."""

State: TypeAlias = Literal["open", "away", "connected", "failed"]


class ConnectSession(Struct, frozen=True, kw_only=True):
    """One attempt to connect."""

    id: ConnectSessionId
    provider: str
    app_id: OAuthAppId | None
    platform_app_id: OAuthAppId | None
    variables: dict[str, str]
    scopes: list[str]
    name: str
    project_id: ProjectId | None
    owner_ref: str
    labels: dict[str, str]
    return_url: str
    connection_id: ConnectionId | None
    """What is connected anew."""
    other_account: bool
    """Whether that may become another account."""
    person_id: AccountId | None
    """Who has begun it, signed in, and has to confirm it; None: the tenant's program does."""
    state: State
    failure: str
    made_id: ConnectionId | None
    """What came of it, and is to be confirmed."""
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class NewSession(Struct, frozen=True, kw_only=True):
    provider: str
    app_id: UUID | None = None
    platform_app_id: UUID | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    scopes: Sequence[str] = ()
    name: str = ""
    project_id: UUID | None = None
    owner_ref: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    return_url: str = ""
    connection_id: UUID | None = None
    other_account: bool = False
    person_id: UUID | None = None


class Transaction(Struct, frozen=True, kw_only=True):
    """A browser that was away and is back."""

    id: UUID
    session_id: ConnectSessionId
    pkce_blob: bytes | None
    issuer: str | None
    endpoints: dict[str, Any]
    redirect_uri: str
    cookie_hash: bytes
    begun_at: datetime
    expires_at: datetime
    consumed_at: datetime | None


class OwnerMissing(Refusal):
    code, status, title = "connect-owner-missing", 400, "Say whose account is to be connected"
    hint = "owner_ref is the id of your end user: whoever confirms the connection has to name the same one."


class LinkOver(Refusal):
    """Unknown, used and expired are the same to whoever comes with a link."""

    code, status, title = "connect-link-over", 410, "This link does not work any more"
    hint = "It is good for half an hour and for one time. Ask whoever sent it for another one."


class NeverBegun(Refusal):
    """Made up, or somebody else's."""

    code, status, title = "connect-state-unknown", 401, "This was not begun here"
    hint = "Begin again."


class Replayed(Refusal):
    code, status, title = "connect-replayed", 401, "This answer was here before"
    hint = "Begin again."


class TookTooLong(Refusal):
    code, status, title = "connect-expired", 401, "This took too long"
    hint = f"Begin again; there are {int(AWAY_FOR.total_seconds() // 60)} minutes."


CLAIM: Final = text("""
    UPDATE login_transactions SET consumed_at = :now
    WHERE tenant_id = :tenant_id AND state_hash = :state_hash AND consumed_at IS NULL AND expires_at > :now
    RETURNING id, session_id, pkce_blob, issuer, endpoints, redirect_uri, cookie_hash, begun_at, expires_at, consumed_at
""")

ENDED: Final = (
    text("""
        DELETE FROM routes WHERE tenant_id = :tenant_id AND kind = 'connecting' AND key IN (
            SELECT state_hash FROM login_transactions WHERE tenant_id = :tenant_id AND expires_at < :before
            UNION ALL SELECT token_hash FROM connect_sessions WHERE tenant_id = :tenant_id AND expires_at < :before)
    """),
    text("DELETE FROM login_transactions WHERE tenant_id = :tenant_id AND expires_at < :before"),
    text("DELETE FROM connect_sessions WHERE tenant_id = :tenant_id AND expires_at < :before"),
)


async def begin(tx: TenantTx, pepper: bytes, actor: Actor, new: NewSession) -> tuple[ConnectSession, str]:
    """A new session, and the ticket that opens it once. It is not checked here whether app and provider fit.

    Raises:
        OwnerMissing: If nobody who is signed in is to confirm it, and it does not say whose it is.
        ReturnUrlUnknown: If browsers may not be sent where it wants.
        NotFound, ConnectionGone, NotReconnectable: If what is to be connected anew cannot be.
    """
    if new.person_id is None and not new.owner_ref:
        raise OwnerMissing
    if new.return_url:
        await return_urls.check(tx, new.return_url)
    if new.connection_id is not None:
        await _check_reconnectable(tx, new.connection_id)
    session_id, ticket = ConnectSessionId(new_id(tx.now)), tokens.link_secret()
    token_hash = tokens.fingerprint(pepper, ticket)
    values = {name: getattr(new, name) for name in NewSession.__struct_fields__}
    values |= {"variables": dict(new.variables), "labels": dict(new.labels), "scopes": list(new.scopes)}
    [session] = await tx.take(
        ConnectSession,
        tx.insert(t.connect_sessions).values(
            id=session_id,
            token_hash=token_hash,
            state="open",
            failure="",
            created_by=actor.id,
            created_at=tx.now,
            expires_at=tx.now + SESSION_LIVES,
            **values,
        ),
    )
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=token_hash))
    audit.record(tx, actor, "connection.begun", target(session_id), provider=new.provider)
    return session, ticket


async def get(tx: TenantTx, session_id: UUID) -> ConnectSession:
    """
    Raises:
        NotFound: If this tenant has no such session, or has it no more.
    """
    found = await tx.first(ConnectSession, tx.select(t.connect_sessions).where(t.connect_sessions.c.id == session_id))
    if found is None:
        raise NotFound
    return found


async def opened(tx: TenantTx, pepper: bytes, ticket: str) -> ConnectSession:
    """The session that *ticket* opens, which stays open.

    Raises:
        LinkOver: If there is none (any more).
    """
    its = t.connect_sessions.c
    wanted = tx.select(t.connect_sessions).where(
        its.token_hash == tokens.fingerprint(pepper, ticket), its.state == "open", its.expires_at > tx.now
    )
    found = await tx.first(ConnectSession, wanted)
    if found is None:
        raise LinkOver
    return found


async def use(tx: TenantTx, session_id: UUID) -> ConnectSession:
    """Use the session up: of two who come with one link, one goes on.

    Raises:
        LinkOver: If somebody was quicker, or it took too long.
    """
    its = t.connect_sessions.c
    mine = tx.update(t.connect_sessions).where(its.id == session_id, its.state == "open", its.expires_at > tx.now)
    used = await tx.take(ConnectSession, mine.values(state="away", used_at=tx.now))
    if not used:
        raise LinkOver
    return used[0]


class Departure(Struct, frozen=True, kw_only=True):
    """What a browser is sent off with."""

    issuer: str
    """What ``iss`` has to be when it comes back; empty: nothing is known."""
    endpoints: Mapping[str, Any]
    verifier: Secret | None
    redirect_uri: str
    browser: str
    """What only this browser has."""


async def depart(tx: TenantTx, pepper: bytes, actor: Actor, session_id: UUID, departure: Departure) -> str:
    """Write down that a browser is away for a session, and return the state it takes along."""
    state, transaction_id = tokens.link_secret(), new_id(tx.now)
    state_hash = tokens.fingerprint(pepper, state)
    verifier = departure.verifier
    blob = await sealed.seal_verifier(tx, transaction_id, verifier) if verifier is not None else None
    await tx.run(
        tx.insert(t.login_transactions).values(
            id=transaction_id,
            state_hash=state_hash,
            session_id=session_id,
            pkce_blob=blob,
            issuer=departure.issuer or None,
            endpoints=dict(departure.endpoints),
            redirect_uri=departure.redirect_uri,
            cookie_hash=tokens.fingerprint(pepper, departure.browser),
            begun_at=tx.now,
            expires_at=tx.now + AWAY_FOR,
        )
    )
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=state_hash))
    audit.record(tx, actor, "connection.departed", target(session_id))
    return state


async def claim(tx: TenantTx, pepper: bytes, state: str) -> Transaction:
    """Use the transaction of *state* up, in one statement. Whose browser brought it is asked afterwards: a state that
    turned up in the wrong place is worth nothing from then on.

    Raises:
        NeverBegun, Replayed, TookTooLong: If there is none to be used.
    """
    state_hash = tokens.fingerprint(pepper, state)
    found = await tx.query(Transaction, CLAIM, tenant_id=tx.tenant_id, state_hash=state_hash, now=tx.now)
    if found:
        return found[0]
    known = tx.select(t.login_transactions).where(t.login_transactions.c.state_hash == state_hash)
    earlier = await tx.first(Transaction, known)
    if earlier is None:
        raise NeverBegun
    raise Replayed if earlier.consumed_at is not None else TookTooLong


async def failed(tx: TenantTx, session_id: UUID, code: str) -> None:
    """Note why nothing came of a session, for whoever has begun it."""
    its = t.connect_sessions.c
    await tx.run(tx.update(t.connect_sessions).where(its.id == session_id).values(state="failed", failure=code))


async def forget_ended(tx: TenantTx) -> None:
    """Delete what ended :data:`KEPT` ago."""
    for statement in ENDED:
        await tx.load(statement, before=tx.now - KEPT)


def target(session_id: UUID) -> audit.Target:
    return "connect-session", text_id("cns", session_id)


class NotReconnectable(Refusal):
    code, status, title = "connection-typed-in", 409, "This connection is not made in a browser"
    hint = "What was typed in is replaced: POST …/connections/{connection}/replace; what is minted: POST …/minting."


async def _check_reconnectable(tx: TenantTx, connection_id: UUID) -> None:
    connection = await connections.get(tx, connection_id)
    connections.check_there(connection)
    if connection.auth != "oauth2" or connection.replaces_id is not None:
        raise NotReconnectable
