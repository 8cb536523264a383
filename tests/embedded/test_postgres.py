"""PostgreSQL started from a home, whatever happened to it the last time. Homes were used once before."""

import os
import shutil
import signal
import socket
import stat
import subprocess

import asyncpg
import pytest

from tests.embedded.conftest import ask, ended, eventually


def keep_a_row(url):
    ask(url, "CREATE TABLE kept AS SELECT 7 AS number")


def kept(url):
    return ask(url, "SELECT number FROM kept")


def test_data_and_url_are_the_same_after_a_stop(runner, home):
    with runner.holding(home) as first:
        keep_a_row(first.url)

    with runner.holding(home) as second:
        assert second.url == first.url
        assert kept(second.url) == 7
    assert ended(first.postmaster)
    assert ended(second.postmaster)
    assert ended(second.watcher)


def test_a_home_is_used_by_one_process_at_a_time(runner, home):
    with runner.holding(home) as held:
        assert "another process is using" in runner.refusal(home)
        assert ask(held.url, "SELECT 1") == 1


def test_nothing_is_left_running_when_the_holder_is_killed(runner, home):
    with runner.holding(home) as held:
        keep_a_row(held.url)
        held.kill_holder()
        eventually(lambda: ended(held.postmaster) and ended(held.watcher))

    with runner.holding(home) as again:
        assert kept(again.url) == 7


def test_a_holder_can_start_again_at_once_after_it_was_killed(runner, home):
    for _ in range(3):
        with runner.holding(home) as held:
            held.kill_holder()

    with runner.holding(home) as again:
        assert ask(again.url, "SELECT 1") == 1


def test_a_killed_server_comes_back_under_the_same_url(runner, home):
    with runner.holding(home) as held:
        keep_a_row(held.url)
        os.kill(held.postmaster, signal.SIGKILL)
        eventually(lambda: works(held.url))
        assert kept(held.url) == 7


def works(url):
    try:
        return ask(url, "SELECT 1") == 1
    except (OSError, asyncpg.PostgresError):
        return False


def test_a_server_that_lost_its_watcher_and_its_holder_is_stopped_by_the_next_start(runner, home):
    with runner.holding(home) as held:
        keep_a_row(held.url)
        os.kill(held.watcher, signal.SIGKILL)
        held.kill_holder()
        assert kept(held.url) == 7

    with runner.holding(home) as again:
        assert ended(held.postmaster)
        assert kept(again.url) == 7


def test_a_server_that_lost_its_watcher_is_still_stopped_by_its_holder(runner, home):
    with runner.holding(home) as held:
        os.kill(held.watcher, signal.SIGKILL)
    assert ended(held.postmaster)


def test_what_was_committed_survives_a_power_cut(runner, home):
    with runner.holding(home) as held:
        keep_a_row(held.url)
        held.kill_everything()

    with runner.holding(home) as again:
        assert kept(again.url) == 7


def test_a_process_that_has_the_id_of_a_lost_server_is_left_alone(runner, home):
    with runner.holding(home) as held:
        keep_a_row(held.url)
        held.kill_everything()
    pid_file = home / "postgres/data/postmaster.pid"
    before = pid_file.read_text()
    with somebody_like(pid_file) as stranger:
        pid_file.write_text(before.replace(str(held.postmaster), str(stranger.pid), 1))

        with runner.holding(home) as again:
            assert kept(again.url) == 7
            assert stranger.poll() is None

        stranger.kill()


def somebody_like(path):
    """A process of the account that owns *path*."""
    owner = path.stat()
    switch = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, **switch)


def test_an_empty_process_id_file_is_no_obstacle(runner, home):
    empty = home / "postgres/data/postmaster.pid"
    empty.touch()
    shutil.chown(empty, empty.parent.stat().st_uid)

    with runner.holding(home) as again:
        assert ask(again.url, "SELECT 1") == 1


def test_an_interrupted_making_of_the_data_is_done_again(runner, home):
    (home / "postgres/data").rename(home / "postgres/unfinished")

    with runner.holding(home) as again:
        assert ask(again.url, "SELECT 1") == 1
    assert not (home / "postgres/unfinished").exists()


def test_a_port_that_somebody_else_took_is_replaced(runner, home):
    with runner.holding(home) as held:
        port = int(held.url.rpartition(":")[2].removesuffix("/postgres"))

    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with runner.holding(home) as elsewhere:
            assert f":{port}/" not in elsewhere.url
    with runner.holding(home) as after:
        assert after.url == elsewhere.url


def test_data_of_another_major_version_is_refused_untouched_with_the_ways_out(runner, home):
    (home / "postgres/data/PG_VERSION").write_text("14\n")

    said = runner.refusal(home)

    for part in ("written by PostgreSQL 14", "Found: 1", "postgresql-14", "CONTROLPLANE_DATABASE_URL", "not touched"):
        assert part in said
    assert (home / "postgres/data/PG_VERSION").read_text() == "14\n"


def test_a_server_that_cannot_start_says_why(runner, home):
    (home / "postgres/data/postgresql.conf").write_text("no_such_setting = 1\n")

    assert "no_such_setting" in runner.refusal(home)


def test_a_password_that_others_may_read_is_refused_with_the_remedy(runner, home):
    (home / "postgres/password").chmod(0o644)

    assert f"chmod 600 {home}/postgres/password" in runner.refusal(home)


@pytest.mark.parametrize("name", ["log", "password"])
def test_a_link_in_the_place_of_a_file_is_not_followed(runner, home, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    elsewhere.chmod(0o600)
    (home / "postgres" / name).unlink(missing_ok=True)
    (home / "postgres" / name).symlink_to(elsewhere)

    assert f"{home}/postgres/{name}" in runner.refusal(home)
    assert elsewhere.read_text() == ""


def test_only_the_account_itself_may_look_at_the_data_and_the_password(runner, home):
    with runner.holding(home):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home / "postgres").iterdir()}

    assert modes == {"data": 0o700, "password": 0o600, "port": 0o600, "log": 0o600}
    assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
    assert stat.S_IMODE(home.stat().st_mode) == (0o711 if runner.account is None and os.geteuid() == 0 else 0o700)
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o711


def test_it_listens_on_the_loopback_and_wants_the_password(runner, home):
    with runner.holding(home) as held:
        assert ask(held.url, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(held.url, "SHOW unix_socket_directories") == ""
        assert ask(held.url, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0


def test_a_long_log_is_put_aside_at_the_start(runner, home):
    log = home / "postgres/log"
    os.truncate(log, (10 << 20) + 1)

    with runner.holding(home):
        assert log.stat().st_size < 1 << 20
    assert (home / "postgres/log.1").stat().st_size > 10 << 20
