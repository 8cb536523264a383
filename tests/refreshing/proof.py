"""The proof: three processes with many callers, tokens of two seconds, and everything that can go wrong on the way."""

import asyncio
import collections
import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec

from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.domain.vault.pace import Pace
from tests.conftest import KEYRING
from tests.make import Make
from tests.refreshing.rig import Rig

PROCESSES = 3
LASTS_S = 2.0

PACE = Pace(
    call_s=1.5,
    deadline_s=2.5,
    adopt_s=3.0,
    block_s=15.0,
    poll_s=0.05,
    herd_s=0.3,
    least_left_s=0.2,
    first_retry_s=0.1,
    longest_retry_s=1.0,
    commit_retry_s=0.2,
    commit_tries=3,
    pause_s=0.2,
    longest_pause_s=0.5,
    bucket_every_s=0.01,
)
"""As the defaults are to a token of an hour, more or less."""

REFUSES = """
    CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuses BEFORE UPDATE OF cred_version ON connections FOR EACH ROW EXECUTE FUNCTION no();
"""
ALLOWS = "DROP FUNCTION IF EXISTS no() CASCADE"


class Through:
    """A way to Redis that can be shut."""

    def __init__(self, url):
        self.to, self.open, self.url = urlsplit(url), True, ""
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://:{self.to.password or ''}@127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_):
        self.shut()
        self._server.close()
        await self._server.wait_closed()

    def shut(self):
        self.open = False
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader, writer):
        if not self.open:
            return writer.transport.abort()
        there, their = await asyncio.open_connection(self.to.hostname, self.to.port)
        self._writers |= {writer, their}
        try:
            await asyncio.gather(_copy(reader, their), _copy(there, writer))
        finally:
            self._writers -= {writer, their}


async def _copy(reader, writer):
    try:
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Proof:
    """One connection, and processes that share it. Faults are methods."""

    def __init__(self, app_url, admin_url, redis, folder, *, callers=20, rest_s=0.2):
        self.app_url, self.admin_url, self.redis = app_url, admin_url, redis
        self.folder, self.callers, self.rest_s = Path(folder), callers, rest_s
        self.workers, self.killed, self.went_wrong = [], 0, collections.Counter()
        self.longest_s, self.broke = 0.0, []

    async def begin(self, server):
        self.server = server
        self.db = Database(self.app_url, sealing=keys.sealing(KEYRING), pool_size=2)
        self.rig = await Rig(self.db, Make(self.db, KEYRING), server, pace=PACE).connect(lasts_s=-1.0)
        (self.folder / "faults").mkdir()
        await asyncio.gather(*(self.start() for _ in range(PROCESSES)))

    async def start(self):
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.refreshing.worker", stdin=-1, stdout=-1, stderr=asyncio.subprocess.DEVNULL
        )
        there = urlsplit(self.server.url)
        told = {
            "database": self.app_url,
            "redis": self.redis.url,
            "pace": msgspec.to_builtins(PACE),
            "tenant": str(self.rig.tenant_id),
            "connection": str(self.rig.id),
            "faults": str(self.folder / "faults"),
            "home": str(self.folder / "home"),
            "server": [there.hostname, there.port],
            "callers": self.callers,
            "rest_s": self.rest_s,
            "stall_s": PACE.deadline_s + 1.0,
        }
        self.workers.append(worker)
        await self.say(worker, json.dumps(told))
        await self.heard(worker)
        return worker

    async def say(self, worker, word):
        try:
            worker.stdin.write(f"{word}\n".encode())
            await worker.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass

    async def heard(self, worker):
        """What a process answers; nothing, if it was killed."""
        while line := await worker.stdout.readline():
            if line.startswith(b'{"outcomes"'):
                said = json.loads(line)
                self.went_wrong.update(said["outcomes"])
                self.longest_s = max(self.longest_s, said["longest_s"])
                return
            if b"refresh.broke" in line:
                self.broke.append(line.decode())
        self.killed += 1

    async def all_say(self, word):
        for worker in self.workers:
            await self.say(worker, word)

    async def all_heard(self):
        for worker in self.workers:
            await self.heard(worker)

    async def herd(self):
        """Every caller of every process at once, on a token that has expired; how many calls the server had."""
        before, self.server.lasts_s, self.server.says_s = self.server.calls, 60.0, 60.0
        await self.all_say("once")
        await self.all_heard()
        calls = self.server.calls - before
        self.server.lasts_s = self.server.says_s = LASTS_S
        await self.rig.write(access_exp=self.db.clock() - timedelta(seconds=1))
        return calls

    def fault(self, name):
        """Let the process that calls next suffer."""
        (self.folder / "faults" / name).touch()

    async def suffered(self, name):
        """Until one has."""
        until = time.monotonic() + 20
        while (self.folder / "faults" / name).exists():
            assert time.monotonic() < until, f"nobody called, so nobody suffered {name}"
            await asyncio.sleep(0.02)

    async def database_refuses(self, for_s):
        admin = await asyncpg.connect(self.admin_url)
        await admin.execute(REFUSES)
        await asyncio.sleep(for_s)
        await admin.execute(ALLOWS)
        await admin.close()

    async def herd_is_away(self, for_s):
        """Redis."""
        self.redis.shut()
        await asyncio.sleep(for_s)
        self.redis.open = True

    async def replaced(self):
        """Somebody new for each process that was killed."""
        for worker in [each for each in self.workers if each.returncode is not None]:
            self.workers.remove(worker)
            self.killed += 1
            await self.say(await self.start(), "on")

    async def end(self):
        for worker in self.workers:
            worker.stdin.close()
            await worker.wait()
        await self.rig.close()
        await self.db.close()


def wrong(proof):
    """What no caller should have got: a dead token above all."""
    return {name: times for name, times in proof.went_wrong.items() if name != "served"}
