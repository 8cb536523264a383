"""Browser sessions: how they begin, how long they last, and the one-time links that begin one."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Person, Scope, Way
from controlplane.kit import tokens
from controlplane.kit.ids import AccountId, ImpersonationId, TenantId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

IDLE: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=12)
LINK_LIFETIME: Final = timedelta(hours=24)
MOST_SHOWN: Final = 200
SEEN_EVERY: Final = timedelta(minutes=1)
"""How often it is written down that a session is in use."""


class Proof(Struct, frozen=True, kw_only=True):
    """How somebody has just shown who they are."""

    method: str
    """``password``, ``password and code``, ``link``, ``passkey``: for the list of sessions."""
    level: int = 1
    """By how many factors; 2 for a passkey, whose authenticator has asked for a second one itself."""
    scope: Scope = "account"
    """To whom; what a provider vouches for never becomes a proof for the account itself."""
    at: datetime | None = None
    """When, where somebody else has seen it; None: just now."""


PASSWORD: Final = Proof(method="password")
LINK: Final = Proof(method="link")
PASSKEY: Final = Proof(method="passkey", level=2)


class Session(Struct, frozen=True, kw_only=True):
    """What its owner sees of a browser session."""

    id: UUID
    client: str
    created_at: datetime
    seen_at: datetime
    authenticated_at: datetime
    auth_method: str


class Mask(Struct, frozen=True):
    """What a session wears: which impersonation, in which tenant."""

    tenant_id: TenantId
    impersonation_id: ImpersonationId


class SignInRefused(Refusal):
    """Wrong address, wrong password, disabled account: which one is nobody's business."""

    code, status, title = "sign-in-refused", 401, "Address and password do not fit together"
    hint = "Check both, or ask an operator for a sign-in link."


class LinkUsedUp(Refusal):
    """Unknown, expired and used links are the same to whoever holds one."""

    code, status, title = "sign-in-link-invalid", 401, "This link does not work any more"
    hint = "A link works once and for a day. Whoever runs the service can make a new one."


WHO = text("""
    SELECT s.id, a.id, a.name, a.email, o.role, s.seen_at, s.authenticated_at, s.auth_level, s.scope,
        x.tenant AS mask_tenant, x.impersonation_id AS mask_id,
        ARRAY(SELECT e.tenant_id FROM session_entries e WHERE e.session_id = s.id) AS entries,
        a.password_hash IS NOT NULL AS password,
        EXISTS (SELECT FROM totps t WHERE t.account_id = a.id AND t.confirmed_at IS NOT NULL) AS totp,
        EXISTS (SELECT FROM passkeys p WHERE p.account_id = a.id) AS passkey
    FROM browser_sessions s JOIN accounts a ON a.id = s.account_id LEFT JOIN operators o ON o.account_id = a.id
    LEFT JOIN impersonation_sessions x ON x.session_id = s.id AND x.token_hash = :mask_hash AND x.ends_at > :now
    WHERE s.token_hash = :token_hash AND s.expires_at > :now AND s.seen_at > :idle_since AND a.status = 'active'
""")

ENDED_SESSIONS = text("DELETE FROM browser_sessions WHERE expires_at <= :now OR seen_at <= :idle_since")

ENDED_LINKS = text("DELETE FROM sign_in_links WHERE expires_at <= :now")


async def begin(
    tx: PlatformTx, actor: Actor, pepper: bytes, account_id: AccountId, client: str, proof: Proof = PASSWORD
) -> str:
    """Begin a browser session and return its token, which is kept only as a hash.

    Args:
        client: What the browser calls itself, for the list of sessions.
    """
    token = tokens.link_secret()
    session_id = new_id(tx.now)
    await tx.run(
        tx.insert(t.browser_sessions).values(
            id=session_id,
            token_hash=tokens.fingerprint(pepper, token),
            account_id=account_id,
            created_at=tx.now,
            seen_at=tx.now,
            expires_at=tx.now + LONGEST,
            client=client[:200],
            authenticated_at=proof.at or tx.now,
            auth_level=proof.level,
            auth_method=proof.method,
            scope=proof.scope,
        )
    )
    audit.record(tx, actor, "session.began", _account(account_id), method=proof.method)
    return token


