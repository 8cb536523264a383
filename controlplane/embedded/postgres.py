"""PostgreSQL on a data folder of ours: made once, started after whatever happened to it last time."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from controlplane.embedded import account as accounts
from controlplane.embedded import watch
from controlplane.embedded.account import LOCALE
from controlplane.embedded.problems import Unavailable
from controlplane.embedded.programs import Programs, find_postgres, reachable
from controlplane.embedded.supervised import Supervised

ALWAYS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "jit=off",
    "log_min_error_statement=panic",
    "max_locks_per_transaction=512",
)
"""No sockets: their paths end at 107 bytes. No statements in the log: some carry passwords."""

THROWAWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
DURABLE = ("max_connections=100",)

LOG_LIMIT_BYTES = 10 << 20
"""A longer log is put aside at the next start, in place of the one put aside before."""

PASSING = ("Address already in use", "pre-existing shared memory block")
"""What the log says when the next attempt may succeed: the port was just taken, children of a killed server remain."""

OBSTACLE_S = 90.0
"""How long such a thing may stand in the way: recovery that lost its checkpointer and its server gives up after 60 s."""

STOP_S = 30.0
"""How long a server left by a crash may take to stop in order, and then again at once."""

NOBODY = 2**31 - 1
"""A process id that no system gives out."""


class Postgres:
    """The data folder below *place*, and at most one server on it; the caller sees to it that it is the only caller."""

    def __init__(self, place: Path, *, durable: bool) -> None:
        """
        Args:
            place: Holds the data, the superuser's password, the port and the log.
            durable: False: a power cut may destroy the data, and everything is quicker.
        """
        self._place = place
        self._data, self._password, self._log = place / "data", place / "password", place / "log"
        self._durable = durable
        self._account = accounts.choose(self._data)
        self._server: Supervised | None = None

    def start(self) -> str:
        """Start the server, after making its data if there is none, and return the superuser's URL.

        A server that a crash left running is stopped first. The port stays the same as long as it is free.

        Raises:
            Unavailable: If there is no fitting program, or if it does not start; the message has its last words.
        """
        programs = reachable(find_postgres(self._written_by()), self._account, self._place.with_name("programs"))
        if self._data.exists():
            _refuse_open(self._place, self._password)
            self._stop_leftover()
        else:
            self._initialize(programs)
        password = self._secret()
        self._rotate_log()
        port = self._serve(programs)
        return f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"

    def stop(self) -> None:
        """Stop in order: open transactions are rolled back, everything committed is written."""
        if self._server and not self._server.stop():
            self._stop_leftover()
        self._server = None

    def _written_by(self) -> int | None:
        """The major version that made the data; None if there is none yet."""
        try:
            return int((self._data / "PG_VERSION").read_text())
        except FileNotFoundError:
            if self._data.exists():
                raise Unavailable(f"{self._data} is not a whole data folder of PostgreSQL: move it away.") from None
            return None
        except PermissionError:
            raise Unavailable(f"{self._data} belongs to another account: start as that account.") from None

    def _initialize(self, programs: Programs) -> None:
        """Into a folder that gets its name when it is whole: an interrupted attempt leaves no data behind."""
        unfinished = self._place / "unfinished"
        self._place.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        self._write(self._password, secrets.token_urlsafe(24))
        if self._account:
            os.chown(self._place, self._account.uid, self._account.gid)
        words = ["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", f"--locale={LOCALE}"]
        words += [] if self._durable else ["--no-sync"]
        words += ["-D", str(unfinished), f"--pwfile={self._password}"]
        done = accounts.run(self._account, [programs.home / "bin/initdb", *words])
        if done.returncode:
            raise Unavailable(f"initdb failed: {done.stderr.strip()}{self._hint()}")
        unfinished.rename(self._data)

    def _serve(self, programs: Programs) -> int:
        """Start and wait until it works; once more when something in the way will soon be gone."""
        end = time.monotonic() + OBSTACLE_S
        while True:
            port = self._port()
            settings = (*ALWAYS, f"port={port}", *(DURABLE if self._durable else THROWAWAY))
            command = _command(programs, self._data, settings)
            before = self._log.stat().st_size
            self._server = server = Supervised(command, log=self._log, stop=signal.SIGINT, account=self._account)
            if server.wait_until(self._works):
                server.keep()
                self._write(self._place / "port", str(port))
                return port
            self.stop()
            said = self._log.read_bytes()[before:].decode(errors="replace")
            if time.monotonic() > end or not any(words in said for words in PASSING):
                raise Unavailable(f"PostgreSQL {programs.version} did not start: {said.strip()[-2000:]}{self._hint()}")
            time.sleep(0.1)

    def _works(self, pid: int) -> bool:
        """PostgreSQL writes its process id on the first line of ``postmaster.pid`` and its state on the eighth."""
        lines = self._pid_file()
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _stop_leftover(self) -> None:
        """Stop a server that a crash left running on this data.

        A ``postmaster.pid`` can also be left alone, and its process id can belong to anybody by now, whom neither we
        nor PostgreSQL may take for a server. Such an id is overwritten; the rest of the file stays, because with it
        PostgreSQL finds out whether children of the lost server still work on the data.
        """
        lines = self._pid_file()
        if not lines or not lines[0].isdecimal():  # a power cut while it was written
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            return
        pid = int(lines[0])
        if not (self._ends(pid, signal.SIGINT) or self._ends(pid, signal.SIGQUIT)):
            raise Unavailable(f"Process {pid}, a PostgreSQL left on {self._data} by a crash, does not stop.")
        if self._pid_file()[:1] == lines[:1]:
            self._write(self._data / "postmaster.pid", "\n".join([str(NOBODY), *lines[1:]]) + "\n")

    def _ends(self, pid: int, sign: signal.Signals) -> bool:
        """Whether there is no server of ours under *pid*, after *sign* and some patience if there was one."""
        end = time.monotonic() + STOP_S
        with contextlib.suppress(ProcessLookupError):
            if self._is_ours(pid):
                os.kill(pid, sign)
        while self._is_ours(pid):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def _is_ours(self, pid: int) -> bool:
        """Whether *pid* is a server on this data, by its command line; a dead one nobody waited for has none."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            if Path("/proc/self").exists():
                return False
            told = subprocess.run(["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True)
            return f"-D {self._data} " in told.stdout
        return str(self._data) in words

    def _pid_file(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self._data / "postmaster.pid").read_text().splitlines()
        return []

    def _port(self) -> int:
        """The port of last time, so that URLs kept elsewhere stay true; another one if somebody else has it."""
        with contextlib.suppress(FileNotFoundError, ValueError, OSError):
            return _free(_text(self._place / "port"))
        return _free("0")

    def _rotate_log(self) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT_BYTES:
            self._log.rename(self._log.with_name("log.1"))
        try:
            watch.open_log(self._log).close()
        except OSError as error:
            raise Unavailable(f"{self._log} cannot be written: {error.strerror}. Move it away.") from None

    def _write(self, path: Path, text: str) -> None:
        """Replace a private file of the account's, whole or not at all."""
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            if self._account:
                os.fchown(file.fileno(), self._account.uid, self._account.gid)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)

    def _secret(self) -> str:
        try:
            return _text(self._password)
        except OSError as error:
            raise Unavailable(f"{self._password} cannot be read: {error.strerror}.") from None

    def _hint(self) -> str:
        if self._account is None:
            return ""
        return f"\nAs root, PostgreSQL runs as {self._account.name!r}, which must be able to reach {self._place}."


def _text(path: Path) -> str:
    """Of a file in a folder that may be another account's: what it makes a link to is none of our business.

    Raises:
        OSError: If it is a link, or cannot be read.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
        return file.read()


def _command(programs: Programs, data: Path, settings: Sequence[str]) -> list[str | Path]:
    return [programs.home / "bin/postgres", "-D", data, *(word for setting in settings for word in ("-c", setting))]


def _free(port: str) -> int:
    """*port* if it is free, for "0" any that is.

    Raises:
        OSError: If it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that ended just now do not count
        probe.bind(("127.0.0.1", int(port)))
        chosen: int = probe.getsockname()[1]
        return chosen


def _refuse_open(*paths: Path) -> None:
    """The server's password and data are nobody else's business."""
    for path in paths:
        if path.stat().st_mode & 0o077:
            mode = "700" if path.is_dir() else "600"
            raise Unavailable(f"{path} is open to other accounts. Mend it: chmod {mode} {path}")
