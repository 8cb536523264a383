"""Ingest end to end, and COPY of the same rows beside it: one PostgreSQL, one server process, four agents.

The server is the real program on a durable database; the agents compress, hash and post as ours does. The limit is one
COPY after the other on one connection, into every table that a batch writes, with the same columns and indexes but
without row-level security, in transactions of the same size. Of several rounds the quickest counts, on both sides: the
others were disturbed by whatever else the machine had to do.
"""

import asyncio
import base64
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import zstandard
from msgspec import Struct

from benchmarks.processes import family_cpu_s, free_port, postmaster_of
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import keys, projects, runtimes, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.runtime_tokens import AccessTokens, Claims
from controlplane.domain.sync import cursors
from controlplane.embedded import Services
from controlplane.kit.ids import RuntimeId, new_id
from runtime_agent.wire import PROTOCOL, chain
from runtime_agent.wire.join import Enroll
from runtime_agent.wire.records import Record, RunState, SessionState
from runtime_agent.wire.sync import Ack, Hello, Welcome

AGENTS = 4
ROUNDS = 3
BATCHES = 24
"""Of each agent in a round."""
WARM_UP = 4
"""Batches of each agent before the clock starts."""
FIRST_OF_ROUND = range(WARM_UP, WARM_UP + ROUNDS * BATCHES, BATCHES)
HALF = 250
"""Sessions in a batch, and runs: 500 records."""
TABLES = ("sessions", "runs", "sync_batches")
KEY = "A" * 43


class Measured(Struct, frozen=True, kw_only=True):
    rows: int
    """Sessions and runs."""
    ingest_s: float
    copy_s: float
    resend_s: float
    cpu_s: float
    """Server, PostgreSQL and agents together, for the ingest."""
    cpu_by_part: dict[str, float]


class _Agent:
    """One runtime that sends its log batch by batch, one in flight."""

    def __init__(self, runtime_id: RuntimeId, token: str, lines: Sequence[Sequence[bytes]]) -> None:
        self.runtime_id, self.lines = runtime_id, lines
        self.headers = {"Authorization": f"Bearer {token}", "Sync-Protocol": str(PROTOCOL)}
        self.welcome: Welcome
        self._heads: list[bytes] = []

    async def hello(self, http: httpx.AsyncClient) -> None:
        said = Hello(
            epoch=0,
            first_retained=1,
            last_seq=0,
            acked=0,
            head=chain.origin(self.runtime_id, 0).hex(),
            boot_id=UUID(int=1),
        )
        answer = await http.post(
            "/v1/runtime/sync/hello",
            content=msgspec.json.encode(said),
            headers={**self.headers, "Content-Type": "application/json"},
        )
        answer.raise_for_status()
        self.welcome = msgspec.json.decode(answer.content, type=Welcome)
        self._heads = [chain.origin(self.runtime_id, self.welcome.epoch)]
        for lines in self.lines:
            self._heads.append(chain.extend(self._heads[-1], lines))

    async def send(self, http: httpx.AsyncClient, first: int, last: int) -> None:
        """Batches *first* up to before *last*, from wherever the log stands: sent again they are the same."""
        head, seq = self._heads[first], 1 + sum(map(len, self.lines[:first]))
        for lines in self.lines[first:last]:
            body = zstandard.compress(b"".join(line + b"\n" for line in lines), 1)
            headers = {
                **self.headers,
                "Content-Encoding": "zstd",
                "Content-Digest": _digest(body),
                "Sync-Store": str(self.welcome.store_id),
                "Sync-Epoch": str(self.welcome.epoch),
                "Sync-First": str(seq),
                "Sync-Prev": head.hex(),
                "Sync-Count": str(len(lines)),
            }
            answer = await http.post("/v1/runtime/sync/log", content=body, headers=headers)
            answer.raise_for_status()
            seq, head = seq + len(lines), chain.extend(head, lines)
            assert msgspec.json.decode(answer.content, type=Ack).acked >= seq - 1


def measure() -> Measured:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o711)
        with Services(Path(folder) / "home") as services:
            return asyncio.run(_measure(services.postgres(), Path(folder)))


async def _measure(admin_url: str, folder: Path) -> Measured:
    urls = await roles.prepare(admin_url, "bench")
    await upgrade.upgrade(urls.owner)
    keyring = keys.new()
    keys.write(folder / "server" / "secrets" / "keyring.json", keyring)
    db = Database(urls.app)
    agents = await _agents(db, AccessTokens.under(keyring))
    await db.close()
    port = free_port()
    environment = {**os.environ, "CONTROLPLANE_DATABASE_URL": urls.app}
    words = ["serve", "--home", str(folder / "server"), "--port", str(port)]
    server = await asyncio.to_thread(started, [sys.executable, "-m", "controlplane", *words], environment, port)
    try:
        base_url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base_url, timeout=60) as http:
            return await _timed(http, agents, server.pid, admin_url)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


