"""The commands of the tutorial, run as they stand there."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import programs

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r"^```sh ?([a-z ]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Tutorial:
    """The page's commands, with a folder and a port of the test's own."""

    def __init__(self, folder: Path, port: int) -> None:
        own = {"/tmp/tour": str(folder), "8700": str(port), ".venv/bin/": f"{Path(sys.executable).parent}/"}
        text = re.sub("|".join(map(re.escape, own)), lambda found: own[found[0]], PAGE.read_text())
        self.blocks = [
            (how, commands) for how, commands in FENCE.findall(text) if has_curl() or "curl " not in commands
        ]

    def that(self, how: str) -> list[list[str]]:
        """The command of each block marked *how*, in words, without what is set for it."""
        words = [shlex.split(commands) for mark, commands in self.blocks if mark == how]
        return [[word for word in command if not re.match(r"[A-Z_]+=", word)] for command in words]

    def plain(self, first: str, before: str | None = None) -> str:
        """The unmarked blocks from the one with *first* on, up to the one with *before*."""
        unmarked = [commands for mark, commands in self.blocks if not mark]
        places = [n for n, commands in enumerate(unmarked) if first in commands]
        ends = [n for n, commands in enumerate(unmarked) if before and before in commands] or [None]
        return "".join(unmarked[places[0] : ends[0]])

    @property
    def exports(self) -> str:
        lines = "".join(commands for _, commands in self.blocks).splitlines(keepends=True)
        return "".join(line for line in lines if line.startswith("export "))


def has_curl() -> bool:
    return shutil.which("curl") is not None


def at_a_terminal(commands: str) -> str:
    """What they print; the first that fails ends it."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=programs.ENVIRONMENT,
        timeout=programs.PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def port() -> int:
    return programs.free_port()


@pytest.fixture
def tutorial(place: Path, port: int) -> Tutorial:
    return Tutorial(place / "tour", port)


def test_every_command_of_the_tutorial_works(tutorial, place, port):
    up, agent, mover = tutorial.that("keeps running")
    assert up[1:] == ["up", "--home", str(place / "tour/controlplane")]
    at_a_terminal(tutorial.plain("mkdir", before="export"))

    with programs.up(up[-1], port=port):
        printed = at_a_terminal(tutorial.plain("export", before="runtime-agent status"))
        assert re.search(r"looked at 40 sessions, sent [1-9]\d* records, 0 left", printed)
        assert "looked at 40 sessions, sent 0 records, 0 left" in printed
        assert not has_curl() or '"code": "not-found"' in printed

        with running(agent), running(mover):
            status = f"{tutorial.exports}runtime-agent status"
            assert programs.eventually(lambda: ", connected" in at_a_terminal(status))
            at_a_terminal(tutorial.exports + tutorial.plain("runtime-agent status"))

    [away] = tutorial.that("last")
    at_a_terminal(shlex.join(away))
    assert not (place / "tour").exists()


@contextmanager
def running(words: list[str]) -> Iterator[None]:
    """A command that keeps running until Ctrl-C, which ends it well."""
    environment = {**programs.ENVIRONMENT, "RUNTIME_AGENT_SOURCE_TIMEZONE": "UTC", "PATH": search_path()}
    process = subprocess.Popen(words, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        ended = process.wait(programs.PATIENCE_S)
    assert ended == 0


def search_path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"
