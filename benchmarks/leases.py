"""Leases of a live token over HTTP: one caller's time, 32 callers' throughput, processor time, and the bare statement.

The server is the real program on a durable database; callers sign, verify nothing and open nothing, as what they do is
the runtimes' own. The limit is the same read and the same record of it as one prepared statement each, on as many
connections of their own, without policy, envelope, sealing, signature or HTTP: ours reaches at least half of that.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from benchmarks.asking import p99
from benchmarks.ingesting import started
from benchmarks.processes import family_cpu_s, free_port, postmaster_of
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import keys, projects, runtimes, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.runtime_tokens import AccessTokens, Claims
from controlplane.domain.sync import cursors
from controlplane.domain.vault import catalogue, policies, statics
from controlplane.domain.vault.policies import NewPolicy
from controlplane.embedded import Services
from controlplane.kit.ids import RuntimeId, TenantId, text_id
from controlplane.kit.secret import Secret
from runtime_agent import identity as identities
from runtime_agent.credentials import signing_headers
from runtime_agent.identity import Identity, decoded
from runtime_agent.wire.join import Enroll
from runtime_agent.wire.leases import LeaseRequest

CALLERS = 32
WARM_UP_S, SECONDS = 2.0, 6.0
PATH = "/v1/runtime/leases"
LIMIT = 1_500.0

BARE = """
    WITH c AS (SELECT access_blob FROM connections WHERE tenant_id = $1 AND id = $2),
    noted AS (
        INSERT INTO vault_reads (tenant_id, occurred_us, act, outcome, runtime_id, agent, run, tool, purpose,
            connection_id, cred_version, scopes, rule, policies_version, lease_id, kid, nonce, address, prints)
        SELECT $1, 1, 'lease', 'success', $3, '', '', '', '', $2, 1, '{}', '', 1, NULL, '', $4, '', '{}' FROM c
        RETURNING seq
    )
    SELECT access_blob, seq FROM c, noted
