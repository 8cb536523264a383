"""One server process as far as refreshing goes: ``python -m tests.refreshing.worker``, told by a line of JSON on stdin.

It has a pool of its own, and many callers who want a live token. Each line that follows begins something: ``once`` lets
every caller ask one time, ``on`` lets them go on until ``off``. What came of each is answered with a line of JSON.
"""

import asyncio
import collections
import json
import os
import signal
import sys
import time
from pathlib import Path
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.domain.vault.pace import Pace
from controlplane.domain.vault.refreshing import Refresher, Shared
from controlplane.kit import herd
from controlplane.kit.guard import Guard
from controlplane.kit.ids import TenantId
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.problems import Refusal
from tests.refreshing.providers import catalogue

KEYRING = keys.Keyring(current="test", keys={"test": bytes(32)}, pepper=bytes(32))
"""As in ``tests/conftest.py``, which takes long to import."""


class Faulty(Guard):
    """Does what a file in *folder* is named after, which then is gone: of all processes one does it."""

    def __init__(self, folder, stall_s):
        super().__init__(loopback=True)
        self.folder, self.stall_s = Path(folder), stall_s

    async def call(self, *args, **given):
        self._suffer("before")
        answer = await super().call(*args, **given)
        self._suffer("after")
        return answer

    def _suffer(self, when):
        if self._takes(f"kill-{when}"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._takes(f"stall-{when}"):
            time.sleep(self.stall_s)  # all of the process, as when it was stopped

    def _takes(self, name):
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            return False
        return True


class Worker:
    def __init__(self, told):
        self.told = told
        self.db = Database(told["database"], sealing=keys.sealing(KEYRING), pool_size=4)
        self.redis = Redis.from_url(told["redis"])
        pace = msgspec.convert(told["pace"], Pace)
        caller = Caller(Faulty(told["faults"], told["stall_s"]), self.db.clock, within_s=pace.call_s)
        shared = Shared(herd=herd.ThroughRedis(self.redis), spool=Path(told["home"]))
        self.refresher = Refresher(self.db, catalogue(), caller, str, pace, shared)
        self.tenant_id, self.id = TenantId(UUID(told["tenant"])), UUID(told["connection"])
        self.outcomes = collections.Counter()
        self.longest_s = 0.0

    async def once(self, check):
        """One caller, one time."""
        began = time.monotonic()
        try:
            _, access = await self.refresher.access(self.tenant_id, self.id)
        except Refusal as refusal:
            self.outcomes[f"{refusal.code} {refusal.detail}".strip()] += 1
        except Exception as error:
            self.outcomes[f"broke: {type(error).__name__}"] += 1
        else:
            served = time.monotonic()
            good = not check or await self._is_good(access.token.reveal(), served)
            self.outcomes["served" if good else "dead"] += 1
        self.longest_s = max(self.longest_s, time.monotonic() - began)

    async def caller(self, until):
        while not until.is_set():
            await self.once(check=True)
            await asyncio.sleep(self.told["rest_s"])

    async def unspool(self, until):
        while not until.is_set():
            await self.refresher.unspool()
            await asyncio.sleep(0.2)

    async def _is_good(self, token, at):
        reader, writer = await asyncio.open_connection(*self.told["server"])
        writer.write(f"GET /good HTTP/1.1\r\nx-token: {token}\r\nx-at: {at}\r\n\r\n".encode())
        try:
            return b" 200 " in await reader.readline()
        finally:
            writer.close()

    def report(self):
        said = {"outcomes": dict(self.outcomes), "longest_s": round(self.longest_s, 2)}
        self.outcomes.clear()
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


async def main():
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    worker = Worker(json.loads(await lines.readline()))
    await worker.refresher.unspool()
    worker.report()
    off, tasks = asyncio.Event(), []
    while word := (await lines.readline()).decode().strip():
        if word == "once":
            await asyncio.gather(*(worker.once(check=False) for _ in range(worker.told["callers"])))
            worker.report()
        elif word == "on":
            tasks = [asyncio.create_task(worker.caller(off)) for _ in range(worker.told["callers"])]
            tasks.append(asyncio.create_task(worker.unspool(off)))
        elif word == "off":
            off.set()
            await asyncio.gather(*tasks)
            await worker.refresher.landed()
            worker.report()
    await worker.db.close()


if __name__ == "__main__":
    asyncio.run(main())