async def renew(tx: PlatformTx, actor: Actor, pepper: bytes, session_id: UUID, proof: Proof) -> str:
    """Note that the person of a session has proved once more who they are; its token from now on is the one returned.

    Raises:
        NotFound: If the session has ended meanwhile, or is of another scope than the proof.
    """
    token = tokens.link_secret()
    its = t.browser_sessions.c
    mine = tx.update(t.browser_sessions).where(its.id == session_id, its.scope == proof.scope)
    proved = mine.values(
        token_hash=tokens.fingerprint(pepper, token),
        authenticated_at=proof.at or tx.now,
        auth_level=proof.level,
        auth_method=proof.method,
    )
    if not await tx.run(proved):
        raise NotFound
    audit.record(tx, actor, "session.confirmed", ("account", actor.id), method=proof.method)
    return token


async def turn(tx: PlatformTx, actor: Actor, pepper: bytes, session_id: UUID) -> str:
    """Give a session a new token, as whenever it opens more than before; nothing is proved by it.

    Raises:
        NotFound: If the session has ended meanwhile.
    """
    token = tokens.link_secret()
    mine = tx.update(t.browser_sessions).where(t.browser_sessions.c.id == session_id)
    if not await tx.run(mine.values(token_hash=tokens.fingerprint(pepper, token))):
        raise NotFound
    audit.record(tx, actor, "session.turned", ("account", actor.id))
    return token


async def session_id_of(tx: PlatformTx, pepper: bytes, token: str) -> UUID:
    """The session that has *token*."""
    mine = tx.select(t.browser_sessions).where(t.browser_sessions.c.token_hash == tokens.fingerprint(pepper, token))
    found = await tx.first(_Id, mine)
    if found is None:
        raise NotFound
    return found.id


async def person_by(
    tx: PlatformTx, pepper: bytes, token: str, mask: str | None = None
) -> tuple[Person, Mask | None] | None:
    """Whose session this is, unless it has ended, and what it wears; and note that it is in use.

    Args:
        mask: The token of what it wears. None in the answer: that is not this session's, or its time is over.
    """
    token_hash = tokens.fingerprint(pepper, token)
    mask_hash = None if mask is None else tokens.fingerprint(pepper, mask)
    values = {"token_hash": token_hash, "mask_hash": mask_hash, "now": tx.now, "idle_since": tx.now - IDLE}
    found = await tx.query(_SignedIn, WHO, **values)
    if not found:
        return None
    [session] = found
    if tx.now - session.seen_at >= SEEN_EVERY:
        mine = tx.update(t.browser_sessions).where(t.browser_sessions.c.id == session.session_id)
        await tx.run(mine.values(seen_at=tx.now))
    return _person(session), session.mask


def _person(session: "_SignedIn") -> Person:
    return Person(
        account_id=session.account_id,
        session_id=session.session_id,
        name=session.name,
        email=session.email,
        authenticated_at=session.authenticated_at,
        auth_level=session.auth_level,
        ways=session.ways,
        operator_role=session.operator_role if session.scope != "tenants" else None,
        scope=session.scope,
        entries=frozenset(session.entries),
    )


async def sessions_of(tx: PlatformTx, account_id: AccountId) -> list[Session]:
    """The sessions of an account that have not ended, the one used last first."""
    of_theirs = tx.select(t.browser_sessions).where(
        t.browser_sessions.c.account_id == account_id,
        t.browser_sessions.c.expires_at > tx.now,
        t.browser_sessions.c.seen_at > tx.now - IDLE,
    )
    return await tx.all(Session, of_theirs.order_by(t.browser_sessions.c.seen_at.desc()).limit(MOST_SHOWN))


async def end(tx: PlatformTx, actor: Actor, session_id: UUID) -> None:
    """Sign out. Doing it again changes nothing."""
    mine = tx.delete(t.browser_sessions).where(t.browser_sessions.c.id == session_id)
    if await tx.run(mine):
        audit.record(tx, actor, "session.ended", ("account", actor.id))


