"""``controlplane serve`` on a database of the test's own, to be stopped and started as often as a test likes.

Quicker than ``up`` by the seconds that a Postgres of its own and its migrations take.
"""

import copy
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx

from tests import programs

TRIES = 3
"""How often the patience of tests may end before a server that starts is given up, on a machine that is busy."""


class Served:
    """A home, its database, and at most one server."""

    def __init__(self, home, app_url, owner_url, **more):
        self.home, self.port = home, programs.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = home.with_name("serve.log")
        self._process = None
        home.mkdir(mode=0o700, parents=True)
        settings = home / "controlplane.toml"
        given = {"database_url": app_url, "database_owner_url": owner_url, "public_url": self.url, **more}
        settings.write_text("".join(f'{name} = "{value}"\n' for name, value in given.items()))
        settings.chmod(0o600)
        programs.told(home, "db", "init", CONTROLPLANE_DATABASE_ADMIN_URL=os.environ["TEST_SUPERUSER_URL"])

    def beside(self):
        """Another replica of the same home and database, on a port of its own."""
        other = copy.copy(self)
        other.port, other._process = programs.free_port(), None
        other.url = f"http://127.0.0.1:{other.port}"
        other._log = self._log.with_name(f"serve-{other.port}.log")
        return other

    def start(self):
        words = [sys.executable, "-m", "controlplane", "serve", "--home", self.home, "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(words, env=programs.ENVIRONMENT, stderr=log)
        if not any(programs.eventually(self._answers) for _ in range(TRIES)):
            self.stop()
            raise AssertionError(self._log.read_text())

    def stop(self):
        """In order, if it runs. Returns what it has logged since it exists."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(programs.PATIENCE_S)
        return self._log.read_text() if self._log.exists() else ""

    def get(self, path, **more):
        return httpx.get(f"{self.url}{path}", timeout=programs.PATIENCE_S, **more)

    @contextmanager
    def browser(self, email):
        """Somebody who operates the service, signed in."""
        link = programs.told(self.home, "operator", "create", email)
        with httpx.Client(base_url=self.url, headers={"Origin": self.url}, timeout=programs.PATIENCE_S) as browser:
            assert browser.post("/console/welcome", data={"token": link.rpartition("#")[2]}).status_code == 303
            yield browser

    def _answers(self):
        try:
            return self.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False
