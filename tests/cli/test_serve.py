"""``controlplane serve`` and ``controlplane db`` against a Postgres that somebody else runs."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import httpx
import pytest

from controlplane.domain import keys
from tests.programs import ENVIRONMENT, alive, command, controlplane, eventually, free_port, said, told

CONNECTIONS = 1_100
"""More than granian takes if nobody tells it."""


@pytest.fixture
def external(app_url, owner_url, home):
    """The environment of an operator who brings a database; the home holds the keyring only."""
    urls = {"CONTROLPLANE_DATABASE_URL": app_url, "CONTROLPLANE_DATABASE_OWNER_URL": owner_url}
    told(home, "db", "init", **urls, CONTROLPLANE_DATABASE_ADMIN_URL=os.environ["TEST_SUPERUSER_URL"])
    return urls


def test_commands_and_two_workers_share_the_database_that_is_given(external, home):
    told(home, "tenant", "create", "acme", "--name", "Acme", **external)
    key = said(home, "api-key", "create", "--tenant", "acme", "--name", "ci", **external)
    port = free_port()
    command = [sys.executable, "-m", "controlplane", "serve", "--home", home, "--port", str(port), "--workers", "2"]
    server = subprocess.Popen(command, env={**ENVIRONMENT, **external})
    try:
        url = f"http://127.0.0.1:{port}/v1/tenants/acme"
        assert eventually(lambda: status(url, key) == 200)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    assert not (home / "postgres").exists()


def test_a_worker_ends_when_its_main_process_is_killed(external, home):
    port = free_port()
    command = [sys.executable, "-m", "controlplane", "serve", "--home", home, "--port", str(port)]
    with subprocess.Popen(command, env={**ENVIRONMENT, **external}) as server:
        assert eventually(lambda: status(f"http://127.0.0.1:{port}/readyz", "") == 200)
        [worker] = children(server.pid)

        server.kill()

    assert eventually(lambda: not alive(worker))


def test_a_worker_answers_beside_more_open_connections_than_its_server_takes_unasked(external, home):
    port, most = free_port(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    command = [sys.executable, "-m", "controlplane", "serve", "--home", home, "--port", str(port)]
    with ExitStack() as open_ones, subprocess.Popen(command, env={**ENVIRONMENT, **external}) as server:
        assert eventually(lambda: status(f"http://127.0.0.1:{port}/readyz", "") == 200)

        for _ in range(CONNECTIONS):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
        answered = status(f"http://127.0.0.1:{port}/readyz", "")
        server.terminate()

    assert answered == 200


def test_another_revision_is_refused_with_the_way_out(external, owner_url, home):
    change(owner_url, "UPDATE alembic_version SET version_num = '0000'")

    for words in (["serve"], ["tenant", "list"], ["db", "check"]):
        done = command(home, *words, **external)
        assert done.returncode == 1
        assert "found revision 0000" in done.stderr
        assert "controlplane db upgrade" in done.stderr


def test_a_newer_database_asks_for_the_newer_release(external, owner_url, home):
    change(owner_url, "UPDATE alembic_version SET version_num = '9999'")

    assert "newer release" in controlplane(home, "serve", **external).stderr


async def test_init_makes_schema_and_keeps_the_passwords_that_are_given(external, home, superuser, database):
    wanted = f"{database}_init"
    urls = {name: url.replace(f"/{database}", f"/{wanted}") for name, url in external.items()}

    made = said(home, "db", "init", "--json", **urls, CONTROLPLANE_DATABASE_ADMIN_URL=os.environ["TEST_SUPERUSER_URL"])

    try:
        assert json.loads(made)["database_url"] == urls["CONTROLPLANE_DATABASE_URL"]
        assert said(home, "db", "check", **urls) == json.loads(made)["revision"]
    finally:
        await superuser.execute(f'DROP DATABASE IF EXISTS "{wanted}" WITH (FORCE)')


def test_without_a_database_url_it_says_what_to_set(home):
    done = command(home, "serve")

    assert done.returncode == 1
    assert "CONTROLPLANE_DATABASE_URL" in done.stderr


def test_a_database_that_does_not_answer_is_said_plainly_and_without_the_password(home):
    said_of = command(
        home, "db", "check", CONTROLPLANE_DATABASE_URL=f"postgresql://cp_app:hunter2@127.0.0.1:{free_port()}/cloud"
    )

    assert said_of.returncode == 1
    assert "cannot be used as cp_app" in said_of.stderr
    assert "hunter2" not in said_of.stderr


def test_a_misspelled_setting_stops_everything_with_its_name(home):
    for words in (["serve"], ["up"], ["tenant", "list"]):
        done = controlplane(home, *words, CONTROLPLANE_PUBLIC_ULR="https://example.com")
        assert done.returncode == 1
        assert "CONTROLPLANE_PUBLIC_ULR: there is no such setting" in done.stderr


def change(url, statement):
    async def work():
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(work())


def status(url, key):
    try:
        return httpx.get(url, headers={"Authorization": f"Bearer {key}"} if key else {}).status_code
    except httpx.TransportError:
        return None


def children(pid):
    told = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(line) for line in told.stdout.split()]


def test_the_keyring_of_another_installation_is_refused_before_anybody_is_served(external, home, tmp_path):
    said(home, "tenant", "create", "acme", "--name", "Acme", **external)
    theirs = tmp_path / "keyring.json"
    keys.write(theirs, keys.new())

    for words in (["serve"], ["tenant", "list"]):
        done = controlplane(home, *words, **external, CONTROLPLANE_KEK=f"file:{theirs}")
        assert done.returncode == 1
        assert "does not belong to this database" in done.stderr
        assert "docs/howto/lose-a-key.md" in done.stderr


def test_a_lost_keyring_is_never_replaced_by_a_new_one(external, home):
    said(home, "operator", "create", "ann@example.com", **external)
    (home / "secrets" / "keyring.json").unlink()

    admin = os.environ["TEST_SUPERUSER_URL"]
    done = controlplane(home, "db", "init", **external, CONTROLPLANE_DATABASE_ADMIN_URL=admin)

    assert done.returncode == 1
    assert "is missing, and the database needs it" in done.stderr
    assert not (home / "secrets" / "keyring.json").exists()


def test_nobody_else_reads_the_memory_of_a_server(external, home):
    port = free_port()
    command = [sys.executable, "-m", "controlplane", "serve", "--home", home, "--port", str(port)]
    with subprocess.Popen(command, env={**ENVIRONMENT, **external}) as server:
        try:
            assert eventually(lambda: status(f"http://127.0.0.1:{port}/readyz", "") == 200)
            limits = [Path(f"/proc/{pid}/limits").read_text() for pid in (server.pid, *children(server.pid))]
        finally:
            server.terminate()

    assert len(limits) == 2
    assert all(re.search(r"^Max core file size +0 ", each, re.MULTILINE) for each in limits)