async def end_another(tx: PlatformTx, actor: Actor, account_id: AccountId, session_id: UUID) -> None:
    """End one session of this account.

    Raises:
        NotFound: If it has no such session.
    """
    theirs = tx.delete(t.browser_sessions).where(t.browser_sessions.c.account_id == account_id)
    if not await tx.run(theirs.where(t.browser_sessions.c.id == session_id)):
        raise NotFound
    audit.record(tx, actor, "session.ended", _account(account_id))


async def end_all(tx: PlatformTx, actor: Actor, account_id: AccountId, *, but: UUID | None = None) -> int:
    """End every session of this account, and every link that would begin one; return how many sessions there were.

    Args:
        but: A session that stays.
    """
    theirs = tx.delete(t.browser_sessions).where(t.browser_sessions.c.account_id == account_id)
    ended = await tx.run(theirs if but is None else theirs.where(t.browser_sessions.c.id != but))
    await tx.run(tx.delete(t.sign_in_links).where(t.sign_in_links.c.account_id == account_id))
    audit.record(tx, actor, "session.all-ended", _account(account_id), sessions=ended)
    return ended


async def make_link(
    tx: PlatformTx,
    actor: Actor,
    pepper: bytes,
    account_id: AccountId,
    *,
    purpose: str = "sign-in",
    lifetime: timedelta = LINK_LIFETIME,
) -> str:
    """A secret that signs this account in, once. Put it into a URL's fragment, never into its path or query.

    Args:
        purpose: ``sign-in``, or ``reset`` for one who lost their password.
    """
    token = tokens.link_secret()
    await tx.run(
        tx.insert(t.sign_in_links).values(
            token_hash=tokens.fingerprint(pepper, token),
            account_id=account_id,
            created_at=tx.now,
            expires_at=tx.now + lifetime,
            purpose=purpose,
        )
    )
    audit.record(tx, actor, "sign-in-link.created", _account(account_id), purpose=purpose)
    return token


async def redeem(tx: PlatformTx, pepper: bytes, token: str) -> AccountId:
    """Use a link up: deleted and handed out in one statement, so it works once whatever happens next.

    Raises:
        LinkUsedUp: If it is unknown, used or too old, or its account is disabled.
    """
    held = t.sign_in_links.c.token_hash == tokens.fingerprint(pepper, token)
    used = await tx.take(_Link, tx.delete(t.sign_in_links).where(held))
    if not used or used[0].expires_at <= tx.now:
        raise LinkUsedUp
    account = await tx.first(_Status, tx.select(t.accounts).where(t.accounts.c.id == used[0].account_id))
    if account is None or account.status != "active":
        raise LinkUsedUp
    return used[0].account_id


async def forget_ended(tx: PlatformTx) -> int:
    """Delete sessions and links that can never be used again, and return how many."""
    return await tx.run(ENDED_SESSIONS.bindparams(now=tx.now, idle_since=tx.now - IDLE)) + await tx.run(
        ENDED_LINKS.bindparams(now=tx.now)
    )


class _SignedIn(Struct, frozen=True):
    session_id: UUID
    account_id: AccountId
    name: str
    email: str
    operator_role: str | None
    seen_at: datetime
    authenticated_at: datetime
    auth_level: int
    scope: Scope
    mask_tenant: TenantId | None
    mask_id: ImpersonationId | None
    entries: list[UUID]
    password: bool
    totp: bool
    passkey: bool

    @property
    def mask(self) -> Mask | None:
        return Mask(self.mask_tenant, self.mask_id) if self.mask_tenant and self.mask_id else None

    @property
    def ways(self) -> frozenset[Way]:
        if self.scope != "account":
            return frozenset({"sso"})
        had: dict[Way, bool] = {"password": self.password, "totp": self.totp, "passkey": self.passkey}
        return frozenset(way for way, there in had.items() if there)


class _Id(Struct, frozen=True):
    id: UUID


class _Link(Struct, frozen=True):
    account_id: AccountId
    expires_at: datetime


class _Status(Struct, frozen=True):
    status: str


def _account(account_id: AccountId) -> audit.Target:
    return "account", text_id("acc", account_id)
