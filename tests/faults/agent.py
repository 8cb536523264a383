"""``runtime-agent`` in a home of its own: killed, copied, rolled back, and robbed of its outbox."""

import shutil
import signal
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.faults import processes
from tests.faults.items import item_of_line
from tests.faults.processes import kill

STOP_S = 30.0

SETTINGS = "scan_interval_s = 1.0\n"
"""A folder that vanished is noticed by looking at everything only."""


class Position(NamedTuple):
    """Where the agent's log stands, by its own file."""

    epoch: int
    last_seq: int
    acked: int
    head: bytes

    def __str__(self):
        return f"{self.epoch}/{self.last_seq}, acknowledged up to {self.acked}"


class RuntimeAgent:
    def __init__(self, folder, server_url, source, trace):
        self.home, self.log, self.copy = folder / "agent", folder / "agent.log", folder / "agent-copy"
        self._url, self._source, self._trace = server_url, source, trace
        self._process = None

    def prepare(self):
        self.home.mkdir(mode=0o700)
        settings = self.home / "agent.toml"
        settings.write_text(SETTINGS)
        settings.chmod(0o600)

    def begin_to_join(self, token):
        """The command, running; a token works once, whoever was killed while it was spent."""
        words = ["join", self._url, "--token-stdin", "--name", "larkfield", "--home", self.home]
        words += ["--source", f"engine:{self._source}"]
        joining = processes.start("runtime_agent", *words, log=self.log, stdin=subprocess.PIPE)
        joining.stdin.write(token.encode() + b"\n")
        joining.stdin.close()
        return joining

    def has_joined(self):
        path = self.home / "identity.json"
        return path.exists() and msgspec.json.decode(path.read_bytes())["runtime_id"] is not None

    def runtime(self):
        """Its id, ``rt_…``."""
        return msgspec.json.decode((self.home / "identity.json").read_bytes())["runtime"]

    def start(self):
        self._process = processes.start("runtime_agent", "run", "--home", self.home, log=self.log)

    def kill(self):
        """False if it had ended by itself, which it never may."""
        alive = self._process.poll() is None
        kill(self._process.pid)
        self._process.wait()
        self._trace.say("acrash", str(self._process.pid))
        return alive

    def stop(self):
        """In order."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(STOP_S)
        if status:
            raise AssertionError(f"the agent stopped with {status}")

    def end(self):
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def take_copy(self):
        """What a snapshot of its disk would hold; it must not run."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.home, self.copy)
        self._trace.say("snap", str(self.position()))

    def roll_back(self):
        """Its disk as it was when it was copied; it must not run."""
        shutil.rmtree(self.home)
        shutil.copytree(self.copy, self.home)
        self._trace.say("rollback", str(self.position()))

    def lose_outbox(self):
        """Somebody deletes the file; it must not run."""
        for path in self.home.glob("outbox.db*"):
            path.unlink()
        self._trace.say("rollback", "outbox deleted")

    def position(self):
        """None without an outbox. Read from a copy: recovering from a crash is the agent's own business."""
        rows = self._read("SELECT epoch, last_seq, acked, head FROM state")
        return Position(*rows[0]) if rows else None

    def held(self):
        """What its log holds and could send again."""
        return {found for (line,) in self._read("SELECT line FROM log") for found in item_of_line(line)}

    def acknowledged(self):
        """Ids of the records that it was told the server holds, leftovers of older epochs included."""
        rows = self._read(
            "SELECT record_id FROM log, state"
            " WHERE log.epoch < state.epoch OR (log.epoch = state.epoch AND seq <= acked)"
        )
        return {record_id for (record_id,) in rows}

    def quarantined(self):
        return self._read("SELECT code, detail, CAST(line AS TEXT) FROM quarantine")

    def bugs(self):
        """Lines of its log that only a bug writes."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if " ERROR " in line or "Traceback" in line or "outbox.set_aside" in line]

    def _read(self, statement):
        with tempfile.TemporaryDirectory() as name:
            for suffix in ("", "-wal"):
                path = self.home / f"outbox.db{suffix}"
                if path.exists():
                    shutil.copy(path, name)
            copy = Path(name) / "outbox.db"
            if not copy.exists() or not copy.stat().st_size:
                return []
            with closing(sqlite3.connect(copy)) as db:
                try:
                    return db.execute(statement).fetchall()
                except sqlite3.DatabaseError:  # no table yet, or copied while it was being checkpointed
                    return []
