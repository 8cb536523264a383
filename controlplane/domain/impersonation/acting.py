"""Working as somebody: how it begins, who one is meanwhile, and that nothing of it outlasts its reason."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import Database, OperatorTx, TenantTx, inside
from controlplane.domain import audit, holdings, people, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.impersonation import notices, requests
from controlplane.domain.impersonation.notices import Notice
from controlplane.domain.impersonation.requests import How, Impersonation, ImpersonationNever, ImpersonationOfNobody
from controlplane.domain.masks import Acting, Mode, narrowed
from controlplane.domain.permission_names import OPERATOR_ROLES
from controlplane.domain.permissions import Person
from controlplane.domain.sign_ins import IDLE, Mask
from controlplane.domain.tenants import Tenant
from controlplane.kit import tokens
from controlplane.kit.ids import AccountId, ImpersonationId, TenantId, UserId, text_id
from controlplane.kit.problems import NotFound, Refusal

TAKES: Final = "operator:impersonate"


class ImpersonationOver(Refusal):
    """Whatever was asked for was not done: it was meant to be done as somebody else."""

    code, status, title = "impersonation-over", 401, "The impersonation is over"
    hint = "From the next request on you are yourself again. Ask anew if you are not done."

    def __init__(self, cookie: str = "") -> None:
        """
        Args:
            cookie: Sent back, so that the browser forgets its token.
        """
        super().__init__()
        self.cookie = cookie

    def headers(self) -> dict[str, str]:
        return {"Set-Cookie": self.cookie} if self.cookie else {}


class ImpersonationUnderWay(Refusal):
    code, status, title = "impersonation-under-way", 409, "In this session you work as somebody already"
    hint = "End that first: POST /v1/operator/impersonations/{impersonation}/end."


WORN: Final = inside(
    "tenant, user_id, account_id, name, email, mode, reason, ends_at, grants",
    holdings.with_grants("""
    SELECT CAST(to_json(t) AS text) AS tenant, h.user_id, h.account_id, h.name, h.email, i.mode, i.reason, i.ends_at,
        CAST(g.grants AS text) AS grants
    FROM impersonations i
    JOIN tenants t ON t.tenant_id = i.tenant_id AND t.status = 'active' AND t.impersonation_policy <> 'never'
    JOIN (
        SELECT u.tenant_id, u.id AS user_id, CAST(NULL AS uuid) AS service_account_id, u.account_id, u.name,
            u.email_norm AS email
        FROM users u JOIN accounts a ON a.id = u.account_id AND a.status = 'active'
        WHERE u.tenant_id = entered.tenant_id AND u.status = 'active'
    ) h ON h.tenant_id = i.tenant_id AND h.user_id = i.user_id
    CROSS JOIN LATERAL ({grants}) g
    WHERE i.tenant_id = entered.tenant_id AND i.id = $2 AND i.operator_id = $3
        AND i.ended_at IS NULL AND i.ends_at > $4
    """),
)

OPEN: Final = text("SELECT DISTINCT tenant_id FROM impersonations WHERE ended_at IS NULL")

OVER: Final = text("""
    SELECT i.id,
        CASE WHEN i.ends_at <= :now THEN 'time'
            WHEN i.started_at IS NULL AND i.expires_at <= :now THEN 'expired'
            WHEN t.status <> 'active' THEN 'tenant'
            WHEN u.status IS DISTINCT FROM 'active' OR a.status IS DISTINCT FROM 'active' THEN 'person'
            ELSE 'signed-out' END AS how
    FROM impersonations i
    JOIN tenants t ON t.tenant_id = i.tenant_id
    LEFT JOIN users u ON u.tenant_id = i.tenant_id AND u.id = i.user_id
    LEFT JOIN accounts a ON a.id = u.account_id
    LEFT JOIN operators o ON o.account_id = i.operator_id AND o.role = ANY (:roles)
    LEFT JOIN browser_sessions s ON s.id = (
        SELECT x.session_id FROM impersonation_sessions x WHERE x.impersonation_id = i.id)
        AND s.expires_at > :now AND s.seen_at > :idle_since
    WHERE i.tenant_id = :tenant_id AND i.ended_at IS NULL AND (
        i.ends_at <= :now OR (i.started_at IS NULL AND i.expires_at <= :now) OR t.status <> 'active'
        OR u.status IS DISTINCT FROM 'active' OR a.status IS DISTINCT FROM 'active'
        OR o.account_id IS NULL OR (i.started_at IS NOT NULL AND s.id IS NULL))
    ORDER BY i.id
