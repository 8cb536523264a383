"""Budgets by the real programs: leased ahead, kept to while the server is stopped, and let go when it is back."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from controlplane.demo.home import Shape
from tests.agent.programs import daemon
from tests.e2e.conftest import Site
from tests.e2e.served import Served
from tests.e2e.test_commands import Engine, serving
from tests.programs import eventually

AGENT, NAME = "invoice_review", f"session_{datetime.now(UTC):%Y%m%d_%H%M%S}_0b0d9e70"


@pytest.fixture
def server(app_url, owner_url, home):
    served = Served(home, app_url, owner_url)
    served.start()
    yield served
    served.stop()


@pytest.fixture
def site(server, tmp_path):
    return Site(server, tmp_path, Shape(sessions=6, zone=UTC), datetime.now(UTC))


class Desk:
    """Somebody who decides at the API, and reads there what came of it."""

    def __init__(self, server, site):
        self.url, self.headers = f"{server.url}/v1/tenants/{site.slug}", site._bearer

    def get(self, path):
        return httpx.get(f"{self.url}{path}", headers=self.headers, timeout=60).raise_for_status().json()

    def make(self, **said):
        return httpx.post(f"{self.url}/budgets", headers=self.headers, json=said, timeout=60).raise_for_status().json()

    def raise_limit(self, budget, limit):
        address = f"{self.url}/budgets/{budget}"
        seen = {**self.headers, "If-Match": httpx.get(address, headers=self.headers, timeout=60).headers["etag"]}
        httpx.patch(address, headers=seen, json={"limit": limit}, timeout=60).raise_for_status()

    def told(self):
        return [
            each["type"] for each in self.get("/events?types=budget.warned,budget.exhausted,budget.released")["data"]
        ]


class Running:
    """A session that runs, as EngineX writes it: a node after the other, so many tokens each."""

    def __init__(self, site):
        self.path = site.source / "agents" / AGENT / "sessions" / NAME
        (self.path / "logs").mkdir(parents=True)
        self.visits = []
        self.write("active")

    def uses(self, tokens):
        self.visits.append({"node_id": f"n{len(self.visits)}", "input_tokens": tokens, "output_tokens": 0})
        lines = "".join(json.dumps(each) + "\n" for each in self.visits)
        (self.path / "logs/details.jsonl").write_text(lines)
        self.write("active")

    def write(self, status, **result):
        now = datetime.now(UTC).replace(tzinfo=None).isoformat()
        timestamps = {"started_at": now, "updated_at": now}
        state = {"session_id": NAME, "status": status, "timestamps": timestamps, "result": result or None}
        (self.path / "state.json").write_text(json.dumps(state))


def test_a_budget_is_kept_to_while_the_server_is_stopped_and_what_was_paused_goes_on_afterwards(server, site):
    desk, engine = Desk(server, site), Engine([NAME])
    session = Running(site)
    runtime = desk.get("/runtimes")["data"][0]["id"]
    site.once()
    budget = desk.make(name="in all", runtime=runtime, limit=10**9, period="total", action="pause")["id"]
    with serving(engine) as url:
        settings = {"RUNTIME_AGENT_COMMANDS": "pause,resume", "RUNTIME_AGENT_ENGINE_URL": url}
        with daemon(site.agent, **settings):
            assert eventually(lambda: desk.get(f"/budgets/{budget}/slices")["data"])
        [slice_] = desk.get(f"/budgets/{budget}/slices")["data"]
        assert slice_["left"] == 10**9 - slice_["used"] > 0

        server.stop()
        with daemon(site.agent, **settings) as process:
            session.uses(10**9 + 1)
            assert eventually(lambda: engine.told)
            assert engine.told[0][0].endswith("/pause")
            process.kill()
        session.write("paused", success=False, error="Execution paused by user", output={})

        server.start()
        desk.raise_limit(budget, 10**10)
        with daemon(site.agent, **settings):
            assert eventually(lambda: [path for path, _ in engine.told if path.endswith("/resume")])
            assert eventually(lambda: "budget.released" in desk.told())

    assert [path.rpartition("/")[2] for path, _ in engine.told] == ["pause", "resume"]
    assert desk.told()[-2:] == ["budget.exhausted", "budget.released"]
    assert desk.get(f"/budgets/{budget}/standing")["used"] > 10**9
