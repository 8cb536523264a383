"""The one document that all documents come to for a runtime, made when it is asked for and was not since the last change."""

import hashlib
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain.configs import checking, merging
from controlplane.domain.configs.checking import ConfigInvalid
from controlplane.kit.ids import ConfigId, RuntimeId
from runtime_agent.wire.config import News

NOTHING: Final = "{}"

STANDING: Final = text("""
    SELECT coalesce(h.revision, 0) AS head, coalesce(c.revision, -1) AS made, coalesce(c.generation, 0) AS generation,
        coalesce(c.hash, '') AS hash
    FROM tenants n
    LEFT JOIN config_heads h ON h.tenant_id = n.tenant_id
    LEFT JOIN runtime_configs c ON c.tenant_id = n.tenant_id AND c.runtime_id = :runtime_id
    WHERE n.tenant_id = :tenant_id
""")

APPLYING: Final = text("""
    WITH turns AS (
        SELECT g.config_id, g.version, g.outcome, row_number() OVER (
            PARTITION BY g.outcome = 'applied' ORDER BY g.generation NULLS LAST, o.created_at, o.config_id) AS turn
        FROM rollout_targets g
        JOIN rollouts o ON o.tenant_id = g.tenant_id AND o.config_id = g.config_id AND o.version = g.version
        WHERE g.tenant_id = :tenant_id AND g.runtime_id = :runtime_id AND g.outcome <> 'planned'
            AND o.state IN ('running', 'paused')
    )
    SELECT d.id, d.level, v.version, v.document
    FROM runtimes r
    JOIN configs d ON d.tenant_id = r.tenant_id AND (d.level = 'tenant' OR d.project_id = r.project_id
        OR d.runtime_id = r.id OR d.level = 'label' AND r.labels ->> d.label = d.value)
    LEFT JOIN turns g ON g.config_id = d.id AND (g.outcome = 'applied' OR g.turn = 1)
    JOIN config_versions v ON v.tenant_id = d.tenant_id AND v.config_id = d.id
        AND v.version = CASE WHEN g.config_id IS NULL THEN d.stable ELSE g.version END
    WHERE r.tenant_id = :tenant_id AND r.id = :runtime_id
    ORDER BY array_position(ARRAY['tenant', 'project', 'label', 'runtime'], d.level), d.rank, d.label, d.value
""")
"""The widest first. Of a document that is being rolled out its new version for those whose turn it was: what they have
taken, and one more at a time, so that it is known which one they could not take."""

KEEP: Final = text("""
    INSERT INTO runtime_configs AS c (tenant_id, runtime_id, revision, generation, hash, document, parts, problem,
        made_at, status, said_generation, applied, applied_hash, error, drift)
    VALUES (:tenant_id, :runtime_id, :revision, CASE WHEN :document = '{}' THEN 0 ELSE 1 END, :hash, :document,
        CAST(:parts AS jsonb), :problem, :now, 'none', 0, 0, '', '', '{}')
    ON CONFLICT (tenant_id, runtime_id) DO UPDATE SET revision = excluded.revision, problem = excluded.problem,
        generation = CASE WHEN excluded.problem <> '' OR excluded.hash = c.hash THEN c.generation
            ELSE c.generation + 1 END,
        hash = CASE WHEN excluded.problem <> '' THEN c.hash ELSE excluded.hash END,
        document = CASE WHEN excluded.problem <> '' THEN c.document ELSE excluded.document END,
        parts = CASE WHEN excluded.problem <> '' THEN c.parts ELSE excluded.parts END,
        made_at = CASE WHEN excluded.problem <> '' OR excluded.hash = c.hash THEN c.made_at ELSE excluded.made_at END
    WHERE c.revision < excluded.revision
    RETURNING c.generation, c.hash
""")
"""Another document is another generation; one that does not come to a whole leaves the last that was."""

PLACED: Final = text("""
    UPDATE rollout_targets g SET at = :now, generation = c.generation,
        outcome = CASE WHEN :problem <> '' THEN 'failed' WHEN c.applied >= c.generation THEN 'applied'
            ELSE g.outcome END,
        error = :problem
    FROM runtime_configs c, json_to_recordset(CAST(:parts AS json)) AS p(config uuid, version int)
    WHERE g.tenant_id = :tenant_id AND g.runtime_id = :runtime_id AND g.outcome IN ('released', 'missed')
        AND g.generation IS NULL
        AND g.config_id = p.config AND g.version = p.version
        AND c.tenant_id = g.tenant_id AND c.runtime_id = g.runtime_id
""")
"""The first generation with the version in it. Where that changes nothing for the runtime, it has it already."""


WAITING: Final = text("""
    UPDATE runtime_configs c SET revision = c.revision - 1
    WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id AND EXISTS (
        SELECT 1 FROM rollout_targets g
        JOIN rollouts o ON o.tenant_id = g.tenant_id AND o.config_id = g.config_id AND o.version = g.version
        WHERE g.tenant_id = c.tenant_id AND g.runtime_id = c.runtime_id AND g.generation IS NULL
            AND g.outcome IN ('released', 'missed') AND o.state IN ('running', 'paused'))
""")


class Part(Struct, frozen=True):
    """A document, in the version that counts for a runtime."""

    config: ConfigId
    version: int


class _Standing(Struct, frozen=True):
    head: int
    made: int
    generation: int
    hash: str


class _Applying(Struct, frozen=True):
    id: ConfigId
    level: str
    version: int
    document: str


async def news(tx: TenantTx, runtime_id: RuntimeId) -> News:
    """Which document there is for the runtime now. Costs one statement where nothing has changed."""
    [standing] = await tx.query(_Standing, STANDING, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    if standing.head > standing.made and standing.head:
        return await _made(tx, runtime_id, standing.head)
    return News(generation=standing.generation, hash=standing.hash)


async def go_on(tx: TenantTx, runtime_id: RuntimeId) -> News:
    """As :func:`news`, of a runtime that has just taken a version, or failed at it: another may be waiting for that."""
    await tx.load(WAITING, runtime_id=runtime_id)
    return await news(tx, runtime_id)


async def _made(tx: TenantTx, runtime_id: RuntimeId, revision: int) -> News:
    found = await tx.query(_Applying, APPLYING, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    document, problem = NOTHING, ""
    try:
        document = checking.whole(merging.merged(msgspec.json.decode(each.document) for each in found)).decode()
    except ConfigInvalid as invalid:
        problem = str(invalid)[:500]
    parts = msgspec.json.encode([Part(each.id, each.version) for each in found]).decode()
    its = {"runtime_id": runtime_id, "now": tx.now, "parts": parts, "problem": problem}
    hashed = hashlib.sha256(document.encode()).hexdigest()
    row = {**its, "revision": revision, "hash": hashed, "document": document}
    kept = await tx.query(News, KEEP, tenant_id=tx.tenant_id, **row)
    await tx.load(PLACED, **its)
    return kept[0] if kept else await news(tx, runtime_id)
