"""Credentials that are kept as the runtime's own files: fresh, whole, gone when they have to be, and nobody else's."""

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet

from controlplane.domain import runtimes
from controlplane.domain.vault import leased, policies, statics
from controlplane.kit.secret import Secret
from runtime_agent import credential_files, daemon, engine_files
from runtime_agent.agent import Post, opened
from runtime_agent.settings import Settings
from tests.agent import rig
from tests.agent.programs import run, until
from tests.agent.wires import Wire, joined
from tests.domain.vault.begun import SECRET
from tests.http.lessees import policy, typed
from tests.make import SHELL

KEY = Fernet.generate_key()
FIELDS = {
    *("id", "credential_type", "keys", "provider_id", "last_refreshed", "auto_refresh", "last_used", "use_count"),
    *("description", "tags", "created_at", "updated_at"),
}
"""Of a credential, as the runtime's own code writes it."""


def engine_home(folder):
    """As the runtime leaves it: with a key, and with a credential of its own."""
    credentials = folder / "credentials" / "credentials"
    credentials.mkdir(parents=True)
    (folder / "secrets").mkdir()
    (folder / "agents").mkdir()
    (folder / "secrets" / "credential_key").write_bytes(KEY)
    (credentials / "grafana.enc").write_bytes(Fernet(KEY).encrypt(b'{"id": "grafana", "keys": {}}'))
    return folder


class Files:
    """One agent after the other on one home."""

    def __init__(self, home, engine, identity, clock, wire):
        self.home, self.engine, self.identity, self.clock, self.wire = home, engine, identity, clock, wire

    def started(self, *specs):
        settings = Settings(sources=[f"engine:{self.engine}"], credential_files=list(specs))
        return opened(Post(self.home, settings, self.identity), self.clock, self.wire)

    def path(self, name="mail"):
        return engine_files.path_of(self.engine, name)

    def stored(self, name="mail"):
        """What the runtime reads; None: nothing is there."""
        path = self.path(name)
        return json.loads(Fernet(KEY).decrypt(path.read_bytes())) if path.exists() else None

    def secret(self):
        return (stored := self.stored()) and stored["keys"]["value"]["value"]


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def files(app, client, clock, make, tenant, tmp_path):
    home = tmp_path / "agent"
    home.mkdir()
    identity = await joined(client, clock, await make.join_token(tenant), home)
    return Files(home, engine_home(tmp_path / "engine"), identity, clock, Wire(app))


@pytest.fixture
async def allowed(db, tenant):
    return await policy(db, tenant)


@pytest.fixture
async def connection(db, tenant, allowed):
    return await typed(db, tenant)


def codes(agent):
    return [trouble.code for trouble in agent.troubles.all()]


