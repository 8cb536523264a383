"""Commands by the real programs: asked at the API, carried out at a runtime's own server, whatever is killed in between."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.agent.programs import daemon
from tests.programs import eventually

EVERYTHING = "rescan,drain,pause,resume,cancel,approve,reject"


class Engine:
    """The part of EngineX's own server that is called; it keeps whoever calls waiting while a test says so."""

    def __init__(self, running):
        self.running, self.told, self.go_on = running, [], threading.Event()
        self.go_on.set()


@contextmanager
def serving(engine):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer({"sessions": [{"session_id": name[-8:], "current_exec_id": name} for name in engine.running]})

        def do_POST(self):
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            engine.told.append((self.path, said))
            engine.go_on.wait(30)
            self._answer({"action": "inject"})

        def _answer(self, said):
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # whoever asked was killed
                return

        def log_message(self, *_):
            """Quiet."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}"
    finally:
        engine.go_on.set()
        listener.shutdown()
        thread.join()
        listener.server_close()


class Desk:
    """Somebody who asks at the API."""

    def __init__(self, up, site):
        self.url, self.headers = f"{up.url}/v1/tenants/{site.slug}", site._bearer

    def get(self, path):
        return httpx.get(f"{self.url}{path}", headers=self.headers, timeout=60).raise_for_status().json()

    def post(self, path, **said):
        answer = httpx.post(f"{self.url}{path}", headers=self.headers, json=said, timeout=60)
        return answer.raise_for_status().json()

    def stands_at(self, command, *states):
        return eventually(lambda: self.get(f"/commands/{command}")["state"] in states)


@pytest.fixture
def desk(up, site):
    return Desk(up, site)


def asking(site, number):
    """So many sessions that wait for approval, by their folders."""
    keys = []
    while len(keys) < number:
        keys.append(site.ended())
        site.change(keys[-1], "pending_human_approval")
    site.once()
    return [key.partition("/")[2] for key in keys]


def test_a_command_survives_the_agent_and_is_carried_out_once(site, desk):
    engine = Engine(asking(site, 2))
    with serving(engine) as url:
        settings = {"RUNTIME_AGENT_COMMANDS": EVERYTHING, "RUNTIME_AGENT_ENGINE_URL": url}
        first, second = (each for each in desk.get("/approvals")["data"] if each["source"] in engine.running)

        engine.go_on.clear()
        with daemon(site.agent, **settings) as process:
            decision = desk.post(f"/approvals/{first['id']}/approve", comment="fine")["decision"]["id"]
            assert eventually(lambda: engine.told)
            assert desk.stands_at(decision, "running")
            process.kill()
        engine.go_on.set()
        rescan = desk.post("/commands", kind="rescan", runtime=first["runtime"])["id"]
        other = desk.post(f"/approvals/{second['id']}/reject", comment="too dear")["decision"]["id"]

        with daemon(site.agent, **settings):
            assert desk.stands_at(other, "succeeded", "failed")
            assert desk.stands_at(rescan, "succeeded", "failed")
            drain = desk.post("/commands", kind="drain", runtime=first["runtime"])["id"]
            assert desk.stands_at(drain, "succeeded", "failed")

    ended = {each["id"]: (each["state"], each["code"]) for each in desk.get("/commands")["data"]}
    assert ended == {
        decision: ("failed", "interrupted"),
        other: ("succeeded", ""),
        rescan: ("succeeded", ""),
        drain: ("succeeded", ""),
    }
    assert [said for _, said in engine.told] == [{"message": "approve: fine"}, {"message": "reject: too dear"}]


def test_what_the_machines_owner_does_not_allow_is_not_done(site, desk):
    asking(site, 1)
    first = desk.get("/approvals")["data"][0]
    engine = Engine([])
    with serving(engine) as url, daemon(site.agent, RUNTIME_AGENT_ENGINE_URL=url):
        decision = desk.post(f"/approvals/{first['id']}/approve")["decision"]["id"]
        assert desk.stands_at(decision, "failed")

    assert desk.get(f"/commands/{decision}")["code"] == "not-allowed"
    assert engine.told == []
    assert desk.get(f"/approvals/{first['id']}")["state"] == "waiting"
