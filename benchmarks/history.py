"""Months of sessions and runs, written straight into the tables: what lists and charts are measured on."""

from datetime import timedelta

from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import projects, runtimes, tenants
from controlplane.domain.audit import Actor
from controlplane.kit.ids import TenantId, new_id
from runtime_agent.wire.join import Enroll

SHELL = Actor(kind="shell", id="benchmarks")

AGENTS = 12

SESSIONS = text(
    """
    INSERT INTO sessions (tenant_id, id, runtime_id, project_id, agent, epoch, seq, received_at, changed_at,
        status, waiting_for, started_at, input_tokens, output_tokens, told, source_id, detail)
    SELECT CAST(:tenant_id AS uuid), id, CAST(:runtime_id AS uuid), CAST(:project_id AS uuid), 'agent_' || n % CAST(:agents AS int),
        1, n, born, born, status, NULL, born, 12762, 629, json_build_object('source_status', status,
            'quality', 'clean', 'ended_at', born + interval '12 seconds', 'duration_ms', 12718,
            'path', json_build_array('intake', 'extract_clauses', 'risk_review', 'report'), 'steps', 4, 'error',
            CASE status WHEN 'failed' THEN json_build_object('name', 'ToolError', 'line', 'the tool said no') END,
            'updated_at', born, 'current_node', 'report'),
        'session_' || to_char(born AT TIME ZONE 'UTC', 'YYYYMMDD_HH24MISS') || '_' || noise, '{}'
    FROM (
        SELECT n, born, substr(noise, 1, 8) AS noise,
            (ARRAY['succeeded', 'succeeded', 'succeeded', 'succeeded', 'succeeded', 'succeeded', 'succeeded', 'failed',
                'waiting', 'lost'])[1 + (n * 7919) % 10] AS status,
            CAST(lpad(to_hex(CAST(extract(epoch FROM born) * 1000 AS bigint)), 12, '0') || '7' || substr(noise, 1, 3)
                || '8' || substr(noise, 4, 15) AS uuid) AS id
        FROM generate_series(1, CAST(:rows AS int)) AS n,
            LATERAL (SELECT CAST(:since AS timestamptz) + n * CAST(:apart AS interval) AS born) AS b,
            LATERAL (SELECT md5(n::text || CAST(CAST(:tenant_id AS uuid) AS text)) AS noise) AS x
    ) AS made
    """
)

RUNS = text(
    """
    INSERT INTO runs (tenant_id, id, runtime_id, project_id, agent, epoch, seq, received_at, changed_at, status,
        waiting_for, started_at, input_tokens, output_tokens, told, session_id, source_id)
    SELECT tenant_id, id, runtime_id, project_id, agent, epoch, seq, received_at, changed_at, status,
        waiting_for, started_at, input_tokens, output_tokens, told, id, started_at::text
    FROM sessions WHERE tenant_id = CAST(:tenant_id AS uuid)
    """
)

CHECKPOINTS = text(
    """
    INSERT INTO checkpoints (tenant_id, id, runtime_id, project_id, agent, system, epoch, seq, received_at, session_id,
        source_id, type, node, next_node, clean, created_at)
    SELECT tenant_id, CAST(substr(id::text, 1, 24) || substr(md5(id::text || nr), 1, 12) AS uuid), runtime_id,
        project_id, agent, 'engine', epoch, seq, received_at, id, 'cp_node_start_report_' || nr, 'node_start', 'report',
        NULL, true, started_at + nr * interval '2 seconds'
    FROM sessions, generate_series(1, 3) AS nr WHERE tenant_id = CAST(:tenant_id AS uuid)
    """
)


async def write(db: Database, *, rows: int, months: int, tenant: str = "acme") -> TenantId:
    """A tenant with *rows* sessions, as many runs and three times as many checkpoints, even over *months*; one in ten
    has failed."""
    until = db.clock().replace(microsecond=0)
    since = until - months * timedelta(days=30)
    days = (since + timedelta(days=day) for day in range(months * 30 + 1))
    tables = ("sessions", "runs", "checkpoints")
    await Partitions(db).see_to((table, day) for day in days for table in tables)
    async with db.new_tenant() as tx:
        await tenants.create(tx, SHELL, tenant, tenant)
        project = await projects.named(tx, projects.DEFAULT)
        asked = Enroll(join_token="", public_key="A" * 43, sealing_key="A" * 43, proof="", name=tenant)
        runtime = await runtimes.enroll(tx, SHELL, project.id, asked, bytes(32), bytes(32))
        of = {"runtime_id": runtime.id, "project_id": project.id}
        agents = [{"id": new_id(tx.now), "name": f"agent_{n}"} for n in range(AGENTS)]
        await tx.run(tx.insert(t.agents).values(first_seen_at=tx.now, **of), agents)
        apart = (until - since) / (rows + 1)
        await tx.load(SESSIONS, rows=rows, since=since, apart=apart, agents=AGENTS, **of)
        await tx.load(RUNS)
        await tx.load(CHECKPOINTS)
        return tx.tenant_id
