"""``up --demo``: a tenant, a home that moves, and a real agent that sends it; again it goes on where it was."""

import json
import os
import signal

import pytest

from tests.programs import alive, empty_home, eventually, told, up

AGENT = "runtime_agent run"


@pytest.fixture(scope="module")
def demo():
    with empty_home() as home, up(home, "--demo") as running:
        running.key = told(home, "api-key", "create", "--tenant", "demo", "--name", "tests")
        yield running


def listing(demo, what):
    answer = demo.get(f"/v1/tenants/demo/{what}?limit=200", headers={"Authorization": f"Bearer {demo.key}"})
    return answer.raise_for_status().json()


def test_a_few_hundred_sessions_arrive(demo):
    assert demo.report["tenant"] == "demo"
    assert eventually(lambda: listing(demo, "sessions")["page"]["has_more"])


def test_something_is_moving(demo):
    assert eventually(lambda: any(row["status"] == "running" for row in listing(demo, "sessions")["data"]))


def test_a_killed_agent_comes_back_as_the_same_runtime(demo):
    killed = demo.pid_of(AGENT)

    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: not alive(killed) and demo.pids_of(AGENT))
    assert len(listing(demo, "runtimes")["data"]) == 1


def test_started_again_on_another_port_it_is_the_same_runtime(home):
    with up(home, "--demo") as first:
        runtime = identity(home)["runtime"]
        assert first.end() == 0

    with up(home, "--demo") as second:
        second.key = told(home, "api-key", "create", "--tenant", "demo", "--name", "tests")
        assert identity(home)["runtime"] == runtime
        assert identity(home)["server"] == second.url
        assert [row["id"] for row in listing(second, "runtimes")["data"]] == [runtime]
        assert eventually(lambda: listing(second, "runtimes")["data"][0]["state"] == "connected")


def identity(home):
    return json.loads((home / "demo" / "agent" / "identity.json").read_text())
