"""Whose database a command takes."""

import os
import subprocess

import pytest

from controlplane.cli import reach
from controlplane.cli.home import Home, Running, keep
from controlplane.embedded import Services, Unavailable


@pytest.fixture
def held(home):
    """A home that another process has locked, with what an ``up`` keeps there."""
    place = Home(home)
    place.make()
    keep(place.database, reach.Urls(app="postgresql://app", owner="postgresql://owner"))
    with Services(home):
        yield place


def test_the_database_of_an_up_that_runs_is_used(held):
    keep(held.running, Running(os.getpid(), "http://127.0.0.1:1", "http://127.0.0.1:1"))

    with reach.database(held.folder) as urls:
        assert urls.app == "postgresql://app"


def test_what_an_up_that_was_killed_has_left_says_nothing(held, monkeypatch):
    monkeypatch.setattr(reach, "PATIENCE_S", 0)
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    keep(held.running, Running(gone.pid, "http://127.0.0.1:1", "http://127.0.0.1:1"))

    with pytest.raises(Unavailable, match="another process is using"), reach.database(held.folder):
        pass
