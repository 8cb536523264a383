"""Noticing changes, and saying so where it cannot be done."""

import subprocess
import sys
import threading

import pytest

from runtime_agent.watch import Watcher
from tests.agent.homes import SessionFolder, engine
from tests.agent.programs import until


@pytest.fixture
def home(tmp_path):
    made = tmp_path / "engine"
    (made / "agents").mkdir(parents=True)
    return made


@pytest.fixture
def told():
    return set()


@pytest.fixture
def watcher(home, told):
    made = Watcher(engine(home), told.update)
    yield made
    made.stop()


def test_a_change_and_a_new_session_are_told(home, told, watcher):
    one = SessionFolder(home)
    watcher.ensure()
    until(lambda: _told_of(one, told))

    other = SessionFolder(home, agent="other")
    until(lambda: _told_of(other, told))

    assert watcher.active
    assert watcher.troubles == []


def _told_of(folder, told):
    """Writes until it is told: when watching begins is not known from outside."""
    folder.state()
    return folder.key in told


def test_a_home_that_is_not_there_is_watched_once_it_is(home, told, watcher):
    aside = home.rename(home.with_name("elsewhere"))
    watcher.ensure()
    assert not watcher.active

    aside.rename(home)
    watcher.ensure()

    folder = SessionFolder(home)
    until(lambda: _told_of(folder, told))


def test_what_cannot_be_watched_is_said_once_in_ten_minutes(home, told, watcher, monkeypatch):
    source = engine(home)
    monkeypatch.setattr(type(source), "watch_paths", lambda self: [home / "not-there"])
    watcher.ensure()
    until(lambda: bool(watcher.troubles))
    thread = watcher._thread

    watcher.ensure()

    assert not watcher.active
    assert watcher.troubles[0].code == "watch-limit"
    assert watcher._thread is thread


LIMITED = """
import sys, time
from pathlib import Path
from datetime import UTC
from runtime_agent.sources import open_source
from runtime_agent.watch import Watcher

Path("/proc/sys/user/max_inotify_watches").write_text("20")
told = set()
watcher = Watcher(open_source("engine", Path(sys.argv[1]), UTC), told.update)
watcher.ensure()
while not watcher.troubles:
    time.sleep(0.01)
print(watcher.troubles[0].line)
watcher.stop()
"""


def test_when_the_system_allows_too_few_watches_that_is_said(home):
    for number in range(30):
        SessionFolder(home, name=f"session_20261120_1100{number:02}_0a1b2c3d").state()

    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", LIMITED, str(home)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    if "unshare" in done.stderr:
        pytest.skip("user namespaces are switched off here: the limit cannot be lowered for one process alone")
    assert "limit reached" in done.stdout, done.stderr


def test_it_stops_at_once(home, told, watcher):
    watcher.ensure()
    watcher.stop()

    assert not any(thread.name == "watch" for thread in threading.enumerate())
