"""The control plane of one lane: a database of its own, a server on it that is killed, backups and their restore."""

import asyncio
import os
import signal
import socket
import time
from contextlib import suppress

import asyncpg

from controlplane.cli import recovering
from controlplane.cli.shell import shell
from controlplane.db import roles
from controlplane.db.database import Database
from controlplane.db.roles import Urls
from controlplane.db.upgrade import upgrade
from controlplane.domain import keys, runtime_locks
from controlplane.domain.keys import Keyring, masters
from tests.faults.campaign import programs
from tests.faults.campaign.nursery import Nursery
from tests.faults.processes import runs, until
from tests.make import Make

TEMPLATE = "campaign"
KEYRING = Keyring(current="test", keys={"test": bytes(32)}, pepper=bytes(32))
START_S = 60.0
LOOK_EVERY_S = 0.005

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'cp_app'"
COPY = 'CREATE DATABASE "{}" TEMPLATE "{}" OWNER cp_owner'


async def make_template(superuser):
    """The roles, and a database as the migrations leave it; the URLs of both who log in to it."""
    urls = await roles.prepare(superuser, TEMPLATE)
    await upgrade(urls.owner)
    return urls


class ControlPlane:
    """At most one server, on the same database and port each time."""

    def __init__(self, folder, name, urls, superuser):
        """
        Args:
            name: Of the database, which is a copy of the template.
            urls: Of the template's.
        """
        self.home, self.log, self.file = folder / "control-plane", folder / "server.log", folder / "cloud.backup"
        self.older = folder / "cloud.older"
        """The backup before the last one."""
        self.urls = Urls(app=_at(urls.app, name), owner=_at(urls.owner, name))
        self.superuser = _at(superuser, name)
        self.port = _free_port()
        self._nursery = None
        self._runner = asyncio.Runner()
        self._name, self._template = name, urls.app.rpartition("/")[2]
        self._pid = None
        self._db = self._look = None

    def prepare(self, way, assembled):
        """The database, the keyring and a server.

        Args:
            way: URL by which the server logs in to its database.
            assembled: The app that it serves, without what it works with.
        """
        self.home.mkdir(parents=True)
        keys.write(self.home / "secrets" / "keyring.json", KEYRING)
        settings = f'database_url = "{way}"\ndatabase_owner_url = "{self.urls.owner}"\n'
        (self.home / "controlplane.toml").write_text(settings)
        self._run(self._make())
        self._nursery = Nursery({"serve": programs.serving(assembled, self.home)})
        self.start()
        self.await_ready()

    async def _make(self):
        connection = await asyncpg.connect(_at(self.superuser, "postgres"))
        await connection.execute(COPY.format(self._name, self._template))
        await connection.close()
        db = Database(self.urls.app, sealing=keys.sealing(KEYRING), pool_size=1)
        await masters.check(db, keys.sealing(KEYRING))
        await db.close()

    def start(self):
        self._pid, self._talk = self._nursery.begin("serve", self.port, log=self.log)

    def await_ready(self):
        end = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > end:
                raise AssertionError(f"the server does not start: {self.log.read_text()[-2000:]}")
            time.sleep(LOOK_EVERY_S)

    def _answers(self):
        with socket.socket() as probe:
            probe.settimeout(5)
            try:
                probe.connect(("127.0.0.1", self.port))
                probe.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return b" 200 " in probe.recv(100)
            except OSError:
                return False

    def kill(self):
        """SIGKILL to all of it; the database is not touched."""
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)

    def start_again(self):
        """After a kill."""
        pid, self._pid = self._pid, None
        self._talk.close()
        until(lambda: not runs(pid), "the server has ended", START_S)
        self.start()
        self.await_ready()

    def forget_backups(self):
        """Another schedule begins."""
        for file in (self.file, self.older):
            file.unlink(missing_ok=True)

    def back_up(self):
        """``controlplane db backup``; the one before is kept as well."""
        if self.file.exists():
            self.file.replace(self.older)
        self._run(recovering.backup(self.home, self.urls, self.file))

    def restore(self, file):
        """``controlplane db restore``, as an operator would: the server is stopped before, and started after."""
        self.kill()
        self._run(self._leave())
        self._run(recovering.restore(self.home, self.urls, file))
        self.start_again()

    async def _leave(self):
        """Until nobody works with the database any more."""
        if self._db is not None:
            await self._db.close()
            self._db = None
        if self._look is not None:
            await self._look.close()
            self._look = None
        connection = await asyncpg.connect(self.superuser)
        while await connection.fetchval(OTHERS):  # noqa: ASYNC110 another program tells nobody
            await asyncio.sleep(LOOK_EVERY_S)
        await connection.close()

    def new_tenant(self):
        """A tenant and a join token."""

        async def work():
            make = Make(self._database(), KEYRING)
            tenant = await make.tenant(f"{self._name}-{time.monotonic_ns()}".replace("_", "-"))
            return tenant.tenant_id, await make.join_token(tenant)

        return self._run(work())

    def release(self, tenant_id, runtime_id, recoveries):
        """``controlplane runtime release``."""

        async def work():
            async with self._database().tenant(tenant_id) as tx:
                await runtime_locks.release(tx, shell(), runtime_id, recoveries)

        self._run(work())

    def asking(self, tenant_id):
        """What asks the database as that tenant: rows of the others are not seen."""

        async def work(statement):
            if self._look is None:
                self._look = await asyncpg.connect(self.urls.app)
            await self._look.execute(f"SET app.tenant_id = '{tenant_id}'")
            return await self._look.fetch(statement)

        return lambda statement: self._run(work(statement))

    def end(self):
        """Nothing of it is left."""
        self.kill()
        self._run(self._leave())
        self._run(self._drop())
        self._runner.close()
        if self._nursery is not None:
            self._nursery.close()

    async def _drop(self):
        connection = await asyncpg.connect(_at(self.superuser, "postgres"))
        await connection.execute(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')
        await connection.close()

    def _database(self):
        if self._db is None:
            self._db = Database(self.urls.app, sealing=keys.sealing(KEYRING), pool_size=1)
        return self._db

    def _run(self, work):
        return self._runner.run(work)


def _at(url, name):
    return f"{url.rpartition('/')[0]}/{name}"


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
