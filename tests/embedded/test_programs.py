"""Which PostgreSQL is taken, and what is done where its account cannot reach it."""

import os
import pwd

import pytest

from controlplane.embedded import Unavailable, programs
from controlplane.embedded.account import Account, run
from tests.embedded.conftest import ask


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Puts programs that tell a version on PATH, in order; nothing else is found."""
    monkeypatch.setattr(programs, "DEBIAN", (f"{tmp_path}/debian/*/bin",))
    monkeypatch.setattr(programs, "HOMEBREW", (f"{tmp_path}/brew/postgresql@*/bin",))
    monkeypatch.setattr(programs, "WHEEL", "no-such-wheel")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("SERVICES_FROM", raising=False)
    monkeypatch.delenv("SERVICES_PG_BIN", raising=False)

    def install(where, version):
        bin_ = tmp_path / where / "bin"
        bin_.mkdir(parents=True)
        for name in ("initdb", "postgres"):
            (bin_ / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
            (bin_ / name).chmod(0o755)
        return bin_.parent

    return install


def test_what_is_on_the_path_comes_first(installed, monkeypatch):
    installed("debian/17", "17.2")
    mine = installed("mine", "16.1 (Debian 16.1-1)")
    monkeypatch.setenv("PATH", f"{mine}/bin:/usr/bin:/bin")

    assert programs.find_postgres() == (mine, "16.1")


def test_a_link_on_the_path_leads_to_the_whole_installation(installed, tmp_path, monkeypatch):
    whole = installed("debian/15", "15.18")
    links = tmp_path / "links"
    links.mkdir()
    (links / "initdb").symlink_to(whole / "bin/initdb")
    monkeypatch.setenv("PATH", f"{links}:/usr/bin:/bin")

    assert programs.find_postgres().home == whole


def test_the_newest_supported_one_is_taken(installed):
    for version in ("9.6", "15", "17", "19"):
        installed(f"debian/{version}", f"{version}.1")

    assert programs.find_postgres().major == 17


def test_homebrew_is_looked_into(installed):
    home = installed("brew/postgresql@18", "18.0")

    assert programs.find_postgres() == (home, "18.0")


def test_the_one_that_wrote_the_data_is_taken(installed):
    for version in ("15", "17"):
        installed(f"debian/{version}", f"{version}.1")

    assert programs.find_postgres(written_by=15).version == "15.1"


def test_one_that_does_not_run_is_passed_over(installed, tmp_path, monkeypatch):
    broken = installed("broken", "18.0")
    (broken / "bin/postgres").write_text("#!/bin/sh\nexit 1\n")
    installed("debian/15", "15.1")
    monkeypatch.setenv("PATH", f"{broken}/bin:/usr/bin:/bin")

    assert programs.find_postgres().version == "15.1"


def test_finding_none_names_what_there_is_and_what_to_do(installed):
    old = installed("debian/14", "14.9")

    with pytest.raises(Unavailable) as refused:
        programs.find_postgres()

    for part in (f"14.9 in {old}", "engine-cloud[embedded]", "CONTROLPLANE_DATABASE_URL"):
        assert part in str(refused.value)


def test_the_wheel_alone_is_enough(ourselves, home):
    with ourselves.holding(home, SERVICES_FROM="wheel") as held:
        assert int(ask(held.url, "SHOW server_version_num")) // 10000 == 18


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL under another account")
def test_programs_that_the_account_cannot_reach_are_copied(home, tmp_path, monkeypatch):
    monkeypatch.setenv("SERVICES_FROM", "wheel")
    found = pwd.getpwnam("nobody")
    account = Account(found.pw_name, found.pw_uid, found.pw_gid)
    closed = tmp_path / "closed"
    wheel = programs.find_postgres().home.parent
    closed.mkdir(mode=0o700)
    for package in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        (closed / package.name).symlink_to(package)
    hidden = programs.Programs(closed / wheel.name / programs.find_postgres().home.name, "18.4")
    (home / "programs/18.3").mkdir(parents=True)

    copy = programs.reachable(hidden, account, home / "programs")

    home.chmod(0o711)
    assert run(account, [copy.home / "bin/postgres", "--version"]).returncode == 0
    assert programs.reachable(hidden, account, home / "programs") == copy
    assert [place.name for place in (home / "programs").iterdir()] == ["18.4"]
    assert programs.reachable(hidden, None, home / "programs") == hidden


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL under another account")
def test_copies_of_programs_that_a_umask_closed_are_open(home, tmp_path):
    found = pwd.getpwnam("nobody")
    account = Account(found.pw_name, found.pw_uid, found.pw_gid)
    program = tmp_path / "package/installed/bin/postgres"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.4'\n")
    for place in (program, *program.parents[:3]):
        place.chmod(0o700)
    home.mkdir()
    home.chmod(0o711)

    copy = programs.reachable(programs.Programs(program.parents[1], "18.4"), account, home / "programs")

    assert run(account, [copy.home / "bin/postgres", "--version"]).returncode == 0