"""


class _Ours(Struct, frozen=True):
    p50_ms: float
    p99_ms: float
    per_s: float
    cpu_per_1000: float


class _Set(Struct, frozen=True):
    """What there is to lease, and who asks."""

    tenant_id: TenantId
    runtime_id: RuntimeId
    connection_id: UUID
    identity: Identity
    token: str


def run() -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o711)
        with Services(Path(folder) / "home") as services:
            ours, bare = asyncio.run(_measure(services.postgres(), Path(folder)))
    return {
        "name": "leases",
        "ratio": LIMIT / ours.per_s,
        "ours": ours.per_s,
        "limit": LIMIT,
        "unit": f"leases a second at {CALLERS} callers",
        "p50_ms": ours.p50_ms,
        "p99_ms": ours.p99_ms,
        "cpu_s_per_1000": ours.cpu_per_1000,
        "bare": bare,
        "of_bare": ours.per_s / bare,
    }


async def _measure(admin_url: str, folder: Path) -> tuple[_Ours, float]:
    urls = await roles.prepare(admin_url, "bench")
    await upgrade.upgrade(urls.owner)
    keyring = keys.new()
    keys.write(folder / "server" / "secrets" / "keyring.json", keyring)
    db = Database(urls.app, sealing=keys.sealing(keyring))
    given = await _furnished(db, AccessTokens.under(keyring))
    await db.close()
    port = free_port()
    environment = {**os.environ, "CONTROLPLANE_DATABASE_URL": urls.app}
    words = ["serve", "--home", str(folder / "server"), "--port", str(port)]
    server = await asyncio.to_thread(started, [sys.executable, "-m", "controlplane", *words], environment, port)
    try:
        ours = await _over_http(port, given, server, admin_url)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    return ours, await _bare(urls.app, given)


class _Caller:
    """One kept connection, spoken over as plainly as can be: what is measured is the server."""

    def __init__(self, port: int, given: _Set) -> None:
        self._port, self._given = port, given
        self._body = msgspec.json.encode(
            LeaseRequest(connection=text_id("con", given.connection_id), agent="invoice_review")
        )
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def call(self) -> float:
        """Milliseconds from the first byte sent to the last one read; what signing takes is not in it."""
        nonce, now = secrets.token_hex(16), int(time.time())
        headers = signing_headers(self._given.identity, ("POST", PATH, self._body), nonce, now) | {
            "Host": "127.0.0.1",
            "Authorization": f"Bearer {self._given.token}",
            "Content-Type": "application/json",
            "Content-Length": str(len(self._body)),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        began = time.perf_counter()
        self._writer.write(f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + self._body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = await self._reader.readexactly(length)
        took_ms = (time.perf_counter() - began) * 1000
        assert head.startswith(b"HTTP/1.1 200"), answer
        return took_ms

    async def until(self, end: float) -> int:
        done = 0
        while time.monotonic() < end:
            await self.call()
            done += 1
        return done


async def _over_http(port: int, given: _Set, server: subprocess.Popen[bytes], admin_url: str) -> _Ours:
    postmaster = postmaster_of(int(admin_url.rpartition(":")[2].partition("/")[0]))
    callers = [_Caller(port, given) for _ in range(CALLERS)]
    for each in callers:
        await each.connect()

    def used() -> float:
        return family_cpu_s(server.pid) + family_cpu_s(postmaster) + time.process_time()

    for _ in range(300):
        await callers[0].call()
    took = [await callers[0].call() for _ in range(2_000)]
    end = time.monotonic() + WARM_UP_S
    await asyncio.gather(*(each.until(end) for each in callers))
    before, began = used(), time.monotonic()
    done = sum(await asyncio.gather(*(each.until(began + SECONDS) for each in callers)))
    lasted, cpu_s = time.monotonic() - began, used() - before
    return _Ours(sorted(took)[len(took) // 2], p99(took), done / lasted, cpu_s / done * 1000)


async def _bare(url: str, given: _Set) -> float:
    """The statement alone, as often as the same number of callers get it done."""

    async def caller(until: float) -> int:
        connection = await asyncpg.connect(url)
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", str(given.tenant_id))
        statement, done = await connection.prepare(BARE), 0
        while time.monotonic() < until:
            await statement.fetch(given.tenant_id, given.connection_id, given.runtime_id, secrets.token_bytes(16))
            done += 1
        await connection.close()
        return done

    await asyncio.gather(*(caller(time.monotonic() + WARM_UP_S) for _ in range(CALLERS)))
    began = time.monotonic()
    done = sum(await asyncio.gather(*(caller(began + SECONDS) for _ in range(CALLERS))))
    return done / (time.monotonic() - began)


async def _furnished(db: Database, access_tokens: AccessTokens) -> _Set:
    """A tenant with a runtime, a secret and a policy that gives the one to the other."""
    shell = Actor(kind="shell", id="benchmark")
    identity = identities.fresh("http://127.0.0.1")
    async with db.new_tenant() as tx:
        tenant_id = (await tenants.create(tx, shell, "bench", "Bench")).tenant_id
    async with db.tenant(tenant_id) as tx:
        [project] = await projects.listing(tx, after=None, limit=1)
        public_key, sealing_key = decoded(identity.public_key()), decoded(identity.public_sealing_key())
        asked = Enroll(
            join_token="", public_key=identity.public_key(), sealing_key=identity.public_sealing_key(), proof=""
        )
        runtime = await runtimes.enroll(tx, shell, project.id, asked, public_key, sealing_key)
        await cursors.begin(tx, runtime.id)
        secret = statics.NewStatic(name="secret", fields={"value": Secret(secrets.token_urlsafe(1_500))})
        connection = await statics.create(tx, shell, catalogue.read().get("secret"), secret)
        await policies.create(tx, shell, NewPolicy(name="all", effect="allow", modes=["lease"]))
    expires_at = db.clock().timestamp() + 600
    claims = Claims(tenant_id=tenant_id, runtime_id=runtime.id, generation=1, expires_at=expires_at)
    known = msgspec.structs.replace(identity, runtime=text_id("rt", runtime.id), runtime_id=runtime.id)
    return _Set(tenant_id, runtime.id, connection.id, known, access_tokens.issue(claims, db.clock()))