""")
"""What is open only because nobody has looked: nobody can work in any of these."""


async def start(
    tx: TenantTx, actor: Actor, pepper: bytes, public_url: str, operator: Person, impersonation_id: UUID
) -> tuple[Impersonation, str]:
    """Begin what was agreed to, in the session of *operator*. Returns the token of what that wears from now on.

    Raises:
        NotFound: If there is no such impersonation, or another operator asked for it.
        ImpersonationElsewhere: If it is not agreed to, or was begun.
        ImpersonationNever, ImpersonationOfNobody: If that has changed since.
        ImpersonationUnderWay: If the session works as somebody already.
    """
    found = await requests.locked(tx, impersonation_id, "consented")
    if found.operator_id != operator.account_id:
        raise NotFound
    tenant, user = await tenants.get(tx), await people.user(tx, found.user_id)
    if tenant.impersonation_policy == "never":
        raise ImpersonationNever
    if user.status != "active" or tenant.status != "active":
        raise ImpersonationOfNobody
    ends_at = tx.now + timedelta(minutes=found.minutes)
    token = await _worn(tx, pepper, operator.session_id, found.id, ends_at)
    own_id = text_id("usr", user.id)
    audit.record(
        tx,
        actor,
        "impersonation.started",
        requests.target(found.id),
        user=own_id,
        mode=found.mode,
        minutes=found.minutes,
    )
    began = Notice(
        what=notices.BEGAN,
        operator_id=operator.account_id,
        user=user,
        reason=found.reason,
        more=f"It is over in {found.minutes} minutes at the latest, and before if you end it.",
    )
    await notices.write(tx, public_url, began, also=(user.email_norm,))
    return await requests.changed(tx, found.id, started_at=tx.now, ends_at=ends_at), token


async def put_on(db: Database, person: Person, mask: Mask | None) -> Person:
    """*person* as whom they work: bound to one tenant, with what that somebody holds and *mode* allows.

    Args:
        mask: What their session wears; None: it claims to wear something, and does not.

    Raises:
        ImpersonationOver: If time, operator, owner, policy, or the end of whom it is about have ended it.
    """
    role = person.operator_role
    if mask is None or role is None or TAKES not in OPERATOR_ROLES.get(role, ()):
        raise ImpersonationOver
    found = await db.glance(mask.tenant_id, _Worn, WORN, mask.impersonation_id, person.account_id, db.clock())
    if not found:
        raise ImpersonationOver
    [worn] = found
    return replace(
        person,
        tenant=msgspec.json.decode(worn.tenant, type=Tenant),
        user_id=worn.user_id,
        grants=narrowed(holdings.grants_from(holdings.decoded(worn.grants)), worn.mode),
        operator_role=None,
        acting=Acting(
            id=mask.impersonation_id,
            account_id=worn.account_id,
            name=worn.name,
            email=worn.email,
            operator_role=role,
            mode=worn.mode,
            reason=worn.reason,
            ends_at=worn.ends_at,
        ),
    )


def taken_off(person: Person) -> Person:
    """Whoever works as somebody else, as themselves."""
    if person.acting is None:
        return person
    return replace(person, acting=None, tenant=None, user_id=None, grants=(), operator_role=person.acting.operator_role)


async def tenants_with_open(tx: OperatorTx) -> list[TenantId]:
    """The tenants in which something may have come to its end."""
    return [row.tenant_id for row in await tx.query(_Tenant, OPEN)]


async def settle(tx: TenantTx, actor: Actor) -> int:
    """Note the end of what has come to it without anybody saying so. Returns how many there were."""
    roles = [role for role, held in OPERATOR_ROLES.items() if TAKES in held]
    named = {"now": tx.now, "idle_since": tx.now - IDLE, "roles": roles}
    over = await tx.query(_Over, OVER, tenant_id=tx.tenant_id, **named)
    for each in over:
        its = tx.select(t.impersonations).where(t.impersonations.c.id == each.id)
        found = await tx.first(Impersonation, its.where(t.impersonations.c.ended_at.is_(None)).with_for_update())
        if found is not None:
            await requests.close(tx, actor, found, each.how)
    return len(over)


async def _worn(
    tx: TenantTx, pepper: bytes, session_id: UUID, impersonation_id: ImpersonationId, ends_at: datetime
) -> str:
    token, platform, its = tokens.link_secret(), tx.on_platform(), t.impersonation_sessions.c
    past = platform.delete(t.impersonation_sessions).where(its.session_id == session_id, its.ends_at <= tx.now)
    await platform.run(past)
    row = platform.insert(t.impersonation_sessions).values(
        session_id=session_id,
        token_hash=tokens.fingerprint(pepper, token),
        tenant=tx.tenant_id,
        impersonation_id=impersonation_id,
        ends_at=ends_at,
    )
    if not await platform.run(row.on_conflict_do_nothing(index_elements=["session_id"])):
        raise ImpersonationUnderWay
    return token


class _Tenant(Struct, frozen=True):
    tenant_id: TenantId


class _Over(Struct, frozen=True):
    id: ImpersonationId
    how: How


class _Worn(Struct, frozen=True):
    tenant: str
    user_id: UserId
    account_id: AccountId
    name: str
    email: str
    mode: Mode
    reason: str
    ends_at: datetime
    grants: str
