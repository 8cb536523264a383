"""What commands do at EngineX's own server, and what they do not do where a session has moved on."""

import json
from datetime import timedelta

import httpx
import pytest

from runtime_agent import doing
from runtime_agent.outbox import open_outbox
from runtime_agent.sources.acting import Failed
from runtime_agent.sources.engine.acting import EngineServer
from runtime_agent.wire.commands import Command
from tests.agent.homes import AGENT, NAME, NOW, SessionFolder, engine, naive, state
from tests.agent.reference import RUNTIME

LOADED = {"sessions": [{"session_id": "0c0ffee00000", "current_exec_id": NAME}, {"session_id": "other"}]}


class Engine(httpx.AsyncBaseTransport):
    """EngineX's dashboard API, as far as it is called, and what it was told."""

    def __init__(self, listed=LOADED, status=200, body=b"{}"):
        self.listed, self.status, self.body, self.told = listed, status, body, []

    async def handle_async_request(self, request):
        if (request.method, request.url.path) == ("GET", "/api/sessions"):
            return httpx.Response(200, json=self.listed)
        self.told.append((request.method, request.url.path, json.loads(await request.aread())))
        return httpx.Response(self.status, content=self.body)


class Deaf(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request):
        raise httpx.ConnectError("refused")


def server(there):
    return EngineServer("http://127.0.0.1:8787", there)


def command(kind="approve", **given):
    words = {"tenant": "acme", "runtime": "rt", "command": "cmd_" + "0" * 26, "number": 1, "not_after": ""}
    about = {"agent": AGENT, "session": NAME, "changed_at": (NOW - timedelta(minutes=59)).isoformat()}
    return Command(**{**words, **about, "kind": kind, **given})


@pytest.fixture
def asked(tmp_path):
    """Carries out a command about a session whose state.json says so."""
    outbox = open_outbox(tmp_path / "outbox.db", RUNTIME)
    folder, source = SessionFolder(tmp_path / "engine"), engine(tmp_path / "engine")

    async def asked(at, its, **status):
        folder.state(state(**status))
        return await doing.of_sessions(outbox, source, server(at), lambda: NOW)[its.kind](its)

    yield asked
    outbox.close()


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("pause", ("POST", "/api/sessions/0c0ffee00000/pause", {})),
        ("resume", ("POST", "/api/sessions/0c0ffee00000/resume", {})),
        ("cancel", ("DELETE", "/api/sessions/0c0ffee00000", {})),
    ],
)
async def test_each_kind_is_one_call_to_what_runs_the_session(asked, kind, call):
    there = Engine()

    await asked(there, command(kind), status="active")

    assert there.told == [call]


@pytest.mark.parametrize(
    ("kind", "comment", "words"), [("approve", "", "approve"), ("reject", "too dear", "reject: too dear")]
)
async def test_a_decision_is_said_to_the_session_that_waits_for_it(asked, kind, comment, words):
    there = Engine()

    await asked(there, command(kind, comment=comment), status="pending_human_approval")

    assert there.told == [("POST", "/api/sessions/0c0ffee00000/message", {"message": words})]


async def test_a_decision_on_something_else_than_is_asked_now_is_not_said(asked):
    there = Engine()
    later = {"started_at": naive(NOW - timedelta(hours=1)), "updated_at": naive(NOW - timedelta(minutes=1))}

    with pytest.raises(Failed) as moved:
        await asked(there, command(), status="pending_human_approval", timestamps=later)
    with pytest.raises(Failed) as over:
        await asked(there, command(), status="completed")
    with pytest.raises(Failed) as gone:
        await asked(there, command(session="session_20260101_000000_00000000"), status="completed")

    assert [each.value.code for each in (moved, over, gone)] == ["session-moved-on", "session-moved-on", "session-gone"]
    assert there.told == []


@pytest.mark.parametrize(
    ("there", "code"),
    [
        (Engine(listed={"sessions": []}), "session-not-loaded"),
        (Engine(listed=["nonsense"]), "runtime-unreachable"),
        (Engine(status=404), "session-not-loaded"),
        (Engine(status=409, body=b'{"error": "Agent is still running"}'), "runtime-refused"),
        (Engine(status=500, body=b"oops"), "runtime-refused"),
        (Deaf(), "runtime-unreachable"),
    ],
)
async def test_what_engine_cannot_or_will_not_do_is_said_with_a_code(there, code):
    with pytest.raises(Failed) as failed:
        await server(there).pause(NAME)

    assert failed.value.code == code