async def _timed(http: httpx.AsyncClient, agents: Sequence[_Agent], server: int, admin_url: str) -> Measured:
    postmaster = postmaster_of(int(admin_url.rpartition(":")[2].partition("/")[0]))

    def used() -> dict[str, float]:
        return {"server": family_cpu_s(server), "postgres": family_cpu_s(postmaster), "agents": time.process_time()}

    async def sending(first: int, last: int) -> float:
        began = time.monotonic()
        await asyncio.gather(*(agent.send(http, first, last) for agent in agents))
        return time.monotonic() - began

    for agent in agents:
        await agent.hello(http)
    await sending(0, WARM_UP)
    ingest_s, resend_s, cpu = [], [], []
    for first in FIRST_OF_ROUND:
        before = used()
        ingest_s.append(await sending(first, first + BATCHES))
        cpu.append({part: seconds - before[part] for part, seconds in used().items()})
        resend_s.append(await sending(first, first + BATCHES))
    least = min(cpu, key=lambda parts: sum(parts.values()))
    return Measured(
        rows=AGENTS * BATCHES * 2 * HALF,
        ingest_s=min(ingest_s),
        copy_s=await _copied(admin_url.removesuffix("/postgres") + "/bench"),
        resend_s=min(resend_s),
        cpu_s=sum(least.values()),
        cpu_by_part=least,
    )


async def _copied(url: str) -> float:
    """Seconds to COPY a round of what was ingested into tables of the same columns and indexes, on one connection."""
    owner = await asyncpg.connect(url)
    for table in TABLES:
        await owner.execute(f"CREATE TABLE copied_{table} (LIKE {table} INCLUDING ALL)")
    rows = {table: await owner.fetch(f"SELECT * FROM {table} ORDER BY received_at, runtime_id, id") for table in TABLES}

    async def copy(first: int, last: int) -> float:
        began = time.monotonic()
        for n in range(AGENTS * first, AGENTS * last):
            async with owner.transaction():
                for table, size in zip(TABLES, (HALF, HALF, 1), strict=True):
                    await owner.copy_records_to_table(f"copied_{table}", records=rows[table][n * size : (n + 1) * size])

        return time.monotonic() - began

    await copy(0, WARM_UP)
    took = [await copy(first, first + BATCHES) for first in FIRST_OF_ROUND]
    await owner.close()
    return min(took)


async def _agents(db: Database, access_tokens: AccessTokens) -> list[_Agent]:
    """Runtimes that have joined one tenant, each with a log of its own."""
    shell = Actor(kind="shell", id="benchmark")
    async with db.new_tenant() as tx:
        tenant_id = (await tenants.create(tx, shell, "bench", "Bench")).tenant_id
    agents = []
    for number in range(AGENTS):
        async with db.tenant(tenant_id) as tx:
            [project] = await projects.listing(tx, after=None, limit=1)
            asked = Enroll(join_token="", public_key=KEY, sealing_key=KEY, proof="", name=f"agent-{number}")
            runtime = await runtimes.enroll(tx, shell, project.id, asked, bytes([number] * 32), bytes(32))
            await cursors.begin(tx, runtime.id)
        expires_at = db.clock().timestamp() + 600
        claims = Claims(tenant_id=tenant_id, runtime_id=runtime.id, generation=1, expires_at=expires_at)
        agents.append(_Agent(runtime.id, access_tokens.issue(claims, db.clock()), _log(number)))
    return agents


def _log(number: int) -> list[list[bytes]]:
    """The lines of an agent's batches: sessions of the last weeks, each with its run."""
    roll = random.Random(number)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
    batches = []
    for _ in range(WARM_UP + ROUNDS * BATCHES):
        records: list[Record] = []
        for _ in range(HALF):
            at += timedelta(seconds=roll.randrange(1, 60))
            records += _session_and_run(roll, at)
        batches.append([msgspec.json.encode(record) for record in records])
    return batches


def _session_and_run(roll: random.Random, at: datetime) -> tuple[Record, Record]:
    shared: dict[str, Any] = {
        "occurred_at": at,
        "agent": f"agent_{roll.randrange(12)}",
        "session": f"session_{at:%Y%m%d_%H%M%S}_{roll.getrandbits(32):08x}",
        "changed_at": at + timedelta(seconds=13),
        "status": roll.choices(("succeeded", "failed"), (9, 1))[0],
        "quality": "clean",
        "started_at": at,
        "ended_at": at + timedelta(seconds=13),
        "duration_ms": 12_718,
        "path": ["intake", "extract_clauses", "risk_review", "report"],
        "steps": 4,
        "input_tokens": roll.randrange(20_000),
        "output_tokens": roll.randrange(900),
    }
    session = SessionState(
        record_id=new_id(at), source_status="completed", updated_at=at, current_node="report", **shared
    )
    run = RunState(
        record_id=new_id(at),
        source_status="success",
        run=at.isoformat(),
        trace=f"{roll.getrandbits(128):032x}",
        **shared,
    )
    return session, run


def started(
    command: Sequence[str], environment: dict[str, str], port: int, within_s: float = 30.0
) -> subprocess.Popen[bytes]:
    """The server process, ready."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK:
                return process
        except httpx.TransportError:
            time.sleep(0.05)
    process.kill()
    raise RuntimeError("the server did not get ready")


def _digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
