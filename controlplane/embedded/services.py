"""Servers started here and stopped together."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import IO

from controlplane.embedded.account import make_folder
from controlplane.embedded.postgres import Postgres
from controlplane.embedded.problems import Unavailable
from controlplane.embedded.programs import find_redis
from controlplane.embedded.supervised import Supervised

IN_MEMORY = ("--save", "", "--appendonly", "no")


class Services:
    """At most one PostgreSQL and one Redis, each on a port of 127.0.0.1, each stopped when this process ends."""

    def __init__(self, home: Path | None = None) -> None:
        """
        Args:
            home: Folder that keeps the data from one start to the next, written durably; one process at a time.
                None for a throwaway folder: no fsync, deleted by :meth:`stop`.

        Raises:
            Unavailable: If another process has started the servers of *home*, or if it is another account's.
        """
        self._kept = home is not None
        self._home = (home or Path(tempfile.mkdtemp(prefix="services-"))).resolve()
        mode = 0o711 if os.geteuid() == 0 else 0o700  # root's PostgreSQL runs under an account that must pass through
        if home is None:
            self._home.chmod(mode)
        else:
            _make_home(self._home, mode)
        self._lock = _lock(self._home / "lock")
        self._postgres: Postgres | None = None
        self._redis: Supervised | None = None

    def __enter__(self) -> Services:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def postgres(self, given: str | None = None) -> str:
        """Start PostgreSQL and return the superuser's URL, ``postgresql://postgres:…@127.0.0.1:…/postgres``.

        Args:
            given: URL of a server that runs already: returned as it is, and nothing is started.

        Raises:
            Unavailable: If no fitting program was found or it did not start; the message says what to do.
        """
        if given:
            return given
        self._postgres = Postgres(self._home / "postgres", durable=self._kept)
        return self._postgres.start()

    def redis(self, given: str | None = None) -> str:
        """Start Redis or Valkey, in memory only, and return its URL; with *given* nothing is started."""
        if given:
            return given
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        log = self._home / "redis.log"
        command: list[str | Path] = [
            find_redis(),
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--dir",
            self._home,
            *IN_MEMORY,
        ]
        self._redis = Supervised(command, log=log, stop=signal.SIGTERM)
        if not self._redis.wait_until(lambda _: _redis_answers(port)):
            raise Unavailable(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
        return f"redis://127.0.0.1:{port}/0"

    def stop(self) -> None:
        """Stop everything in order; forget the data unless it is kept."""
        if self._redis:
            self._redis.stop()
        if self._postgres:
            self._postgres.stop()
        self._lock.close()
        if not self._kept:
            shutil.rmtree(self._home, ignore_errors=True)


def _make_home(home: Path, mode: int) -> None:
    try:
        make_folder(home, mode)
    except PermissionError as error:
        raise Unavailable(
            f"{error.filename} cannot be made by this account: choose another home with --home."
        ) from None


def _lock(path: Path) -> IO[bytes]:
    try:
        path.touch(mode=0o600)
        lock = path.open("ab")
    except PermissionError:
        raise Unavailable(f"{path.parent} belongs to another account: choose another home with --home.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise Unavailable(f"another process is using {path.parent}") from None
    return lock


def _redis_answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as client:
        client.sendall(b"PING\r\n")
        return client.recv(16).startswith(b"+PONG")
    return False
