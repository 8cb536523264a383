"""The program as people use it: its commands, what they print, and what a kill at any moment leaves behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from tests.agent.homes import NOW, SessionFolder, checkpoint, state, summary
from tests.agent.programs import TOKEN, daemon, join, run, until
from tests.agent.reference import ReferenceServer
from tests.agent.serving import serving


@pytest.fixture
def server():
    return ReferenceServer()


@pytest.fixture
def url(server):
    with serving(server) as at:
        yield at


@pytest.fixture
def source(tmp_path):
    made = tmp_path / "engine"
    (made / "agents").mkdir(parents=True)
    return made


@pytest.fixture
def home(tmp_path, url, source):
    made = tmp_path / "agent"
    done = join(made, url, source)
    assert done.returncode == 0, done.stderr
    return made


def name(number):
    return f"session_20261120_{number // 3600:02}{number // 60 % 60:02}{number % 60:02}_0a1b2c3d"


def session(source, number):
    folder = SessionFolder(source, name=name(number))
    folder.state()
    folder.summary()
    folder.checkpoint(checkpoint("node_start", "intake", NOW))
    return folder


def keys(server, kind="session"):
    return sorted(line["session"] for line in server.lines() if line["kind"] == kind)


def test_help_loads_nothing_heavy():
    command = [sys.executable, "-X", "importtime", "-m", "runtime_agent", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "join" in done.stdout
    assert not [heavy for heavy in ("httpx", "cryptography", "zstandard", "watchfiles") if f" {heavy}\n" in done.stderr]


class TestJoin:
    def test_it_prints_the_runtime_and_keeps_its_keys_to_itself(self, tmp_path, url, source):
        done = join(tmp_path / "agent", url, source)

        assert (done.returncode, done.stdout) == (0, "rt_reference\n")
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "agent").iterdir()}
        assert modes["identity.json"] == 0o600
        assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o700
        assert TOKEN not in "".join(path.read_text() for path in (tmp_path / "agent").iterdir())

    def test_a_refused_token_says_why_and_what_next(self, tmp_path, url, source):
        done = run(tmp_path / "agent", "join", url, "--token", "ec_jt_bad", "--source", f"engine:{source}")

        assert done.returncode == 1
        assert "join-token-unknown" in done.stderr
        assert "hint: Ask for a new one." in done.stderr

    def test_the_same_keys_ask_again_after_a_refusal(self, tmp_path, url, source):
        run(tmp_path / "agent", "join", url, "--token", "ec_jt_bad", "--source", f"engine:{source}")
        first = json.loads((tmp_path / "agent/identity.json").read_bytes())["signing_key"]

        assert join(tmp_path / "agent", url, source).returncode == 0

        assert json.loads((tmp_path / "agent/identity.json").read_bytes())["signing_key"] == first

    def test_the_token_may_come_from_the_environment(self, tmp_path, url, source):
        done = run(
            tmp_path / "agent",
            *("join", url, "--source", f"engine:{source}", "--json", "--name", "here"),
            RUNTIME_AGENT_JOIN_TOKEN=TOKEN,
        )

        assert json.loads(done.stdout) == {
            "id": "rt_reference",
            "name": "here",
            "tenant": "acme",
            "project": "default",
        }

    def test_a_home_joins_once(self, home, url, source):
        done = join(home, url, source)

        assert done.returncode == 1
        assert "holds the runtime rt_reference" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["join", "ftp://x", "--token", "t", "--source", "engine:/x"], "not the URL"),
            (["join", "http://127.0.0.1:9", "--source", "engine:/x"], "no join token"),
            (["join", "http://127.0.0.1:9", "--token", "t", "--source", "oracle:/x"], "known kinds: engine"),
            (["join", "http://127.0.0.1:9", "--token", "t"], "no source is named"),
            (["join", "http://127.0.0.1:9", "--token", "t", "--source", "engine:/x"], "could not be reached"),
            (["once"], "no runtime has joined"),
            (["run"], "no runtime has joined"),
        ],
    )
    def test_what_cannot_be_is_refused_in_a_sentence(self, tmp_path, arguments, said):
        done = run(tmp_path / "agent", *arguments)

        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr

    def test_wrong_usage_is_2(self, tmp_path):
        assert run(tmp_path, "dance").returncode == 2
        assert run(tmp_path, "join").returncode == 2


class TestSettings:
    def test_a_misspelled_setting_stops_the_start(self, home):
        done = run(home, "once", RUNTIME_AGENT_SOURCE_TIMEZON="UTC")

        assert done.returncode == 1
        assert "RUNTIME_AGENT_SOURCE_TIMEZON" in done.stderr
        assert "Did you mean source_timezone?" in done.stderr

    def test_an_unknown_zone_stops_the_start(self, home):
        done = run(home, "once", RUNTIME_AGENT_SOURCE_TIMEZONE="Mars/Olympus")

        assert done.returncode == 1
        assert "RUNTIME_AGENT_SOURCE_TIMEZONE" in done.stderr

    def test_wide_modes_stop_the_start_and_say_how_to_mend_them(self, home):
        home.chmod(0o755)
        (home / "identity.json").chmod(0o644)

        done = run(home, "once")

        assert done.returncode == 1
        assert f"chmod 700 {home} && chmod 600 {home}/identity.json" in done.stderr


class TestOnce:
    def test_everything_is_sent_and_again_nothing(self, home, server, source):
        for number in range(5):
            session(source, number)

        first, second = run(home, "once", "--json"), run(home, "once", "--json")

        assert (first.returncode, second.returncode) == (0, 0)
        assert json.loads(first.stdout)["sent"] == 15
        assert json.loads(second.stdout)["records"] == 0
        assert keys(server) == [name(number) for number in range(5)]

    def test_without_its_outbox_everything_is_sent_again_and_a_change_too(self, home, server, source):
        folder = session(source, 1)
        assert run(home, "once").returncode == 0
        (home / "outbox.db").unlink()
        later = {
            "started_at": (NOW - timedelta(hours=1)).replace(tzinfo=None).isoformat(),
            "updated_at": (NOW + timedelta(minutes=1)).replace(tzinfo=None).isoformat(),
        }
        folder.state(state("failed", timestamps=later))

        assert run(home, "once").returncode == 0

        states = [line for line in server.lines() if line["kind"] == "session"]
        assert [line["status"] for line in states] == ["succeeded", "failed"]
        assert states[0]["changed_at"] < states[1]["changed_at"]
        assert server.epoch == 2

    def test_a_server_that_is_away_leaves_everything_for_the_next_time(self, tmp_path, source, server):
        home = tmp_path / "agent"
        with serving(server) as url:
            join(home, url, source)
        session(source, 1)

        done = run(home, "once", "--json")

        assert done.returncode == 1
        assert json.loads(done.stdout)["left"] == 3

    def test_a_home_that_is_missing_is_said(self, home, source):
        source.rename(source.with_name("elsewhere"))

        done = run(home, "once")

        assert done.returncode == 1
        assert str(source) in done.stderr

    def test_a_damaged_outbox_costs_work_and_nothing_else(self, home, server, source):
        session(source, 1)
        run(home, "once")
        (home / "outbox.db").write_bytes(b"rubbish" * 1000)

        assert run(home, "once").returncode == 0

        assert set(keys(server)) == {name(1)}
        assert (home / "outbox.damaged").exists()


class TestDaemon:
    def test_a_change_arrives_by_itself(self, home, server, source):
        session(source, 1)
        with daemon(home) as process:
            until(lambda: keys(server) == [name(1)])
            session(source, 2)
            until(lambda: keys(server) == [name(1), name(2)] and len(keys(server, "checkpoint")) == 2)

            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0

    def test_it_works_while_the_server_is_away_and_catches_up(self, tmp_path, source, server):
        home = tmp_path / "agent"
        with serving(server) as url:
            join(home, url, source)
        with daemon(home) as process:
            session(source, 1)
            until(lambda: "records" in run(home, "status").stdout and " 0 of 3 " in run(home, "status").stdout)
            assert process.poll() is None

    def test_a_home_that_appears_later_is_noticed(self, home, server, source):
        aside = source.rename(source.with_name("elsewhere"))
        with daemon(home):
            until(lambda: "home-missing" in run(home, "status").stdout)
            until(lambda: any(beat.troubles for beat in server.heartbeats))
            session(aside, 1)
            aside.rename(source)
            until(lambda: keys(server) == [name(1)])

    def test_one_process_a_home(self, home):
        with daemon(home):
            until(lambda: (home / "status.json").exists())
            done = run(home, "once")

        assert done.returncode == 1
        assert "another runtime-agent (process" in done.stderr

    def test_status_tells_what_runs(self, home, server, source):
        session(source, 1)
        with daemon(home) as process:
            until(lambda: len(server.lines()) == 3)
            until(lambda: "connected" in run(home, "status").stdout)
            found = json.loads(run(home, "status", "--json").stdout)

        assert found["running"]["pid"] == process.pid
        assert found["ledger"]["backlog"]["records"] == 0
        assert found["sources"][0]["sessions"] == 1

    def test_a_kill_at_any_moment_doubles_nothing_and_loses_nothing(self, home, server, source):
        """A home is being written all the while; the last life is left to finish.

        The epoch has begun before: whoever is killed between the first welcome and noting it rightly begins another.
        """
        assert run(home, "once").returncode == 0
        rolls = random.Random(20261120)
        written = 0
        for _ in range(8):
            with daemon(home) as process:
                end = time.monotonic() + rolls.uniform(0.3, 1.2)
                while time.monotonic() < end:
                    session(source, written)
                    written += 1
                    time.sleep(rolls.uniform(0.0, 0.02))
                os.kill(process.pid, signal.SIGKILL)

        assert run(home, "once").returncode == 0

        everything = [name(number) for number in range(written)]
        assert sorted(set(keys(server))) == everything  # one seen between two of its files is said twice, rightly
        assert keys(server, "checkpoint") == everything
        applied = server.applied()
        assert len(applied) == len(set(applied))
        assert server.epoch == 1


class TestLeave:
    def test_it_asks_unless_told_not_to(self, home):
        done = run(home, "leave")

        assert done.returncode == 2
        assert "--yes" in done.stderr
        assert (home / "identity.json").exists()

    def test_it_sends_what_is_left_and_forgets_its_keys(self, home, server, source):
        folder = session(source, 1)

        done = run(home, "leave", "--yes", "--json")

        assert json.loads(done.stdout) == {"id": "rt_reference", "left": 0}
        assert keys(server) == [name(1)]
        assert not (home / "identity.json").exists()
        assert not (home / "outbox.db").exists()
        assert (folder.path / "state.json").exists()

    def test_unheard_it_stays_unless_told_to_go(self, tmp_path, source, server):
        home = tmp_path / "agent"
        with serving(server) as url:
            join(home, url, source)
        session(source, 1)

        assert run(home, "leave", "--yes").returncode == 1
        assert (home / "identity.json").exists()
        assert run(home, "leave", "--yes", "--now").returncode == 0
        assert not (home / "identity.json").exists()


class TestDoctor:
    def test_it_shows_exactly_what_would_leave(self, home, server, source):
        folder = session(source, 1)
        found = json.loads(run(home, "doctor", "--json").stdout)
        run(home, "once")

        assert found["sample"]["session"] == folder.key
        shown = [json.loads(line) for line in found["sample"]["lines"]]
        own = {"record_id", "occurred_at"}
        strip = [{name: value for name, value in line.items() if name not in own} for line in shown]
        assert strip == [{name: value for name, value in line.items() if name not in own} for line in server.lines()]

    def test_it_names_what_is_wrong(self, tmp_path, source, server):
        home = tmp_path / "agent"
        with serving(server) as url:
            join(home, url, source)
        source.rename(source.with_name("elsewhere"))
        home.chmod(0o750)

        done = run(home, "doctor")

        assert done.returncode == 1
        assert "PROBLEM  server" in done.stdout
        assert "PROBLEM  source: home-missing" in done.stdout
        assert f"chmod 700 {home}" in done.stdout
        assert summary()["status"] == "success"
