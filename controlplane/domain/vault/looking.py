"""What a lease is decided by: the runtime, the connection and the policies, as they were seen last.

Seen once, they are remembered: the statement that hands a credential out asks anew whether all of it still holds, and
does nothing where it does not.
"""

from collections import OrderedDict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from controlplane.db.database import Database, inside
from controlplane.domain import runtimes
from controlplane.domain.permissions import Runtime
from controlplane.domain.runtime_locks import RuntimeLocked
from controlplane.domain.runtime_tokens import TokenInvalid
from controlplane.domain.vault import policies
from controlplane.domain.vault.connections import State
from controlplane.domain.vault.deciding import Asking, Rule, Wanted
from controlplane.kit.hpke import Lock
from controlplane.kit.ids import ConnectionId, ProjectId, RuntimeId, TenantId, text_id
from controlplane.kit.problems import NotFound, Refusal
from runtime_agent.wire.leases import LeaseRequest, Selector, kid_of

REMEMBERED: Final = 20_000
"""Of each kind, in one process."""

MOST_LISTED: Final = 500

_CONNECTION: Final = (
    "id, provider, name, project_id, owner_ref, labels, granted_scopes, account_key, account_name, account_email, facts, state,"
    " state_reason, cred_version, access_exp, since, changed_at, readable, printed"
)

_FOUND: Final = """
    SELECT c.id, c.provider, c.name, c.project_id, c.owner_ref, c.labels, c.granted_scopes, c.account_key,
        c.account_name, c.account_email, c.facts, c.state, c.state_reason, c.cred_version, c.access_exp,
        coalesce(c.refreshed_at, c.created_at) AS since, c.changed_at,
        c.access_blob IS NOT NULL OR c.minting IS NOT NULL AS readable,
        EXISTS (
            SELECT FROM credential_prints p
            WHERE p.tenant_id = c.tenant_id AND p.connection_id = c.id AND p.cred_version = c.cred_version
        ) AS printed
    FROM connections c
    WHERE c.tenant_id = entered.tenant_id AND c.state NOT IN ('pending_confirm', 'revoking', 'deleted')
"""

BY_ID: Final = inside(_CONNECTION, f"{_FOUND} AND c.id = $2")

_NARROWED: Final = """
    AND (CAST($3 AS text) IS NULL OR c.name = $3)
    AND (CAST($4 AS text) IS NULL OR c.provider = $4)
    AND (CAST($5 AS text) IS NULL OR c.owner_ref = $5)
    AND c.labels @> $6
"""

MATCHING: Final = inside(
    _CONNECTION,
    f"{_FOUND} {_NARROWED} AND (c.project_id IS NULL OR c.project_id = $2) ORDER BY c.id LIMIT $7",
)

CALLER: Final = inside(
    "id, name, public_key, previous_key, previous_key_until, sealing_key, sealing_suite, generation, project_id, labels,"
    " locked_at, revoked_at, status, slug, policies",
    """
    SELECT r.id, r.name, r.public_key, r.previous_key, r.previous_key_until, r.sealing_key, r.sealing_suite,
        r.generation, r.project_id, r.labels, r.locked_at, r.revoked_at, n.status, n.slug, coalesce(h.version, 0) AS policies
    FROM runtimes r
    JOIN tenants n ON n.tenant_id = r.tenant_id
    LEFT JOIN policy_heads h ON h.tenant_id = r.tenant_id
    WHERE r.tenant_id = entered.tenant_id AND r.id = $2
    """,
)


class ConnectionAmbiguous(Refusal):
    code, status, title = "connection-ambiguous", 409, "More than one connection fits"
    hint = "Name it by its id, or say more of it."


class _Caller(Struct, frozen=True):
    id: RuntimeId
    name: str
    public_key: bytes
    previous_key: bytes | None
    previous_key_until: datetime | None
    sealing_key: bytes
    sealing_suite: int
    generation: int
    project_id: ProjectId
    labels: dict[str, Any]
    locked_at: datetime | None
    revoked_at: datetime | None
    status: str
    slug: str
    policies: int


class Caller(Struct, frozen=True, kw_only=True):
    """A runtime that may call."""

    row: _Caller
    key: Ed25519PublicKey
    """What its requests are signed with."""
    lock: Lock
    """What is sealed to it."""
    kid: str
    rules: policies.Rules

    @property
    def shown(self) -> str:
        return text_id("rt", self.row.id)

    def keys(self, now: datetime) -> list[Ed25519PublicKey]:
        """What its requests may be signed with at *now*: its key, and the one before while that counts."""
        before = runtimes.overlapping(self.row.previous_key, self.row.previous_key_until, now)
        return [self.key, *map(Ed25519PublicKey.from_public_bytes, before)]

    def asking(self, agent: str = "", purpose: str | None = "") -> Asking:
        row = self.row
        project = text_id("prj", row.project_id)
        return Asking(runtime=self.shown, project=project, labels=row.labels, agent=agent, purpose=purpose)


