"""A replica that is to end hands its runtimes to another, while they poll, beat, send, upload and are looked at."""

import asyncio
import os
import signal
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count

import httpx
import pytest

from controlplane.demo.home import Shape
from tests import programs
from tests.agent.programs import daemon
from tests.e2e.conftest import Site, agrees
from tests.e2e.served import Served
from tests.e2e.test_content import files, shown
from tests.e2e.test_logs import Viewer, looked_at
from tests.http.agents import Agent

DRAIN_S = 3
ALL = {"RUNTIME_AGENT_LOGS": "raw", "RUNTIME_AGENT_CONTENT": "plain"}


class Balancer:
    """One address for several replicas: each new connection goes to the first that says it is ready."""

    def __init__(self, ports):
        self._ports = ports
        self.went_to = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer", daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self):
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        for port in self._ports:
            with suppress(OSError):
                if await self._is_ready(port):
                    there = await asyncio.open_connection("127.0.0.1", port)
                    self.went_to.add(port)
                    await asyncio.gather(_pour(reader, there[1]), _pour(there[0], writer))
                    return
        writer.close()

    async def _is_ready(self, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            return b" 200 " in await reader.readline()


async def _pour(reader, writer):
    with suppress(OSError):
        while part := await reader.read(1 << 16):
            writer.write(part)
            await writer.drain()
    writer.close()


class Front:
    """The replicas as one reaches them."""

    def __init__(self, server, balancer):
        self.home, self.url = server.home, balancer.url

    def get(self, path, **more):
        return httpx.get(f"{self.url}{path}", timeout=programs.PATIENCE_S, **more)


class Beats(threading.Thread):
    """A runtime that sends heartbeats all the time, and tries each a second time at most."""

    def __init__(self, url, join_token):
        super().__init__()
        self.sent, self.refused = 0, []
        self._over, self._url, self._join_token = threading.Event(), url, join_token

    def run(self):
        asyncio.run(self._beat())

    async def _beat(self):
        async with httpx.AsyncClient(base_url=self._url, timeout=20) as client:
            agent = Agent(client, lambda: datetime.now(UTC))
            agent.token = "none-yet"
            assert (await agent.enroll(self._join_token)).status_code == 201
            while not self._over.is_set():
                said = [await self._once(agent), None]
                if said[0] != 200:
                    said[1] = await self._once(agent)
                if 200 not in said:
                    self.refused.append(said)
                self.sent += 1
                await asyncio.sleep(0.02)

    async def _once(self, agent):
        try:
            reply = await agent.post("/v1/runtime/heartbeat", agent.beat(wall_ms=time.time_ns() // 1_000_000))
        except httpx.TransportError as error:
            return repr(error)
        return reply.status_code

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join(30)


@pytest.fixture
def replicas(app_url, owner_url, home):
    first = Served(home, app_url, owner_url, redis_url=os.environ["TEST_REDIS_URL"], drain_s=DRAIN_S)
    second = first.beside()
    try:
        first.start()
        second.start()
        yield first, second
    finally:
        first.stop()
        second.stop()


class Work:
    """What goes on in a home: a session changes, and logs."""

    def __init__(self, site, log):
        self._site, self._log, self._numbers = site, log, count()
        self._changed = site.ended()
        site.truth.sessions[self._changed] = "cancelled"

    def go_on(self):
        self._site.change(self._changed, "cancelled")
        self._log.write(f"line {next(self._numbers)}\n".encode())
        time.sleep(0.05)

    def until(self, holds):
        return programs.eventually(lambda: self.go_on() or holds())


@pytest.fixture
def balancer(replicas):
    with closing(Balancer([each.port for each in replicas])) as balancer:
        yield balancer


@pytest.fixture
def site(replicas, balancer, tmp_path):
    made = Site(Front(replicas[0], balancer), tmp_path, Shape(sessions=8, zone=UTC), datetime.now(UTC), **ALL)
    made.decide("plain")
    return made


def test_a_replica_that_ends_hands_over_its_runtimes_and_nobody_is_called_silent(replicas, balancer, site):
    first, second = replicas
    session, folder = looked_at(site)
    token = programs.told(first.home, "join-token", "create", "--tenant", site.slug)
    tail = partial(Viewer, f"{balancer.url}/v1/tenants/{site.slug}/sessions/{session}/logs/raw/tail", site._bearer)

    with (
        (folder / "run.log").open("ab", 0) as log,
        daemon(site.agent, **site._environ) as process,
        Beats(balancer.url, token) as beats,
    ):
        work = Work(site, log)
        work.go_on()
        with tail(path="run.log", offset=0) as before:
            assert work.until(lambda: len(before.lines) > 3)
            assert balancer.went_to == {first.port}
            ending = threading.Thread(target=first.stop)
            ending.start()
            assert work.until(lambda: not ending.is_alive())
        with tail(path="run.log", offset=0) as after:
            assert work.until(lambda: len(after.lines) > len(before.lines))
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    site.once()

    agrees(site)
    assert {(session, each["source"]["id"]) for session, each in shown(site) if each["restorable"]} == files(
        site
    ).keys()
    assert "runtime.silent" not in {each["action"] for each in site.listing("audit-events")}
    assert balancer.went_to == {first.port, second.port}
    assert (first._process.returncode, before.events[-1]) == (0, "ended")
    assert after.lines[: len(before.lines) - 1] == before.lines[:-1], "the last is why it ended"
    assert (beats.sent > 20, beats.refused) == (True, [])
    assert said.count("unreachable") <= 1, said
    assert "Traceback" not in said + first.stop() + second.stop()
