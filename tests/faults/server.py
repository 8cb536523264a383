"""``controlplane up`` in a home of its own, to be killed in every way there is, backed up and restored."""

import asyncio
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from typing import NamedTuple

import asyncpg
import msgspec

from controlplane.db.roles import Urls
from tests.faults import processes
from tests.faults.processes import below, everything, kill, runs, until

START_S = 150.0
"""Until it answers, on a machine that has other things to do: crash recovery, and the pause of ``up`` that doubles."""

HIT_S = 120.0
"""How long after a kill of something of its own a start may fail for it."""

PORTS = range(20_000, 30_000)
"""Below those that outgoing connections get: nobody else takes ours while it is down."""

REFUSED = 1
"""Exit status of a program that says what is wrong."""

KILLS = ("worker", "main", "up", "power", "postmaster", "backend")


AWAY = (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)
"""A database that was just hit."""


class Answer(NamedTuple):
    rows: list[asyncpg.Record]


class ControlPlane:
    """At most one ``up``, on the same home and port each time."""

    def __init__(self, folder, dice, trace):
        self.home, self.log = folder / "control-plane", folder / "up.log"
        self.data = self.home / "postgres" / "data"
        self.backup = folder / "backup"
        self.port = _free_port(dice)
        self._dice, self._trace = dice, trace
        self._up = None
        self._hit_at = -HIT_S

    def start(self):
        """Does not wait until it answers."""
        words = ["up", "--json", "--home", self.home, "--port", self.port]
        self._up = processes.start("controlplane", *words, log=self.log)

    def await_ready(self):
        until(self._answers, "the server answers", START_S)

    def _answers(self):
        self._see_to_up()
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def _see_to_up(self):
        """It may give up when its database or its server is killed while it starts; then somebody starts it again."""
        status = self._up.poll()
        if status is None:
            return
        if status != REFUSED or time.monotonic() > self._hit_at + HIT_S:
            raise AssertionError(f"`up` ended by itself with {status}: {self.log.read_text()[-2000:]}")
        self._trace.say("scrash", "up gave up, and is started again")
        self.start()

    def command(self, *words):
        """What a command of ``controlplane`` prints."""
        words = [sys.executable, "-m", "controlplane", *map(str, words), "--home", self.home]
        return subprocess.run(
            words, capture_output=True, text=True, check=True, env=processes.ENVIRONMENT, cwd="/"
        ).stdout.strip()

    def kill(self, what):
        """SIGKILL to one process, or with ``power`` to all at once; ``up`` is started again if it was hit.

        Returns:
            False if there was none.
        """
        found = until(lambda: self._victims(what), f"there is a {what} to kill", START_S)
        self._trace.say("scrash", f"{what} {' '.join(str(victim) for victim in found)}")
        hit = [kill(victim) for victim in found]
        self._hit_at = time.monotonic()
        if what in ("up", "power"):
            self._up.wait()
        return any(hit)

    def _victims(self, what):
        self._see_to_up()
        family = below(self._up.pid)
        if what in ("up", "power"):
            return [self._up.pid, *(one.pid for one in family if what == "power")]
        postmasters = [one for one in family if f"-D {self.data} " in one.words and "watch.py" not in one.words]
        if what == "postmaster":
            return [one.pid for one in postmasters]
        if what == "backend":
            ours = [one.pid for one in family if one.parent in {each.pid for each in postmasters}]
            return [self._dice.choice(ours)] if ours else []
        mains = [one.pid for one in family if f"serve --host 127.0.0.1 --port {self.port}" in one.words]
        leading = [one for one in family if one.pid in mains and one.parent not in mains and "{" not in one.words]
        if what == "main":
            return [one.pid for one in leading]
        return [one.pid for one in family if one.parent in {each.pid for each in leading}][:1]

    def stop(self):
        """In order, and nothing stays behind."""
        pids = self.remaining()
        self._up.send_signal(signal.SIGTERM)
        status = self._up.wait(START_S)
        if status:
            raise AssertionError(f"`up` stopped with {status}")
        self.await_gone(pids)

    def remaining(self):
        """Process ids of all that ``up`` started and that still run; call before killing it."""
        return [one.pid for one in below(self._up.pid)]

    def await_gone(self, pids):
        until(lambda: not any(runs(pid) for pid in pids), "what `up` started has ended", START_S)

    def end(self):
        """Whatever happened: nothing of it runs afterwards."""
        if self._up is None:
            return
        pids = self.remaining()
        if self._up.poll() is None:
            self._up.kill()
            self._up.wait()
        pids += [one.pid for one in everything() if f"{self.home}/" in one.words or f"--port {self.port} " in one.words]
        for pid in pids:
            kill(pid)
        self.await_gone(pids)

    def back_up(self):
        """A copy of the database's folder; nothing may run."""
        shutil.rmtree(self.backup, ignore_errors=True)
        subprocess.run(["/bin/cp", "-a", self.data, self.backup], check=True)
        self._trace.say("backup")

    def restore(self):
        """The folder as it was copied; nothing may run. The store's id is to be changed before anybody calls."""
        shutil.rmtree(self.data)
        subprocess.run(["/bin/cp", "-a", self.backup, self.data], check=True)
        self._trace.say("restore")

    def rotate_store(self):
        """What a restore does last: agents that knew the database as it was must notice."""
        self.ask("UPDATE store SET store_id = gen_random_uuid(), made_at = now()")

    @property
    def admin_url(self):
        place = self.home / "postgres"
        return f"postgresql://postgres:{(place / 'password').read_text()}@127.0.0.1:{(place / 'port').read_text()}/engine_cloud"

    @property
    def app_url(self):
        return msgspec.json.decode((self.home / "secrets" / "database.json").read_bytes(), type=Urls).app

    def ask(self, statement):
        """Rows, past every policy: this is the referee, not a user. Waits for a database that is just recovering."""
        return until(lambda: self._asked(statement), "the database answers", START_S).rows

    def _asked(self, statement):
        async def work():
            connection = await asyncpg.connect(self.admin_url)
            try:
                return Answer(await connection.fetch(statement))
            finally:
                await connection.close()

        try:
            return asyncio.run(work())
        except AWAY:
            return None

    def failures(self):
        """Calls that ended in a bug, by the server's own log."""
        log = self.home / "logs" / "server.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        failed = [json.loads(line) for line in text.splitlines() if '"request.failed"' in line]
        return [f"a call ended in a bug: {one['path']}: {one['exception'].splitlines()[-1]}" for one in failed]


def _free_port(dice):
    while True:
        port = dice.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
