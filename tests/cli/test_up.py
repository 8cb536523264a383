"""``controlplane up``: whatever is killed comes back, whatever it started ends with it, what it was told stays."""

import json
import os
import signal
import stat
import subprocess
import sys
from subprocess import PIPE

import pytest

from tests.programs import alive, command, controlplane, empty_home, eventually, told, up

SERVE = "controlplane serve"


@pytest.fixture(scope="module")
def shared_home():
    """This module's own: what runs in it is killed."""
    with empty_home() as home:
        yield home


@pytest.fixture(scope="module")
def running(shared_home):
    with up(shared_home) as running:
        yield running


def slugs(home):
    return {tenant["slug"] for tenant in json.loads(told(home, "tenant", "list", "--json"))["data"]}


def test_it_reports_where_it_is_and_a_way_in(running, shared_home):
    assert running.report["url"] == running.url
    assert running.report["sign_in"].startswith(f"{running.url}/console/welcome#")
    assert running.report["home"] == str(shared_home)


def test_what_is_secret_is_closed_to_others(running, shared_home):
    secrets = shared_home / "secrets"

    assert mode(secrets) == 0o700
    assert {mode(path) for path in secrets.iterdir()} == {0o600}


def test_a_killed_database_comes_back_on_the_same_port(running, shared_home):
    told(shared_home, "tenant", "create", "before", "--name", "Before")
    port = (shared_home / "postgres" / "port").read_text()
    killed = running.pid_of("bin/postgres -D")

    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: not alive(killed) and running.is_ready())
    assert eventually(lambda: command(shared_home, "tenant", "list").returncode == 0)
    assert (shared_home / "postgres" / "port").read_text() == port
    assert "before" in slugs(shared_home)


@pytest.mark.parametrize("which", [min, max], ids=["the main process", "its worker"])
def test_a_killed_server_comes_back(running, which):
    killed = which(running.pids_of(SERVE))

    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: not alive(killed) and len(running.pids_of(SERVE)) == 2 and running.is_ready())


def test_a_second_one_in_the_same_home_is_refused(running, shared_home):
    done = controlplane(shared_home, "up", "--port", str(running.port + 1))

    assert (done.returncode, done.stdout) == (1, "")
    assert "another process is using" in done.stderr


HOLD = """
import socket
with socket.create_server(("127.0.0.1", 0)) as taken:
    print(taken.getsockname()[1], flush=True)
    input()
"""


def test_a_port_that_is_taken_is_refused_with_who_has_it(home):
    # by a process of its own: one that has held keys, as this may have, shows its account nothing of itself
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=PIPE, stdout=PIPE, text=True) as holder:
        done = controlplane(home, "up", "--port", holder.stdout.readline().strip())
        holder.communicate("\n")

    assert done.returncode == 1
    assert f"process {holder.pid}" in done.stderr
    assert "--port" in done.stderr


def test_secrets_that_are_open_to_others_are_refused_with_the_way_to_mend_it(home):
    for folder in (home, home / "secrets"):
        folder.mkdir()
        folder.chmod(0o755)

    done = controlplane(home, "up")

    assert done.returncode == 1
    assert f"chmod 700 {home}/secrets" in done.stderr


def test_a_database_of_somebody_elses_is_for_serve(home):
    done = controlplane(home, "up", CONTROLPLANE_DATABASE_URL="postgresql://cp_app@db.example.com/cloud")

    assert done.returncode == 1
    assert "controlplane serve" in done.stderr


def test_a_home_without_a_control_plane_is_said_to_be_none(home):
    done = command(home, "tenant", "list")

    assert done.returncode == 1
    assert f"controlplane up --home {home}" in done.stderr
    assert not home.exists()


def test_what_it_was_told_outlives_a_crash_and_a_stop(home):
    with up(home) as first:
        told(home, "tenant", "create", "acme", "--name", "Acme")
        assert first.end(signal.SIGKILL) == -signal.SIGKILL

    with up(home, port=first.port) as second:
        assert slugs(home) == {"acme"}
        assert second.report["sign_in"] != first.report["sign_in"]
        assert second.end(signal.SIGTERM) == 0

    assert slugs(home) == {"acme"}, "with nothing running a command starts the database for itself"
    assert not (home / "secrets" / "running.json").exists()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)
