"""Join tokens: what lets a runtime in. Few uses, a short life, one project."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, projects
from controlplane.domain.audit import Actor
from controlplane.kit import tokens
from controlplane.kit.ids import JoinTokenId, ProjectId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

KIND: Final = "jt"
ROUTE: Final = "join-token"
"""Kind of the route from a token's hash to its tenant."""

LIFETIME: Final = timedelta(hours=1)
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=30)
MOST_USES: Final = 10_000


class JoinToken(Struct, frozen=True, kw_only=True):
    """What may be shown of a join token."""

    id: JoinTokenId
    project_id: ProjectId
    hint: str
    uses_allowed: int
    uses: int
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class JoinTokenUnknown(Refusal):
    code, status, title = "join-token-unknown", 401, "This is not a join token of ours"
    hint = "Check that the whole token was copied. Join tokens begin with ec_jt_."


class JoinTokenExpired(Refusal):
    code, status, title = "join-token-expired", 401, "This join token has expired"
    hint = "Make a new one: controlplane join-token create"


class JoinTokenUsedUp(Refusal):
    code, status, title = "join-token-used-up", 401, "This join token has been used as often as it may be"
    hint = "Make a new one, or one with more uses: controlplane join-token create --uses"


class JoinTokenRevoked(Refusal):
    code, status, title = "join-token-revoked", 401, "This join token has been revoked"
    hint = "Ask whoever gave it to you."


class JoinTokenUnfit(Refusal):
    code, status, title = "join-token-unfit", 400, "A join token cannot be made like that"
    hint = f"It lives between a second and 30 days and has 1 to {MOST_USES} uses."


async def create(
    tx: TenantTx, actor: Actor, pepper: bytes, project_id: ProjectId, *, lifetime: timedelta = LIFETIME, uses: int = 1
) -> tuple[JoinToken, str]:
    """Make a token and return it with its secret.

    Raises:
        JoinTokenUnfit: If it would live too long or too briefly, or have too many or no uses.
        ProjectArchived: If nothing new comes into the project.
    """
    await projects.check_open(tx, project_id)
    if not (SHORTEST <= lifetime <= LONGEST and 1 <= uses <= MOST_USES):
        raise JoinTokenUnfit
    secret = tokens.mint(KIND)
    token_hash = tokens.fingerprint(pepper, secret)
    [token] = await tx.take(
        JoinToken,
        tx.insert(t.join_tokens).values(
            id=new_id(tx.now),
            project_id=project_id,
            token_hash=token_hash,
            hint=tokens.hint(secret),
            uses_allowed=uses,
            uses=0,
            created_by=actor.id,
            created_at=tx.now,
            expires_at=tx.now + lifetime,
        ),
    )
    await tx.run(tx.insert(t.routes).values(kind=ROUTE, key=token_hash))
    audit.record(tx, actor, "join-token.created", _target(token.id), uses=uses)
    return token, secret


async def spend(tx: TenantTx, token_hash: bytes) -> JoinToken:
    """Use the token once. Whoever comes at the same time for the last use: one gets it.

    What the use was for is the caller's audit event, in the same transaction.

    Raises:
        JoinTokenUnknown, JoinTokenRevoked, JoinTokenExpired, JoinTokenUsedUp: If it opens nothing.
    """
    held = t.join_tokens.c
    usable = (held.token_hash == token_hash) & held.revoked_at.is_(None) & (held.expires_at > tx.now)
    spending = tx.update(t.join_tokens).where(usable, held.uses < held.uses_allowed).values(uses=held.uses + 1)
    spent = await tx.take(JoinToken, spending)
    if spent:
        return spent[0]
    await check(tx, token_hash)
    raise JoinTokenUsedUp


async def check(tx: TenantTx, token_hash: bytes) -> None:
    """Whether the token still counts; used up it does, for whoever has used it.

    Raises:
        JoinTokenUnknown, JoinTokenRevoked, JoinTokenExpired: If it does not.
    """
    token = await tx.first(JoinToken, tx.select(t.join_tokens).where(t.join_tokens.c.token_hash == token_hash))
    if token is None:
        raise JoinTokenUnknown
    if token.revoked_at is not None:
        raise JoinTokenRevoked
    if token.expires_at <= tx.now:
        raise JoinTokenExpired


async def listing(tx: TenantTx, *, after: UUID | None, limit: int) -> list[JoinToken]:
    """Newest first, from just before *after* on; those that open nothing any more included."""
    wanted = tx.select(t.join_tokens)
    if after is not None:
        wanted = wanted.where(t.join_tokens.c.id < after)
    return await tx.all(JoinToken, wanted.order_by(t.join_tokens.c.id.desc()).limit(limit))


async def get(tx: TenantTx, token_id: UUID) -> JoinToken:
    """
    Raises:
        NotFound: If this tenant has no such token.
    """
    token = await tx.first(JoinToken, tx.select(t.join_tokens).where(t.join_tokens.c.id == token_id))
    if token is None:
        raise NotFound
    return token


async def revoke(tx: TenantTx, actor: Actor, token_id: UUID) -> None:
    """Let nobody in with it any more; who is in stays. Doing it again changes nothing.

    Raises:
        NotFound: If this tenant has no such token.
    """
    token = await get(tx, token_id)
    if token.revoked_at is None:
        await tx.run(tx.update(t.join_tokens).where(t.join_tokens.c.id == token_id).values(revoked_at=tx.now))
        audit.record(tx, actor, "join-token.revoked", _target(token.id))


def _target(token_id: JoinTokenId) -> audit.Target:
    return "join-token", text_id("jt", token_id)
