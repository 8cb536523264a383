"""What changes while a page is open."""

import asyncio
import os
import re
import signal
from contextlib import asynccontextmanager

import pytest

from controlplane.db import schema as t
from controlplane.domain import approvals, audit, projects, tenants
from controlplane.http.console.live import LONGEST, Streams
from controlplane.kit.ids import text_id
from tests.make import SHELL
from tests.rows import Rows
from tests.runtimes import join

PATIENCE_S = 20


class Stream:
    """A response that is still being sent."""

    def __init__(self, app, path, headers):
        path, _, query = path.partition("?")
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"test"), (b"accept", b"text/event-stream")]
            + [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
            "state": {},
        }
        self._app = app
        self._sent = asyncio.Queue()
        self._gone = asyncio.Event()
        self._first = {}
        self.status = 0

    async def _receive(self):
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def open(self):
        """Until it has looked at the page once, and listens."""
        self._task = asyncio.create_task(self._app(self._scope, self._receive, self._sent.put))
        self.status = (await self._next())["status"]
        self._first = await self._next()

    async def patch(self):
        """The HTML of the next patch, or None once the stream has ended."""
        body = b""
        while True:
            message, self._first = self._first or await self._next(), {}
            body += message.get("body", b"")
            if b"event: patch" in body and body.endswith(b"\r\n\r\n"):
                return "\n".join(re.findall(r"^data: ?(.*)$", body.decode().replace("\r\n", "\n"), re.MULTILINE))
            if not message.get("more_body", False):
                return None

    async def close(self):
        self._gone.set()
        async with asyncio.timeout(PATIENCE_S):
            await self._task

    async def _next(self):
        async with asyncio.timeout(PATIENCE_S):
            return await self._sent.get()


@pytest.fixture
def streamed(app):
    app.state.streams.breath_s = 0

    @asynccontextmanager
    async def opened(path, human):
        stream = Stream(app, path, human.headers)
        try:
            await stream.open()
            yield stream
        finally:
            await stream.close()

    return opened


@pytest.fixture
def wakeups(app):
    return app.state.wakeups


async def test_a_nudge_brings_what_is_new(client, db, make, streamed, wakeups):
    runtime, person, base = await _tenant(db, make)
    page = (await client.get(f"{base}/sessions", headers=person.headers)).text

    async with streamed(_stream(page), person) as stream:
        identity = await Rows(db).session(runtime)
        await wakeups.nudge(f"tenant:{runtime.tenant_id}")
        patch = await stream.patch()

    assert 'id="sessions"' in patch
    assert text_id("ses", identity) in patch


async def test_what_the_page_shows_already_is_not_sent_again(client, db, make, streamed, wakeups):
    runtime, person, base = await _tenant(db, make)
    page = (await client.get(f"{base}/", headers=person.headers)).text

    async with streamed(_stream(page), person) as stream:
        await Rows(db).session(runtime, status="waiting", waiting_for="human_approval")
        await wakeups.nudge(f"tenant:{runtime.tenant_id}")
        patch = await stream.patch()

    changed = set(re.findall(r'<section id="(\w+)"', patch))
    assert {"work", "waiting"} <= changed
    assert "fleet" not in changed


async def test_a_page_that_is_behind_gets_everything_at_once(db, make, streamed):
    runtime, person, base = await _tenant(db, make)
    identity = await Rows(db).session(runtime)

    async with streamed(f"{base}/sessions/live?seen=old", person) as stream:
        patch = await stream.patch()

    assert text_id("ses", identity) in patch


async def test_who_still_thinks_sees_that_somebody_else_has_decided(client, db, make, streamed, wakeups):
    runtime, person, base = await _tenant(db, make)
    session_id = await Rows(db).session(runtime, status="waiting", waiting_for="human_approval")
    page = (await client.get(f"{base}/approvals/{text_id('apr', session_id)}", headers=person.headers)).text

    async with streamed(_stream(page), person) as stream:
        async with db.tenant(runtime.tenant_id) as tx:
            await approvals.decide(tx, SHELL, session_id, "approve", "")
        await wakeups.nudge(f"tenant:{runtime.tenant_id}")
        patch = await stream.patch()

    assert "approved by" in patch
    assert re.search(r'<section id="decide"[^>]* hidden', patch)