async def test_it_stands_there_as_the_runtime_writes_it_and_nothing_else_is_touched(files, connection, clock):
    before = files.path("grafana").read_bytes()

    async with files.started("hush=mail") as agent:
        assert await agent.keep_files() == pytest.approx(credential_files.LOOK_S)

    stored = files.stored()
    assert stored.keys() == FIELDS
    assert (stored["id"], stored["credential_type"], stored["auto_refresh"]) == ("mail", "api_key", False)
    ends = (clock() + timedelta(minutes=15)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert stored["keys"]["value"] == {"name": "value", "value": "s3cret-of-acme", "expires_at": ends, "metadata": {}}
    assert stored["keys"]["_alias"]["value"] == "hush"
    assert files.path().stat().st_mode & 0o777 == 0o600
    assert files.path("grafana").read_bytes() == before
    assert {path.name for path in files.path().parent.iterdir()} == {"grafana.enc", "mail.enc"}
    assert b"s3cret" not in b"".join(path.read_bytes() for path in files.home.iterdir())


async def test_it_is_renewed_ahead_of_its_end_and_not_written_before(files, connection, clock):
    async with files.started("hush=mail") as agent:
        await agent.keep_files()
        first, inode = files.stored(), files.path().stat().st_ino
        await agent.keep_files()
        assert files.path().stat().st_ino == inode

        clock.forward(timedelta(minutes=10))
        await agent.keep_files()

    assert files.wire.leased() == ["leases", "renew"]
    assert files.stored()["keys"]["value"]["expires_at"] > first["keys"]["value"]["expires_at"]


async def test_the_next_credential_takes_the_place_of_one_that_is_superseded(files, connection, db, tenant):
    async with files.started("hush=mail") as agent:
        await agent.keep_files()
        async with db.tenant(tenant.tenant_id) as tx:
            await statics.replace(tx, SHELL, SECRET, connection.id, {"value": Secret("another")})
        await agent.beat()
        await agent.keep_files()

    assert files.secret() == "another"


async def test_what_is_taken_back_is_removed(files, connection, allowed, db, tenant):
    async with files.started("hush=mail") as agent:
        await agent.keep_files()
        async with db.tenant(tenant.tenant_id) as tx:
            [lease] = await leased.listing(tx, limit=9)
            await leased.revoke(tx, SHELL, lease.id)
            await policies.delete(tx, SHELL, allowed.id)
        await agent.beat()
        await agent.keep_files()

        assert files.stored() is None
        assert codes(agent) == ["credential-not-had"]
    assert credential_files.kept(files.home) == []


async def test_a_revoked_runtime_keeps_nothing(files, connection, db, tenant):
    async with files.started("hush=mail") as agent:
        await agent.keep_files()
        async with db.tenant(tenant.tenant_id) as tx:
            await runtimes.revoke(tx, SHELL, files.identity.runtime_id)
        await agent.beat()
        await agent.keep_files()

    assert files.stored() is None


async def test_when_nobody_answers_it_stays_until_it_ends(files, connection, clock):
    async with files.started("hush=mail") as agent:
        await agent.keep_files()
        files.wire.twist = lambda body: b"<html>"
        clock.forward(timedelta(minutes=14))
        await agent.keep_files()
        assert files.secret() == "s3cret-of-acme"

    async with files.started("hush=mail") as agent:  # and in the next process, too
        await agent.keep_files()
        assert files.secret() == "s3cret-of-acme"
        clock.forward(timedelta(minutes=1))
        await agent.keep_files()
        assert files.stored() is None


async def test_a_file_that_is_not_the_agents_is_never_touched(files, connection):
    own = files.path("grafana").read_bytes()
    async with files.started("hush=grafana", "hush=mail") as agent:
        await agent.keep_files()
        assert codes(agent) == ["credential-file-foreign"]
        theirs = Fernet(KEY).encrypt(b'{"id": "mail", "keys": {}}')
        files.path().write_bytes(theirs)
        await agent.keep_files()

    async with files.started() as agent:
        assert not agent.files.any()
    assert (files.path("grafana").read_bytes(), files.path().read_bytes()) == (own, theirs)


async def test_what_is_not_wanted_any_more_is_removed_by_the_next_process(files, connection):
    async with files.started("hush=mail") as agent:
        await agent.keep_files()
    async with files.started("hush=post") as agent:
        await agent.keep_files()

    assert files.stored() is None
    assert files.stored("post")["id"] == "post"


async def test_without_the_runtimes_key_nothing_is_written_and_none_is_made(files, connection):
    key = files.engine / "secrets" / "credential_key"
    key.unlink()
    async with files.started("hush=mail") as agent:
        await agent.keep_files()
        assert codes(agent) == ["credential-key-unfit"]

    assert not key.exists()
    assert files.stored() is None
    assert files.wire.leased() == []


async def test_the_daemon_keeps_it_and_looks_again_after_a_heartbeat(files, connection, allowed, db, tenant):
    async with files.started("hush=mail") as agent, asyncio.TaskGroup() as group:
        its = daemon.Daemon(agent)
        loops = [group.create_task(loop()) for loop in its.loops()]
        await asyncio.to_thread(until, lambda: files.secret() == "s3cret-of-acme")
        async with db.tenant(tenant.tenant_id) as tx:
            await leased.revoke_all(tx, SHELL, leased.ALL)
            await policies.delete(tx, SHELL, allowed.id)
        its._news.set()
        await asyncio.to_thread(until, lambda: files.stored() is None)
        for loop in loops:
            loop.cancel()
        its.close()


def _dies_at(line, work):
    """Run *work* in a process that is killed before the *line*-th line of Python that it executes; whether it was."""
    if (child := os.fork()) == 0:
        lines = iter(range(line))

        def trace(frame, event, _):
            if event == "line" and next(lines, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_kill_between_any_two_lines_leaves_the_old_or_the_new_one_whole(tmp_path):
    path, key = engine_files.path_of(engine_home(tmp_path), "mail"), Fernet(KEY)
    old, new = ({"id": "mail", "keys": {}, "padding": letter * 20_000} for letter in "on")
    engine_files.write(path, key, old)
    seen, line = set(), 0

    while _dies_at(line, lambda: engine_files.write(path, key, new)):
        found = json.loads(key.decrypt(path.read_bytes()))
        seen.add(found["padding"][0])
        engine_files.write(path, key, old)
        line += 1

    assert seen == {"o", "n"}
    assert line > 10
    assert {each.name for each in path.parent.iterdir()} == {"grafana.enc", "mail.enc"}


class TestProgram:
    @pytest.fixture
    def home(self, tmp_path):
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        rig.joined(home, "http://127.0.0.1:9")
        return home

    def test_status_and_doctor_tell_of_it(self, home, tmp_path):
        engine = engine_home(tmp_path / "engine")
        given = {"RUNTIME_AGENT_SOURCES": f"engine:{engine}", "RUNTIME_AGENT_CREDENTIAL_FILES": "Mail of Ada=mail"}
        assert "file      mail (Mail of Ada): not there" in run(home, "status", **given).stdout

        (engine / "secrets" / "credential_key").write_text("none")
        told = run(home, "doctor", **given).stdout
        assert "PROBLEM  credential key: the runtime's credential key is no Fernet key" in told
        assert "WARNING  credential file: mail: Mail of Ada is not there, or has ended" in told
        told = run(home, "doctor", ENGINE_CREDENTIAL_KEY=KEY.decode(), **given).stdout
        assert "credential key" not in told

    def test_leaving_removes_what_was_written(self, home, tmp_path):
        path, key = engine_files.path_of(engine_home(tmp_path / "engine"), "mail"), Fernet(KEY)
        credential = {"keys": {engine_files.OURS: {"value": "rt_reference"}}}
        credential_files.Ledger(home).note(credential_files.Kept(path=str(path), name="hush"))
        engine_files.write(path, key, credential)

        run(home, "leave", "--yes", "--now", RUNTIME_AGENT_SOURCES=f"engine:{tmp_path}/engine")

        assert not path.exists()
        assert not (home / credential_files.LEDGER).exists()

    @pytest.mark.parametrize("spec", ["=mail", "hush=../mail", "hush=a/b", "hush=", "two words", "a=mail,b=mail"])
    def test_what_names_no_file_stops_the_start(self, home, tmp_path, spec):
        given = {"RUNTIME_AGENT_SOURCES": f"engine:{tmp_path}", "RUNTIME_AGENT_CREDENTIAL_FILES": spec}

        done = run(home, "once", **given)

        assert done.returncode == 1
        assert "credential_files" in done.stderr
