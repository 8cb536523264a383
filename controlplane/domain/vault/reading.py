"""The statements that hand credentials out: each reads, notes the read and keeps the lease, or does nothing at all."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import ARRAY, TIMESTAMP, BigInteger, Boolean, Integer, LargeBinary, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB, asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

from controlplane.db.database import ENTERED

_STILL: Final = """
    , c AS (
        SELECT found.* FROM entered CROSS JOIN LATERAL (
            SELECT c.tenant_id, c.access_blob, p.prints
            FROM connections c
            JOIN credential_prints p ON p.tenant_id = c.tenant_id AND p.connection_id = c.id
                AND p.cred_version = c.cred_version
            JOIN runtimes r ON r.tenant_id = c.tenant_id AND r.id = :runtime_id
            JOIN tenants n ON n.tenant_id = c.tenant_id
            LEFT JOIN policy_heads h ON h.tenant_id = c.tenant_id
            WHERE c.tenant_id = entered.tenant_id AND c.id = :connection_id
              AND c.cred_version = :cred_version AND c.changed_at = :changed_at
              AND c.state IN ('active', 'refresh_failing') AND c.access_blob IS NOT NULL
              AND r.revoked_at IS NULL AND r.generation = :generation AND r.sealing_key = :sealing_key
              AND r.project_id = :project_id AND r.labels = :labels
              AND n.status = 'active' AND coalesce(h.version, 0) = :policies_version
            OFFSET 0
        ) found
    )
"""
"""The connection, if everything is still as it was when it was decided on."""

_NOTED: Final = """
    , noted AS (
        INSERT INTO vault_reads (tenant_id, occurred_us, act, outcome, runtime_id, agent, run, tool, purpose,
            connection_id, cred_version, scopes, rule, policies_version, lease_id, kid, nonce, address, prints,
            call)
        SELECT {source}.tenant_id, :occurred_us, :act, :outcome, :runtime_id, :agent, :run, :tool, :purpose,
            :connection_id, :cred_version, :scopes, :rule, :policies_version, :lease_id, :kid, :nonce, :address, {prints},
            :call
        FROM {source}
        ON CONFLICT (tenant_id, runtime_id, nonce) DO NOTHING
        RETURNING tenant_id, seq
    )
"""

_UNDER: Final = """
    , u AS (
        SELECT c.* FROM c
        WHERE CAST(:lease_id AS uuid) IS NULL OR EXISTS (
            SELECT FROM leases l
            WHERE l.tenant_id = c.tenant_id AND l.id = :lease_id AND l.runtime_id = :runtime_id
              AND l.connection_id = :connection_id AND l.revoked_at IS NULL AND l.expires_at > :now)
    )
"""
"""The connection, unless it is used under a lease that has ended."""

_LEASED: Final = """
    , leased AS (
        INSERT INTO leases (tenant_id, id, runtime_id, connection_id, agent, run, tool, purpose, cred_version,
            policy_id, issued_at, expires_at, revoked_by, unsealed)
        SELECT noted.tenant_id, :lease_id, :runtime_id, :connection_id, :agent, :run, :tool, :purpose, :cred_version,
            :policy_id, :now, :expires_at, '', :unsealed
        FROM noted RETURNING id
    )
"""

_RENEWED: Final = """
    , leased AS (
        UPDATE leases l SET cred_version = :cred_version, policy_id = :policy_id, renewed_at = :now,
            expires_at = :expires_at, dies_at = NULL
        FROM noted
        WHERE l.tenant_id = noted.tenant_id AND l.id = :lease_id AND l.runtime_id = :runtime_id
          AND l.revoked_at IS NULL AND l.expires_at > :now
        RETURNING l.id
    )
"""

_WHAT: Final = """
    SELECT c.tenant_id IS NOT NULL AS holds, noted.seq IS NOT NULL AS first,
        CASE WHEN leased.id IS NOT NULL THEN c.access_blob END AS access_blob
    FROM (VALUES (1)) one LEFT JOIN c ON true LEFT JOIN noted ON true LEFT JOIN leased ON true
