"""From the manifests in the log to what checkpoints are made of."""

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain.sync.rows import CheckpointRow
from controlplane.kit.ids import ProjectId, RuntimeId
from runtime_agent.wire.content import Content

KEEP_CONTENT = text("""
    WITH told AS (
        INSERT INTO contents (tenant_id, checkpoint_id, runtime_id, project_id, session_id, policy, size, digest,
            suite, kid, sealed_key, created_at, received_at)
        SELECT CAST(:tenant_id AS uuid), r.id, CAST(:runtime_id AS uuid), CAST(:project_id AS uuid), r.session_id,
            r.policy, r.size, decode(r.digest, 'hex'), r.suite, r.kid, decode(r.sealed_key, 'hex'), r.created_at,
            CAST(:received_at AS timestamptz)
        FROM json_to_recordset(CAST(:contents AS json)) AS r(id uuid, session_id uuid, policy text, size bigint,
            digest text, suite integer, kid text, sealed_key text, created_at timestamptz)
        ON CONFLICT (tenant_id, checkpoint_id) DO NOTHING
        RETURNING checkpoint_id
    )
    INSERT INTO content_chunks (tenant_id, checkpoint_id, position, sha256, size)
    SELECT CAST(:tenant_id AS uuid), told.checkpoint_id, c.position, decode(c.sha256, 'hex'), c.size
    FROM json_to_recordset(CAST(:chunks AS json)) AS c(id uuid, position integer, sha256 text, size integer)
    JOIN told ON told.checkpoint_id = c.id
""")
"""Both or neither, and once: told again, also after it was pruned, it brings nothing."""


class Told(NamedTuple):
    checkpoint: CheckpointRow
    content: Content


async def write(
    tx: TenantTx, runtime_id: RuntimeId, project_id: ProjectId, received_at: datetime, told: Iterable[Told]
) -> None:
    """Keep what these checkpoints are made of."""
    contents, chunks = [], []
    for checkpoint, content in told:
        contents.append(
            {
                "id": checkpoint.id,
                "session_id": checkpoint.session_id,
                "policy": content.policy,
                "size": content.size,
                "digest": content.digest,
                "suite": content.suite,
                "kid": content.kid,
                "sealed_key": _hex(content.sealed_key),
                "created_at": checkpoint.created_at,
            }
        )
        for position, chunk in enumerate(content.chunks):
            chunks.append({"id": checkpoint.id, "position": position, "sha256": chunk.sha256, "size": chunk.size})
    await tx.load(
        KEEP_CONTENT,
        runtime_id=runtime_id,
        project_id=project_id,
        received_at=received_at,
        contents=msgspec.json.encode(contents).decode(),
        chunks=msgspec.json.encode(chunks).decode(),
    )


def _hex(text: str) -> str:
    """What is no base64url opens nothing: then nothing is kept."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
    except (binascii.Error, ValueError):
        return ""
