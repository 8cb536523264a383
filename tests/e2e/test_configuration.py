"""Configuration by the real programs: from the API to the machine, tried there, taken back where it kills the agent."""

import json

import httpx
import pytest

from tests.agent.programs import daemon
from tests.programs import eventually

QUICK = {"RUNTIME_AGENT_CONFIG_PROVING_S": "0.2"}
AT_ONCE = {"percents": [100], "soak_s": 0}


class Desk:
    """Somebody who configures at the API."""

    def __init__(self, up, site):
        self.url, self.headers = f"{up.url}/v1/tenants/{site.slug}", site._bearer
        self.runtime = self.get("/runtimes")["data"][0]["id"]

    def get(self, path):
        return httpx.get(f"{self.url}{path}", headers=self.headers, timeout=60).raise_for_status().json()

    def make(self, document):
        said = {"document": document, "plan": AT_ONCE}
        answer = httpx.post(f"{self.url}/configs", headers=self.headers, json=said, timeout=60).raise_for_status()
        return answer.json()["id"]

    def save(self, config, document):
        address = f"{self.url}/configs/{config}"
        seen = httpx.get(address, headers=self.headers, timeout=60).headers["etag"]
        said = {"document": document, "plan": AT_ONCE}
        httpx.put(address, headers={**self.headers, "If-Match": seen}, json=said, timeout=60).raise_for_status()

    def stands(self):
        return self.get(f"/runtimes/{self.runtime}/configuration")

    def rollout(self, config, version):
        return self.get(f"/configs/{config}/versions/{version}/rollout")["state"]


@pytest.fixture
def desk(up, site):
    return Desk(up, site)


def test_a_document_reaches_the_machine_acts_there_and_drift_is_seen(site, desk):
    site.once()
    key = site.ended()
    path = site._state(key)
    current = site.agent / "configuration/current"
    with daemon(site.agent, **QUICK):
        config = desk.make(
            {
                "redaction": {"words": ["Quandt"]},
                "prompts": {"greeting": {"text": "Good morning"}},
                "plugins": {"search": {"version": "1.2"}},
            }
        )
        assert eventually(lambda: desk.rollout(config, 1) == "finished")
        assert desk.stands()["state"] == "applied"
        assert (current / "prompts/greeting.md").read_text() == "Good morning"
        assert json.loads((current / "versions.json").read_text())["prompts"] == {"greeting": 1}

        state = json.loads(path.read_text())
        state["result"] = {**(state.get("result") or {}), "success": False, "error": "ValueError: nothing from Quandt"}
        path.write_text(json.dumps(state))
        site.change(key, "failed")
        assert eventually(lambda: "[redacted]" in json.dumps(site.listing("sessions")))
        assert "Quandt" not in json.dumps(site.listing("sessions"))

        (current / "prompts/greeting.md").write_text("mine")
        desk.save(config, {"prompts": {"other": {"text": "x"}}, "redaction": {"words": ["Quandt"]}})
        assert eventually(lambda: desk.rollout(config, 2) == "finished")
        assert not (current / "prompts/greeting.md").exists()


def test_a_configuration_that_kills_the_agent_is_taken_back_by_itself(site, desk):
    site.once()
    with daemon(site.agent, **QUICK):
        config = desk.make({"prompts": {"greeting": {"text": "one"}}})
        assert eventually(lambda: desk.rollout(config, 1) == "finished")

    never = {"RUNTIME_AGENT_CONFIG_PROVING_S": "3600"}
    with daemon(site.agent, **never) as process:
        desk.save(config, {"prompts": {"greeting": {"text": "deadly"}}})
        assert eventually(lambda: desk.stands()["state"] == "applying")
        process.kill()
    for _ in range(2):
        (site.agent / "status.json").unlink(missing_ok=True)
        with daemon(site.agent, **never) as process:
            assert eventually(lambda: (site.agent / "status.json").exists())
            process.kill()

    with daemon(site.agent, **QUICK):
        assert eventually(lambda: desk.rollout(config, 2) == "failed")
        failed = desk.get("/events?types=config.failed")["data"]
        assert "died 3 times" in failed[-1]["data"]["error"]
        assert eventually(lambda: desk.stands()["state"] == "applied")

    assert desk.stands()["applied"] == 3
    assert (site.agent / "configuration/current/prompts/greeting.md").read_text() == "one"
    assert [each["type"] for each in desk.get("/events?types=rollout.failed,rollout.finished")["data"]] == [
        "rollout.finished",
        "rollout.failed",
    ]


def test_a_runtime_that_is_only_called_now_and_then_takes_it_too(site, desk):
    config = desk.make({"agent": {"scan_interval_s": 30}, "redaction": {"withhold": ["models"]}})
    assert eventually(lambda: desk.get(f"/configs/{config}/versions/1/rollout")["wave"] == 1)

    site.once()
    site.once()

    assert desk.stands()["state"] == "applied"
    shown = json.loads(site._agent("doctor", "--json"))["sample"]["lines"]
    assert not any('"model"' in line for line in shown)
