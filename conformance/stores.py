"""A PostgreSQL and a Redis of one's own, and everything that is in them."""

import asyncio
import codecs
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from redis import Redis

from controlplane.cli.reach import DATABASE
from controlplane.embedded import Services

TABLES = """
    SELECT c.oid::regclass::text AS name FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""


class Stores:
    def __init__(self, superuser: str, redis: str, folder: Path) -> None:
        self.superuser, self.redis = superuser, redis
        self._folder = folder
        self._heard = bytearray()
        place = urlsplit(redis)
        self._wire = socket.create_connection((place.hostname, place.port))
        self._wire.sendall(b"MONITOR\r\n")
        self._ear = threading.Thread(target=self._listen, name="monitor", daemon=True)
        self._ear.start()

    def everything(self) -> bytes:
        """Every row of every table, as text and as it is, and every key of Redis with what is in it."""
        with ThreadPoolExecutor(1) as aside:  # in this thread the browser's loop is running already
            rows = aside.submit(asyncio.run, self._rows()).result()
        with Redis.from_url(self.redis) as redis:
            kept = [part for key in redis.scan_iter() for part in (key, redis.dump(key) or b"")]
        return b"\n".join((rows, *kept))

    def files(self) -> bytes:
        """The database's files, its log of writes included: what was deleted is in them too."""
        paths = sorted(path for path in (self._folder / "postgres" / "data").rglob("*") if path.is_file())
        return b"\n".join(path.read_bytes() for path in paths)

    def commands(self) -> bytes:
        """Every command that Redis was ever given."""
        return codecs.escape_decode(bytes(self._heard))[0] if self._heard else b""

    def close(self) -> None:
        self._wire.shutdown(socket.SHUT_RDWR)
        self._ear.join()
        self._wire.close()

    async def _rows(self) -> bytes:
        connection = await asyncpg.connect(self.superuser, database=DATABASE)
        parts: list[bytes] = []

        async def keep(chunk: bytes) -> None:
            parts.append(bytes(chunk))

        try:
            for row in await connection.fetch(TABLES):
                for form in ("text", "binary"):
                    await connection.copy_from_query(f"SELECT * FROM {row['name']}", output=keep, format=form)
        finally:
            await connection.close()
        return b"".join(parts)

    def _listen(self) -> None:
        with suppress(OSError):
            while chunk := self._wire.recv(65_536):
                self._heard += chunk


@contextmanager
def stores() -> Iterator[Stores]:
    with tempfile.TemporaryDirectory(prefix="stores-") as folder:
        Path(folder).chmod(0o711)  # root's PostgreSQL runs under an account that must pass through
        with Services(Path(folder)) as services:
            opened = Stores(services.postgres(), services.redis(), Path(folder))
            try:
                yield opened
            finally:
                opened.close()