class Seen(Struct, frozen=True, kw_only=True):
    """A connection, without anything secret."""

    id: ConnectionId
    provider: str
    name: str
    project_id: ProjectId | None
    owner_ref: str
    labels: dict[str, Any]
    granted_scopes: list[str]
    account_key: str | None
    account_name: str
    account_email: str
    facts: dict[str, Any]
    state: State
    state_reason: str
    cred_version: int
    access_exp: datetime | None
    since: datetime
    """Since when it has this version."""
    changed_at: datetime
    readable: bool
    """Whether it has a credential at all, or one is minted for whoever asks."""
    printed: bool
    """Whether it is known what its secrets are recognized by."""

    @property
    def shown(self) -> str:
        return text_id("con", self.id)

    def wanted(self) -> Wanted:
        return Wanted(
            connection=self.shown,
            provider=self.provider,
            project=text_id("prj", self.project_id) if self.project_id else None,
            owner=self.owner_ref,
            labels=self.labels,
            scopes=self.granted_scopes,
        )


class Sights:
    """Remembers what was looked at."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._callers: OrderedDict[UUID, Caller] = OrderedDict()
        self._connections: OrderedDict[tuple[UUID, UUID], Seen] = OrderedDict()
        self._rules: OrderedDict[UUID, policies.Rules] = OrderedDict()

    def known(self, runtime: Runtime, connection_id: UUID | None) -> tuple[Caller, Seen] | None:
        """Both as they were seen last; None: one of them was not, or not whole."""
        caller = self._callers.get(runtime.id)
        seen = self._connections.get((runtime.tenant_id, connection_id)) if connection_id else None
        if caller is None or seen is None or not seen.printed or caller.row.generation != runtime.generation:
            return None
        return caller, seen

    async def caller(self, runtime: Runtime, *, anew: bool = True) -> Caller:
        """
        Args:
            anew: False: as it was seen last will do, because everything is asked again later.

        Raises:
            TokenInvalid: If its token was made before the last revocation, lock or replacement of its key.
            Revoked, RuntimeLocked, TenantSuspended, TenantPendingDeletion: If it may not call any more, or not now.
        """
        known = None if anew else self._callers.get(runtime.id)
        if known is not None and known.row.generation == runtime.generation:
            return known
        rows = await self._db.glance(runtime.tenant_id, _Caller, CALLER, runtime.id)
        if not rows:
            raise TokenInvalid
        row = rows[0]
        if row.revoked_at is not None:
            raise runtimes.Revoked
        if row.locked_at is not None:
            raise RuntimeLocked
        if row.status != "active":
            raise runtimes.not_served(row.status)
        if row.generation != runtime.generation:
            raise TokenInvalid
        found = Caller(
            row=row,
            key=Ed25519PublicKey.from_public_bytes(row.public_key),
            lock=Lock(row.sealing_suite, row.sealing_key),
            kid=kid_of(row.sealing_suite, row.sealing_key),
            rules=await self._rules_of(runtime.tenant_id, row.policies),
        )
        _keep(self._callers, runtime.id, found)
        return found

    async def connection(self, tenant_id: TenantId, caller: Caller, asked: LeaseRequest, id_: UUID | None) -> Seen:
        """
        Args:
            id_: What ``asked.connection`` names; None: it is looked for.

        Raises:
            NotFound: If there is none that fits.
            ConnectionAmbiguous: If there are several.
        """
        if id_ is None:
            found = await self.matching(tenant_id, caller, asked.select or Selector(), most=2)
            if len(found) > 1:
                raise ConnectionAmbiguous
            if not found:
                raise NotFound
            _keep(self._connections, (tenant_id, found[0].id), found[0])
            return found[0]
        rows = await self._db.glance(tenant_id, Seen, BY_ID, id_)
        if not rows:
            raise NotFound
        _keep(self._connections, (tenant_id, id_), rows[0])
        return rows[0]

    async def matching(
        self, tenant_id: TenantId, caller: Caller, by: Selector, *, most: int = MOST_LISTED
    ) -> list[Seen]:
        """Connections of the runtime's project, and of all projects. Whether it may know of them is not asked here."""
        labels = msgspec.json.encode(by.labels).decode()
        given = (caller.row.project_id, by.name, by.provider, by.owner_ref, labels, most)
        return await self._db.glance(tenant_id, Seen, MATCHING, *given)

    def forget(self, runtime: Runtime, connection_id: UUID) -> None:
        """What was seen does not hold any more."""
        self._callers.pop(runtime.id, None)
        self._connections.pop((runtime.tenant_id, connection_id), None)

    async def _rules_of(self, tenant_id: TenantId, version: int) -> policies.Rules:
        known = self._rules.get(tenant_id)
        if known is not None and known.version == version:
            return known
        async with self._db.tenant(tenant_id) as tx:
            found = await policies.rules(tx)
        _keep(self._rules, tenant_id, found)
        return found


def rule_of(rule: Rule | None, otherwise: str) -> str:
    """What is written down of who decided."""
    return text_id("pol", rule.id) if rule else otherwise


def _keep(known: OrderedDict[Any, Any], name: object, value: object) -> None:
    known[name] = value
    while len(known) > REMEMBERED:
        known.popitem(last=False)
