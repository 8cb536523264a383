"""A running control plane, and for each test a tenant with a runtime of its own."""

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.demo.home import Shape, Truth, write_home
from tests import programs

_serial = itertools.count(1)


class Site:
    """A tenant, an EngineX home in its network, and the agent beside it."""

    def __init__(self, up: programs.Up, folder: Path, shape: Shape, now: datetime, **environ: str) -> None:
        self.slug = f"tenant-{next(_serial)}"
        self.source, self.agent = folder / self.slug / "engine", folder / self.slug / "agent"
        self.truth: Truth = write_home(self.source, shape, now=now)
        self._up = up
        self._environ = {"RUNTIME_AGENT_SOURCE_TIMEZONE": "UTC", **environ}
        programs.told(up.home, "tenant", "create", self.slug, "--name", self.slug)
        key = programs.told(up.home, "api-key", "create", "--tenant", self.slug, "--name", "tests")
        self._bearer = {"Authorization": f"Bearer {key}"}
        token = programs.told(up.home, "join-token", "create", "--tenant", self.slug)
        self._agent("join", up.url, "--token-stdin", "--source", f"engine:{self.source}", stdin=token)

    def once(self) -> int:
        """How many records it sent; none may be left."""
        done = json.loads(self._agent("once", "--json"))
        assert done["left"] == 0
        sent: int = done["sent"]
        return sent

    def listing(self, what: str) -> list[dict[str, Any]]:
        """All there are of *what*, through the API, page after page."""
        found: list[dict[str, Any]] = []
        cursor = {}
        while True:
            answer = self._up.get(
                f"/v1/tenants/{self.slug}/{what}", params={"limit": 200, **cursor}, headers=self._bearer
            ).raise_for_status()
            found += answer.json()["data"]
            if not answer.json()["page"]["has_more"]:
                return found
            cursor = {"cursor": answer.json()["page"]["next_cursor"]}

    def decide(self, policy: str, **more: str) -> None:
        """What of checkpoints leaves the tenant's network."""
        address = f"{self._up.url}/v1/tenants/{self.slug}/projects/default/content-policy"
        httpx.put(address, json={"policy": policy, **more}, headers=self._bearer).raise_for_status()

    def content(self, checkpoint: str) -> bytes:
        """What the API gives out for a checkpoint."""
        address = f"/v1/tenants/{self.slug}/checkpoints/{checkpoint}/content"
        given: bytes = self._up.get(address, headers=self._bearer).raise_for_status().content
        return given

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        return {what: self.listing(what) for what in ("agents", "sessions", "runs", "checkpoints")}

    def ended(self) -> str:
        """A session that came to its end, and says so in its own state: not all that servers triggered have one."""
        return next(key for key in self.truth.sessions if self._status(key) in {"completed", "failed"})

    def change(self, key: str, status: str) -> None:
        """Have the runtime write another status for the session *key*, now."""
        path = self._state(key)
        state = json.loads(path.read_text())
        state["status"] = status
        state["timestamps"]["updated_at"] = datetime.now(UTC).replace(tzinfo=None).isoformat()
        path.write_text(json.dumps(state))

    def _status(self, key: str) -> str | None:
        path = self._state(key)
        told: str | None = json.loads(path.read_text()).get("status") if path.exists() else None
        return told

    def _state(self, key: str) -> Path:
        agent, _, session = key.partition("/")
        return self.source / "agents" / agent / "sessions" / session / "state.json"

    def _agent(self, *words: str, stdin: str = "") -> str:
        done = programs.agent(self.agent, *words, stdin=stdin, **self._environ)
        assert done.returncode == 0, done.stderr
        return done.stdout


def agrees(site: Site) -> None:
    """What the API shows is what the home holds, to the last token."""
    shown, truth = site.everything(), site.truth
    assert {agent["name"] for agent in shown["agents"]} == truth.agents
    assert {f"{row['agent']}/{row['source']['id']}": word(row) for row in shown["sessions"]} == truth.sessions
    assert len(shown["sessions"]) == len(truth.sessions)
    assert len(shown["runs"]) == truth.runs
    assert Counter(row["kind"] for row in shown["checkpoints"]) == truth.checkpoints
    assert total(shown["sessions"], "tokens") == (truth.input_tokens, truth.output_tokens)
    assert total(shown["sessions"], "logged_tokens") == (truth.logged_input_tokens, truth.logged_output_tokens)
    assert sum(row["cost"]["micro_usd"] or 0 for row in shown["sessions"]) == truth.micro_usd


def word(session: dict[str, Any]) -> str:
    waiting_for = session["waiting_for"]
    return f"{session['status']}/{waiting_for}" if waiting_for else str(session["status"])


def total(rows: list[dict[str, Any]], name: str) -> tuple[int, int]:
    return sum(row[name]["input"] for row in rows), sum(row[name]["output"] for row in rows)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder).resolve()


@pytest.fixture(scope="session")
def up(place: Path) -> Iterator[programs.Up]:
    with programs.up(place / "home") as running:
        yield running


@pytest.fixture
def site(up: programs.Up, place: Path) -> Site:
    return Site(up, place, Shape(sessions=60, zone=UTC), datetime.now(UTC))
