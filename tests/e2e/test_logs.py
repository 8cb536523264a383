"""Logs on demand by the real programs: lines as they are written, nothing once nobody looks, and nothing left behind."""

import hashlib
import io
import json
import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from controlplane.demo.home import Shape
from tests import programs
from tests.agent.programs import daemon
from tests.e2e.conftest import Site
from tests.programs import eventually

MARKER = f"marker-{os.getpid()}-zq"

ALL = {"RUNTIME_AGENT_LOGS": "details,tools,raw"}


class Viewer(threading.Thread):
    """Somebody who looks, in a thread of their own, until they go."""

    def __init__(self, url, headers, **query):
        super().__init__()
        self.lines, self.events, self.first_s = [], [], None
        self._gone, self._url, self._headers, self._query = threading.Event(), url, headers, query

    def run(self):
        began = time.monotonic()
        with (
            httpx.Client(timeout=60) as client,
            client.stream("GET", self._url, params=self._query, headers=self._headers) as answer,
        ):
            assert answer.status_code == 200, answer.read()
            event = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    event = line[7:]
                    self.events.append(event)
                if line.startswith("data: ") and event in ("lines", "ended"):
                    said = json.loads(line[6:])
                    self.first_s = self.first_s or time.monotonic() - began
                    self.lines += said.get("lines", [said.get("code")])
                if self._gone.is_set():
                    return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._gone.set()
        self.join(30)


@pytest.fixture
def alone():
    """A control plane of this test's own, which it may end, and a site at it."""
    with programs.empty_home() as home, programs.up(home) as up:
        yield up, Site(up, home.parent, Shape(sessions=5, zone=UTC), datetime.now(UTC))


def looked_at(site):
    """A session, and its folder of logs."""
    key = site.ended()
    site.once()
    agent, _, name = key.partition("/")
    [row] = [row for row in site.listing("sessions") if row["source"]["id"] == name and row["agent"] == agent]
    return row["id"], site.source / "agents" / agent / "sessions" / name / "logs"


def holding(folder, marker):
    """The files below *folder* that hold *marker*: of the database, its log of changes, blobs, letters, all."""
    places = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return [path for path in places if path.is_file() and marker.encode() in path.read_bytes()]


def test_a_tail_shows_lines_as_they_are_written_ends_with_its_viewer_and_leaves_nothing(alone):
    up, site = alone
    session, folder = looked_at(site)
    url = f"{up.url}/v1/tenants/{site.slug}/sessions/{session}/logs/raw"
    marker, run = MARKER, {"path": "run.log", "offset": 0}

    def part():
        return httpx.get(url, params=run, headers=site._bearer, timeout=60)

    with daemon(site.agent, **ALL) as process, (folder / "run.log").open("ab", 0) as log:
        log.write(f"{marker} 0\n".encode())
        assert eventually(lambda: part().status_code == 200)
        with Viewer(f"{url}/tail", site._bearer, **run) as viewer:
            assert eventually(lambda: viewer.lines)
            for number in range(1, 20):
                log.write(f"{marker} {number} Bearer Abcdefgh12345678\n".encode())
                assert eventually(lambda wanted=number: len(viewer.lines) == wanted + 1)
        for number in range(20, 10_000):
            log.write(f"{marker} {number}\n".encode())
        assert part().json()["lines"][0] == f"{marker} 0", "once the viewer is gone the agent has time for others"
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    up.end()

    assert viewer.lines == [f"{marker} 0", *(f"{marker} {number} [secret]" for number in range(1, 20))]
    assert viewer.first_s < 5
    assert said.count("tail.began") == said.count("tail.ended") >= 3
    assert marker not in said + up.logged
    assert holding(up.home, marker) == holding(site.agent, marker) == []
    assert holding(up.home, "log.opened"), "that somebody looked is on record"


def test_collected_logs_stay_where_they_are_made_and_the_receipt_says_what_they_are(alone):
    up, site = alone
    session, folder = looked_at(site)
    (folder / "run.log").write_text(f"{MARKER} of a bundle\n")
    collects = {**ALL, "RUNTIME_AGENT_COMMANDS": "rescan,drain,collect-logs"}
    commands = f"{up.url}/v1/tenants/{site.slug}/commands"

    def asked():
        said = {"session": session, "logs": ["details", "raw"]}
        return httpx.post(f"{commands}/collect-logs", json=said, headers=site._bearer).raise_for_status().json()["id"]

    def receipt(command):
        shown = httpx.get(f"{commands}/{command}", headers=site._bearer).raise_for_status().json()
        return shown if shown["ended_at"] else None

    with daemon(site.agent, **collects):
        command = asked()
        assert eventually(lambda: receipt(command))
        done = receipt(command)
    with daemon(site.agent, **ALL):
        other = asked()
        assert eventually(lambda: receipt(other))
        refused = receipt(other)
    up.end()

    bundle = (site.agent / "collected" / done["bundle"]["name"]).read_bytes()
    assert (done["state"], done["bundle"]["bytes"]) == ("succeeded", len(bundle))
    assert done["bundle"]["sha256"] == hashlib.sha256(bundle).hexdigest()
    with ZipFile(io.BytesIO(bundle)) as held:
        [name] = [name for name in held.namelist() if name.endswith("run.log")]
        assert held.read(name).decode() == f"{MARKER} of a bundle\n"
    assert (refused["state"], refused["code"]) == ("failed", "not-allowed")
    assert holding(up.home, MARKER) == []


def test_what_the_machines_owner_does_not_allow_is_not_shown(up, site):
    session, folder = looked_at(site)
    (folder / "run.log").write_text("something\n")
    url = f"{up.url}/v1/tenants/{site.slug}/sessions/{session}/logs"
    with daemon(site.agent):
        assert eventually(lambda: httpx.get(f"{url}/details", headers=site._bearer, timeout=60).status_code == 200)
        answer = httpx.get(f"{url}/raw", params={"path": "run.log"}, headers=site._bearer, timeout=60)
    assert (answer.status_code, answer.json()["reason"]) == (409, "not-allowed")
