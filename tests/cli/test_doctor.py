"""``controlplane doctor``: one line for each thing, the next step where one is needed, 1 if anything is bad."""

import json
import os

import asyncpg
import pytest

from controlplane.cli import database_checks, first_steps
from controlplane.cli.home import Home, Running, keep
from tests.programs import command, controlplane


def test_all_is_well_beside_a_running_server(running, shared_home):
    done = controlplane(shared_home, "doctor")

    assert done.returncode == 0, done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} <= {"ok", "warn"}
    assert f"{running.url} is ready" in done.stdout


def test_json_has_every_finding(running, shared_home):
    found = json.loads(command(shared_home, "doctor", "--json").stdout)

    assert found["healthy"] is True
    names = [finding["name"] for finding in found["findings"]]
    assert names[:4] == ["settings", "home", "disk", "keyring"]
    assert {"database", "schema", "roles", "isolation", "partitions", "clock", "redis", "public url", "server"} <= {
        *names
    }


def test_open_secrets_are_bad_and_the_line_says_how_to_mend_it(running, shared_home):
    keyring = shared_home / "secrets" / "keyring.json"
    keyring.chmod(0o644)
    try:
        done = command(shared_home, "doctor")
    finally:
        keyring.chmod(0o600)

    assert done.returncode == 1
    assert f"chmod 600 {keyring}" in done.stdout


def test_a_public_url_without_encryption_is_bad(running, shared_home):
    done = command(shared_home, "doctor", CONTROLPLANE_PUBLIC_URL="http://cloud.example.com")

    assert done.returncode == 1
    assert "is not encrypted" in done.stdout


def test_a_redis_that_is_gone_is_a_warning_for_nothing_is_lost(running, shared_home):
    done = command(shared_home, "doctor", CONTROLPLANE_REDIS_URL="redis://127.0.0.1:1/0")

    assert done.returncode == 0
    assert "Nothing is lost" in done.stdout


def test_the_public_url_is_the_one_that_the_server_was_started_with(running, shared_home):
    assert f"public url  {running.url}\n" in command(shared_home, "doctor").stdout
    said = command(shared_home, "doctor", CONTROLPLANE_PUBLIC_URL="https://cloud.example.com").stdout
    assert "public url  https://cloud.example.com\n" in said


def test_what_is_set_where_the_server_was_started_holds_where_nothing_is_set(tmp_path):
    home = Home(tmp_path / "home")
    home.make()
    keep(home.running, Running(os.getpid(), "http://127.0.0.1:8700", "https://cloud.example.com"))

    assert first_steps.public_url(home) == "https://cloud.example.com"


async def look(url):
    return {finding.name: finding async for finding in database_checks.look(url)}


async def test_a_migrated_database_has_no_fault(app_url):
    found = await look(app_url)

    assert {finding.state for finding in found.values()} <= {"ok", "warn"}


BREACHES = [
    ("ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY", "isolation", "sessions"),
    ("ALTER TABLE runs DISABLE ROW LEVEL SECURITY", "isolation", "runs"),
    ("DROP POLICY tenant ON users", "isolation", "users"),
    ("ALTER TABLE agents OWNER TO cp_app", "roles", "owns tables"),
    ("UPDATE alembic_version SET version_num = '0000'", "schema", "0000"),
]


@pytest.mark.parametrize(("breach", "name", "said"), BREACHES, ids=lambda value: value)
async def test_a_breach_in_the_database_is_bad(app_url, admin_url, breach, name, said):
    connection = await asyncpg.connect(admin_url)
    await connection.execute(breach)
    await connection.close()

    found = (await look(app_url))[name]

    assert found.state == "bad"
    assert said in found.said
    assert found.hint


async def test_logging_in_as_a_superuser_is_bad(admin_url):
    assert (await look(admin_url))["roles"].state == "bad"


def test_a_missing_home_is_bad_and_says_how_to_begin(home):
    done = controlplane(home, "doctor")

    assert done.returncode == 1
    assert f"controlplane up --home {home}" in done.stdout
