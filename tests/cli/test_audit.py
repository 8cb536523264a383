"""The audit log at a shell: verified here, exported, verified far from here, held."""

import json

import pytest

from tests.programs import command, run, said, told


@pytest.fixture(scope="module", autouse=True)
def logged(running, shared_home):
    return told(shared_home, "tenant", "create", "logged", "--name", "Logged", "--owner", "ann@example.com")


@pytest.fixture
def exported(shared_home, tmp_path):
    folder = tmp_path / "export"
    assert told(shared_home, "audit", "export", "--tenant", "logged", "--to", folder) == str(folder)
    return folder


def offline(folder, *more):
    """Without any home: there is no database and no keyring."""
    files = ("--jsonl", folder / "events.jsonl", "--checkpoint", folder / "checkpoint")
    home = ("--home", folder / "nowhere")
    return run("controlplane", "audit", "verify", *files, "--public-key", folder / "public-key", *home, *more)


def test_a_log_verifies_where_it_is(shared_home):
    assert said(shared_home, "audit", "verify", "--tenant", "logged").startswith("The log is unbroken: events 1 to ")
    assert told(shared_home, "audit", "verify").startswith("The log is unbroken: events 1 to ")


def test_an_export_verifies_without_the_service(exported):
    done = offline(exported)

    assert (done.returncode, done.stderr) == (0, "")
    count = len((exported / "events.jsonl").read_text().splitlines())
    assert done.stdout == f"The log is unbroken: events 1 to {count}, signed through event {count}.\n"
    assert not (exported / "nowhere").exists()


def test_the_export_itself_is_on_record_and_private(exported):
    last = json.loads((exported / "events.jsonl").read_text().splitlines()[-1])

    assert (last["action"], last["actor"]["kind"]) == ("audit.exported", "shell")
    assert {path.stat().st_mode & 0o777 for path in exported.iterdir()} == {0o600}


def test_damage_has_status_1_and_its_place_and_kind(exported):
    lines = (exported / "events.jsonl").read_text().splitlines(keepends=True)
    (exported / "events.jsonl").write_text("".join([lines[0], lines[1].replace("prod", "prog"), *lines[2:]]))

    done = offline(exported, "--json")

    verdict = json.loads(done.stdout)
    assert done.returncode == 1
    assert verdict["verified"] is False
    assert (verdict["damages"][0]["seq"], verdict["damages"][0]["kind"]) == (2, "content")
    assert "content at event 2" in offline(exported).stdout


def test_an_export_never_overwrites_one(shared_home, exported):
    done = command(shared_home, "audit", "export", "--tenant", "logged", "--to", exported)

    assert done.returncode == 1
    assert "is there already" in done.stderr


def test_the_lines_of_an_export_can_be_piped(shared_home):
    lines = said(shared_home, "audit", "export", "--tenant", "logged").splitlines()

    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))


def test_a_hold_is_set_and_released(shared_home):
    held = json.loads(told(shared_home, "audit", "hold", "--tenant", "logged", "--reason", "a lawsuit", "--json"))
    released = json.loads(told(shared_home, "audit", "release", "--tenant", "logged", "--json"))
    kept = json.loads(told(shared_home, "audit", "retain", "--tenant", "logged", "--days", "90", "--json"))

    assert (held["held"], released["held"], kept["days"]) == ("a lawsuit", None, 90)


def test_files_that_do_not_go_together_are_wrong_usage(shared_home, exported):
    done = command(shared_home, "audit", "verify", "--jsonl", exported / "events.jsonl")

    assert done.returncode == 2


def test_a_key_that_is_none_is_refused_in_words(exported):
    (exported / "public-key").write_text("nonsense")

    done = offline(exported)

    assert done.returncode == 1
    assert "public-key" in done.stderr
    assert "audit-export-unusable" in offline(exported, "--json").stdout