async def test_an_operator_hears_of_every_tenant(client, db, make, streamed, wakeups):
    runtime, _, _ = await _tenant(db, make)
    operator = await make.operator()
    page = (await client.get("/console/", headers=operator.headers)).text

    async with streamed(_stream(page), operator) as stream:
        await Rows(db).session(runtime, status="failed")
        await wakeups.nudge("fleet")
        patch = await stream.patch()

    assert 'id="failures"' in patch


async def test_streams_end_when_the_server_is_asked_to_stop(app, client, db, make, streamed):
    _, person, base = await _tenant(db, make)
    page = (await client.get(f"{base}/", headers=person.headers)).text

    async with streamed(_stream(page), person) as stream:
        app.state.streams.end()
        last = await stream.patch()

    assert last is None


async def test_a_stream_ends_in_time_and_the_guard_looks_again(client, clock, db, make, streamed, wakeups):
    runtime, person, base = await _tenant(db, make)
    page = (await client.get(f"{base}/", headers=person.headers)).text

    async with streamed(_stream(page), person) as stream:
        clock.forward(LONGEST)
        await wakeups.nudge(f"tenant:{runtime.tenant_id}")
        last = await stream.patch()

    assert last is None


@pytest.mark.parametrize("how", ["signed out", "removed", "suspended"])
async def test_who_may_not_look_any_more_hears_no_more(client, db, make, streamed, wakeups, how):
    runtime, person, base = await _tenant(db, make)
    page = (await client.get(f"{base}/sessions", headers=person.headers)).text

    async with streamed(_stream(page), person) as stream:
        if how == "signed out":
            await client.post("/v1/auth/sign-out", headers=person.headers)
        async with db.tenant(runtime.tenant_id) as tx:
            if how == "removed":
                await tx.run(tx.update(t.users).values(status="disabled"))
                audit.record(tx, SHELL, "user.disabled", ("user", ""))
            if how == "suspended":
                await tenants.suspend(tx, SHELL, "unpaid")
        await Rows(db).session(runtime)
        await wakeups.nudge(f"tenant:{runtime.tenant_id}")
        last = await stream.patch()

    assert last is None


async def test_nobody_listens_to_another_tenant(db, make, streamed):
    _, _, base = await _tenant(db, make, "acme")
    stranger = await make.person(await make.tenant("birch"))

    for page in ("/live", "/sessions/live", "/runtimes/live"):
        async with streamed(f"{base}{page}", stranger) as stream:
            assert stream.status == 404


async def test_a_signal_ends_the_streams_and_then_does_what_it_did_before():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    streams = Streams()
    try:
        with streams.until_signalled():
            os.kill(os.getpid(), signal.SIGTERM)
            await streams.pause(PATIENCE_S)
            assert streams.ended
    finally:
        after = signal.signal(signal.SIGTERM, before)

    assert heard == [signal.SIGTERM]
    assert after is not before


async def test_a_replica_with_time_to_drain_does_what_it_did_before_after_that_or_at_the_second_signal():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    streams = Streams(drain_s=3600)
    try:
        with streams.until_signalled():
            os.kill(os.getpid(), signal.SIGTERM)
            while not streams.ended:  # noqa: ASYNC110 it is about to
                await asyncio.sleep(0)
            first = list(heard)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert (first, heard) == ([], [signal.SIGTERM])


async def _tenant(db, make, slug="acme"):
    """A runtime of a new tenant, somebody who belongs there, and what the addresses of its pages start with."""
    tenant = await make.tenant(slug)
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.named(tx, projects.DEFAULT)
    return await join(db, tenant.tenant_id, project.id), await make.person(tenant), f"/console/t/{slug}"


def _stream(page):
    return re.search(r'data-stream="([^"]+)"', page)[1].replace("&amp;", "&")
