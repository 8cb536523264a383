"""What the runtimes call: PostgreSQL, Redis and one server, and a fleet that has joined."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from benchmarks.herd.runtime import Given
from benchmarks.ingesting import KEY, started
from benchmarks.processes import family_cpu_s, free_port, postmaster_of
from controlplane.db import roles, upgrade
from controlplane.db.database import Database
from controlplane.domain import api_keys, keys, projects, runtimes, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.runtime_tokens import AccessTokens
from controlplane.domain.sync import cursors
from controlplane.embedded import Services
from controlplane.kit.ids import text_id
from runtime_agent.wire.join import Enroll

SHELL: Final = Actor(kind="shell", id="benchmark")

LASTING: Final = ("runtimes", "runtime_reports", "sync_cursors")
"""Tables that a heartbeat could write to."""

WRITTEN: Final = """
    SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint AS all_rows,
        coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE relname = ANY ($1)), 0)::bigint AS of_runtimes,
        (SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'))::bigint AS wal_bytes
    FROM pg_stat_user_tables
"""


class Used(Struct, frozen=True):
    """Up to some moment."""

    at: float
    server_s: float
    """Of processor time."""
    postgres_s: float
    redis_s: float
    rows: int
    """Written in all tables."""
    rows_of_runtimes: int
    wal_bytes: int


class Site:
    """The servers, started; :meth:`stop` ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.services = Services(folder / "home")
        self._admin_url = self.services.postgres()
        self._redis_url = self.services.redis()
        self._redis_pid = _listening(int(self._redis_url.rpartition(":")[2].partition("/")[0]))
        self._server: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        self.tenants: list[str] = []
        self.api_key = ""
        self.first = ""
        """The first runtime, ``rt_…``."""

    async def furnish(self, fleet: int, tenants_wanted: int) -> list[Given]:
        """Tenants with runtimes that have joined, each with a key of its own."""
        urls = await roles.prepare(self._admin_url, "bench")
        await upgrade.upgrade(urls.owner)
        keyring = keys.new()
        keys.write(self.folder / "server" / "secrets" / "keyring.json", keyring)
        self._environment = {
            **os.environ,
            "CONTROLPLANE_DATABASE_URL": urls.app,
            "CONTROLPLANE_REDIS_URL": self._redis_url,
        }
        db = Database(urls.app, sealing=keys.sealing(keyring))
        given: list[Given] = []
        for number in range(tenants_wanted):
            given += await self._tenant(db, keyring, range(number, fleet, tenants_wanted))
        await db.close()
        return sorted(given, key=lambda each: each.number)

    async def _tenant(self, db: Database, keyring: Keyring, numbers: Sequence[int]) -> list[Given]:
        access_tokens, given = AccessTokens.under(keyring), []
        slug = f"tenant-{len(self.tenants)}"
        async with db.new_tenant() as tx:
            tenant_id = (await tenants.create(tx, SHELL, slug, slug)).tenant_id
        async with db.tenant(tenant_id) as tx:
            if not self.tenants:
                _, self.api_key = await api_keys.for_automation(tx, SHELL, keyring.pepper, "herd", role="admin")
            [project] = await projects.listing(tx, after=None, limit=1)
            for number in numbers:
                key = Ed25519PrivateKey.generate()
                asked = Enroll(join_token="", public_key=KEY, sealing_key=KEY, proof="", name=f"vpc-{number}")
                public = key.public_key().public_bytes_raw()
                runtime = await runtimes.enroll(tx, SHELL, project.id, asked, public, bytes(32))
                await cursors.begin(tx, runtime.id)
                self.first = self.first or text_id("rt", runtime.id)
                join_state = access_tokens.join_state(runtime.id, 1)
                given.append(Given(number, UUID(int=runtime.id.int), key.private_bytes_raw().hex(), join_state))
        self.tenants.append(slug)
        return given

    def serve(self) -> None:
        """Start the server, or start it again."""
        words = ["serve", "--with-parent", "--home", str(self.folder / "server"), "--port", str(self.port)]
        self._server = started(
            [sys.executable, "-m", "controlplane", *words], self._environment, self.port, within_s=400
        )

    def stop_serving(self) -> float:
        """Ask the server to end, as a deployment does; seconds that it took."""
        assert self._server is not None, "it was started"
        began = time.monotonic()
        self._server.send_signal(signal.SIGTERM)
        self._server.wait(60)
        return time.monotonic() - began

    def stop(self) -> None:
        if self._server is not None and self._server.poll() is None:
            self.stop_serving()
        self.services.stop()

    async def used(self) -> Used:
        assert self._server is not None, "it was started"
        connection = await self._admin()
        [row] = await connection.fetch(WRITTEN, list(LASTING))
        await connection.close()
        postmaster = postmaster_of(int(self._admin_url.rpartition(":")[2].partition("/")[0]))
        return Used(
            time.monotonic(),
            family_cpu_s(self._server.pid),
            family_cpu_s(postmaster),
            family_cpu_s(self._redis_pid),
            row["all_rows"],
            row["of_runtimes"],
            row["wal_bytes"],
        )

    async def silences(self) -> int:
        """How often a runtime was said to be silent, and how many are now that were heard from."""
        connection = await self._admin()
        told = await connection.fetchval("SELECT count(*) FROM events WHERE type = 'runtime.silent'")
        await connection.close()
        return int(told)

    async def states(self) -> dict[str, int]:
        connection = await self._admin()
        rows = await connection.fetch("SELECT state, count(*) AS runtimes FROM runtimes GROUP BY state")
        await connection.close()
        return {row["state"]: row["runtimes"] for row in rows}

    async def _admin(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._admin_url.removesuffix("/postgres") + "/bench")


class Crowds:
    """The processes that the runtimes live in, dealt out evenly."""

    def __init__(self, site: Site, given: Sequence[Given], processes: int) -> None:
        self.sizes, self._processes = [], []
        for number in range(processes):
            some = given[number::processes]
            path = site.folder / f"crowd-{number}.json"
            path.write_bytes(msgspec.json.encode((site.port, some)))
            words = [sys.executable, "-m", "benchmarks.herd.clients", str(path)]
            crowd = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._processes.append(crowd)
            self.sizes.append(len(some))

    def say(self, number: int, **word: object) -> None:
        pipe = self._processes[number].stdin
        assert pipe is not None, "it has one"
        pipe.write(msgspec.json.encode(word) + b"\n")
        pipe.flush()

    def say_all(self, **word: object) -> None:
        for number in range(len(self._processes)):
            self.say(number, **word)

    def answers(self) -> list[bytes]:
        """A line of each."""
        found = []
        for crowd in self._processes:
            assert crowd.stdout is not None, "it has one"
            found.append(crowd.stdout.readline())
        return found

    def cpu_s(self) -> float:
        return sum(family_cpu_s(crowd.pid) for crowd in self._processes)

    def stop(self) -> None:
        for crowd in self._processes:
            crowd.terminate()
            crowd.wait()


def _listening(port: int) -> int:
    """The process id of the Redis that was told to listen on *port*."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:  # ended meanwhile
                continue
            if b":%d" % port in words and (b"redis" in words or b"valkey" in words):
                return int(folder.name)
    raise LookupError(f"no Redis on port {port}")