"""

_USED: Final = """
    SELECT c.tenant_id IS NOT NULL AS holds, noted.seq IS NOT NULL OR u.tenant_id IS NULL AS first,
        CASE WHEN noted.seq IS NOT NULL THEN u.access_blob END AS access_blob
    FROM (VALUES (1)) one LEFT JOIN c ON true LEFT JOIN u ON true LEFT JOIN noted ON true
"""

_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys(("runtime_id", "connection_id", "lease_id", "policy_id", "project_id"), Uuid),
    **dict.fromkeys(("now", "changed_at", "expires_at"), TIMESTAMP(timezone=True)),
    **dict.fromkeys(("agent", "run", "tool", "purpose", "act", "outcome", "rule", "kid", "address", "call"), Text),
    **dict.fromkeys(("policies_version", "occurred_us"), BigInteger),
    **dict.fromkeys(("cred_version", "generation"), Integer),
    **dict.fromkeys(("nonce", "sealing_key"), LargeBinary),
    "unsealed": Boolean,
    "scopes": ARRAY(Text),
    "labels": JSONB,
}


class Statement(Struct, frozen=True):
    """As :meth:`controlplane.db.database.Database.at_once` takes it."""

    sql: str
    names: tuple[str, ...]
    """What ``$2``, ``$3``, … in it stand for."""

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """Of *given*, which may have more, in the order of the names."""
        return [_as_json(given[name]) if _TYPES[name] is JSONB else given[name] for name in self.names]


def _typed(statement: str) -> Statement:
    """With casts, because in a SELECT PostgreSQL does not know a parameter by the column it goes to."""
    made = text(statement)
    typed = made.bindparams(*(bindparam(name, type_=_TYPES[name]) for name in made._bindparams if name in _TYPES))
    compiled = typed.compile(dialect=asyncpg.PGDialect_asyncpg())  # type: ignore[no-untyped-call]
    assert isinstance(compiled, SQLCompiler)
    assert compiled.positiontup is not None
    assert compiled.positiontup[0] == "tenant_id", "what enters comes first"
    return Statement(str(compiled), tuple(compiled.positiontup[1:]))


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


_NOTE_OF = _NOTED.format(source="c", prints="c.prints")

LEASE: Final = _typed(ENTERED + _STILL + _NOTE_OF + _LEASED + _WHAT)
RENEW: Final = _typed(ENTERED + _STILL + _NOTE_OF + _RENEWED + _WHAT)
USE: Final = _typed(ENTERED + _STILL + _UNDER + _NOTED.format(source="u", prints="u.prints") + _USED)
"""For a call that is made for a runtime: nothing is kept but the read."""

_NOTHING: Final = "SELECT true AS holds, count(*) > 0 AS first, CAST(NULL AS bytea) AS access_blob FROM noted"

NOTE: Final = _typed(ENTERED + _NOTED.format(source="entered", prints="CAST(ARRAY[] AS bytea[])") + _NOTHING)
"""A request by which nothing was handed out."""


class Taken(Struct, frozen=True):
    holds: bool
    """Whether everything was still as it was decided on."""
    first: bool
    """Whether the nonce was new."""
    access_blob: bytes | None
    """None: the lease was revoked meanwhile."""


class Read(Struct, frozen=True, kw_only=True):
    """What is written down of a read; the fields are the columns."""

    occurred_us: int
    act: str
    outcome: str
    runtime_id: UUID
    agent: str
    run: str
    tool: str
    purpose: str
    connection_id: UUID | None
    cred_version: int | None
    scopes: list[str]
    rule: str
    policies_version: int
    lease_id: UUID | None
    kid: str
    nonce: bytes
    address: str
    call: str | None = None
    """What was called with it."""


class Still(Struct, frozen=True, kw_only=True):
    """What must hold still, and what is kept of the lease."""

    changed_at: datetime
    generation: int
    sealing_key: bytes
    project_id: UUID
    labels: dict[str, object]
    policy_id: UUID
    now: datetime
    expires_at: datetime
    unsealed: bool
