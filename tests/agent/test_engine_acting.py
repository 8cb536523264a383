"""What commands do at EngineX's own server, and what they do not do where a session has moved on."""

import json
from datetime import UTC, timedelta

import httpx
import msgspec
import pytest

from runtime_agent import doing, rewinding
from runtime_agent.http import Absent
from runtime_agent.outbox import open_outbox
from runtime_agent.rewinding import Means
from runtime_agent.sources.acting import Failed
from runtime_agent.sources.engine.acting import EngineServer
from runtime_agent.sources.engine.rewinding import EngineRewinding
from runtime_agent.wire.commands import Command, Place
from tests.agent.homes import AGENT, NAME, NOW, SessionFolder, checkpoint, engine, naive, state
from tests.agent.reference import RUNTIME
from tests.agent.test_bringing_back import Held

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
        means = Means(outbox, source, server(at), EngineRewinding(source, UTC), Held(Absent()))
        doers = doing.of_sessions(outbox, source, server(at), lambda: NOW)
        doers |= rewinding.of_checkpoints(means, look, lambda: NOW)
        return await doers[its.kind](its)

    async def look():
        looks.append(1)

    looks, asked.folder = [], folder
    asked.looks = looks
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


MADE = {**checkpoint("node_complete", "intake", NOW), "session_id": NAME, "shared_memory": {}}
PLACE = Place(id="cp_1", checkpoint=MADE["checkpoint_id"], created_at=f"{MADE['created_at']}+00:00")
RESUME = f"/api/sessions/other/executions/{NAME}/checkpoints/{PLACE.checkpoint}/resume"


async def test_a_resume_from_a_checkpoint_is_a_call_to_a_load_of_the_agent_that_runs_nothing(asked):
    asked.folder.checkpoint(MADE)
    busy = {"session_id": "busy", "agent_path": f"/srv/{AGENT}", "current_exec_id": "session_2"}
    there = Engine(
        listed={"sessions": [*LOADED["sessions"], busy, {**busy, "session_id": "other", "current_exec_id": None}]}
    )

    await asked(there, command("resume", place=PLACE), status="paused")

    assert there.told == [("POST", RESUME, {})]
    with pytest.raises(Failed) as nobody:
        await asked(Engine(listed={"sessions": [busy]}), command("resume", place=PLACE), status="paused")
    assert nobody.value.code == "session-not-loaded"


async def test_there_is_no_going_on_from_a_checkpoint_that_is_not_in_the_home(asked):
    there = Engine()

    with pytest.raises(Failed) as gone:
        await asked(there, command("resume", place=PLACE), status="paused")
    hostile = msgspec.structs.replace(PLACE, checkpoint="cp_/../../../x")
    with pytest.raises(Failed) as outside:
        await asked(there, command("resume", place=hostile), status="paused")

    assert (gone.value.code, outside.value.code, there.told) == ("checkpoint-gone", "path-outside-home", [])


async def test_a_rollback_and_its_undo_are_done_looked_at_and_done_once(asked):
    asked.folder.checkpoint(MADE)
    first, second = "cmd_" + "1" * 26, "cmd_" + "2" * 26
    back = command("rollback", place=PLACE, command=first)

    said = [await asked(Engine(), back, status="completed"), await asked(Engine(), back, status="failed")]
    assert said[0] == said[1] == f"the session is back at {PLACE.checkpoint}; what it was is kept"
    await asked(Engine(), command("undo", command=second, undoes=first), status="completed")

    assert json.loads((asked.folder.path / "state.json").read_text())["status"] == "completed"
    assert len(asked.looks) == 3


LEFT = {
    "status": "active",
    "timestamps": {"started_at": naive(NOW - timedelta(hours=1)), "updated_at": naive(NOW - timedelta(minutes=11))},
}


@pytest.mark.parametrize("kind", ["rollback", "resume", "undo"])
async def test_a_session_that_only_looks_lost_is_changed_on_somebodys_word_alone(asked, kind):
    asked.folder.checkpoint(MADE)
    idle = {"session_id": "other", "agent_path": f"/srv/{AGENT}"}
    there, runs = Engine(listed={"sessions": [idle]}), Engine(listed={"sessions": [idle, *LOADED["sessions"]]})
    first = command("rollback", place=PLACE, command="cmd_" + "1" * 26, though_lost=True)
    if kind == "undo":
        await asked(there, first, **LEFT)
    its = command(kind, place=PLACE, undoes=first.command)
    sure = msgspec.structs.replace(its, though_lost=True)
    claimed = {**LEFT, "claimed_by": "worker-1", "claimed_at": naive(NOW - timedelta(seconds=30))}

    refused = []
    for engine_there, asking, said in ((there, its, LEFT), (runs, sure, LEFT), (there, sure, claimed)):
        with pytest.raises(Failed) as failed:
            await asked(engine_there, asking, **said)
        refused.append(failed.value.code)

    assert refused == ["session-may-run", "session-running", "session-running"]
    assert there.told == runs.told == []
    await asked(there, sure, **LEFT)


async def test_a_checkpoint_that_is_nowhere_is_not_gone_back_to(asked):
    with pytest.raises(Failed) as nowhere:
        await asked(Engine(), command("rollback", place=PLACE), status="completed")

    assert nowhere.value.code == "content-absent"


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
