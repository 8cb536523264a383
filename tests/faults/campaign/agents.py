"""The agent of one schedule, in a home of its own: started, told what to do, killed, copied, put back."""

import json
import os
import shutil
import signal
import socket
from uuid import UUID

import msgspec

from tests.faults.campaign import outboxes
from tests.faults.processes import kill, runs, until

PATIENCE_S = 60.0
COPIES = 3
"""Kept of one disk: an older one may be put back after a newer one, and the other way round."""

SETTINGS = 'source_timezone = "UTC"\nscan_interval_s = 1.0\n'


class Died(Exception):
    """It was killed before it could answer."""


class RuntimeAgent:
    """At most one process on the home; commands are processes of their own."""

    def __init__(self, home, nursery):
        self.home, self.log = home, home.with_suffix(".log")
        self.copies = []
        """Of its disk, oldest first."""
        self._nursery = nursery
        self._taken = 0
        self._pid = self._talk = self._told = None

    def join(self, url, token, source):
        self.home.mkdir(mode=0o700)
        (self.home / "agent.toml").write_text(SETTINGS)
        self.command("join", url, "--token", token, "--name", "larkfield", "--source", f"engine:{source}")

    def identity(self):
        return UUID(msgspec.json.decode((self.home / "identity.json").read_bytes())["runtime_id"])

    def command(self, *words):
        """What ``runtime-agent`` prints, decoded; whether all was well is its own business to say."""
        pid, talk = self._nursery.begin("command", *words, "--home", self.home, "--json", log=self.log)
        talk.settimeout(PATIENCE_S)
        with talk, talk.makefile("rb") as told:
            said = told.read()
        until(lambda: not runs(pid), "the command has ended", PATIENCE_S)
        if not said:
            raise AssertionError(f"runtime-agent {words[0]}: {self.log.read_text()[-2000:]}")
        return json.loads(said)

    @property
    def is_there(self):
        return self._pid is not None

    def tell(self, what):
        """Have it do *what*, and return what came of it; it is started if it does not run.

        Raises:
            Died: It was killed meanwhile, as the schedule wants.
        """
        if self._pid is None:
            self._pid, self._talk = self._nursery.begin("agent", self.home, log=self.log)
            self._talk.settimeout(PATIENCE_S)
            self._told = self._talk.makefile("rb")
            self._killed = False
        try:
            self._talk.sendall(f"{what}\n".encode())
            line = self._told.readline()
        except TimeoutError:
            raise AssertionError(f"the agent does not come to an end with {what!r}") from None
        except OSError:
            line = b""
        if not line:
            self._gone()
            raise Died
        return json.loads(line)

    def kill(self):
        """Called in any thread; noticed by whoever waits for its answer."""
        self._killed = True
        if self._pid is not None:
            kill(self._pid)

    def end(self, how=signal.SIGKILL):
        if self._pid is not None:
            self._killed = True
            os.kill(self._pid, how)
            self._gone()

    def stop(self):
        """As when nobody wants anything of it any more: it closes what it has opened."""
        if self._pid is not None:
            self._killed = True
            self._talk.shutdown(socket.SHUT_WR)
            self._gone()

    def _gone(self):
        pid, self._pid = self._pid, None
        until(lambda: not runs(pid), "the agent has ended", PATIENCE_S)
        self._told.close()
        self._talk.close()
        if not self._killed:
            raise AssertionError(f"the agent ended by itself: {self.log.read_text()[-2000:]}")

    def take_copy(self):
        if len(self.copies) == COPIES:
            shutil.rmtree(self.copies.pop(0))
        self._taken += 1
        self.copies.append(self.home.with_suffix(f".copy-{self._taken}"))
        outboxes.copy(self.home, self.copies[-1])

    def roll_back(self, copy):
        self.end()
        shutil.rmtree(self.home)
        shutil.copytree(copy, self.home)

    def bugs(self):
        """Lines of its log that only a bug writes."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [line for line in lines if "Traceback" in line or "outbox.set_aside" in line]
