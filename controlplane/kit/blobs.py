"""Bytes by name in an object store: a folder, or a bucket of S3, Google's or Azure's, all behind one face."""

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import obstore
from msgspec import Struct
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, S3Store, from_url

from controlplane.kit.key_services.sigv4 import Credentials, Request, Scope, presigned
from controlplane.kit.problems import Refusal

if TYPE_CHECKING:
    from obstore.store import S3Config  # there for type checkers alone

UPLOAD_FOR_S: Final = 900
"""How long an upload that was signed for somebody else is taken."""

CHECKSUM: Final = "x-amz-checksum-sha256"
"""What S3 compares the bytes with before it takes them."""

AT_ONCE: Final = 500
"""Names deleted in one go."""


class BlobsUnreachable(Refusal):
    """The object store does not answer, or not as it should. Nothing else depends on it."""

    code, status, title = "blobs-unreachable", 503, "The object store does not answer"
    hint = "Checkpoint content waits where it is; the log goes on without it. Whoever runs the service has the reason."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "30"}


class Absent(Exception):
    """There is nothing by this name."""


class TooMuch(Exception):
    """There is more by this name than was expected."""


class Upload(Struct, frozen=True):
    """Where somebody else may put one blob, and what has to go along."""

    url: str
    headers: dict[str, str]


class Blobs:
    """Opened when it is first asked; names are parts of ``[a-z0-9-]`` with slashes between."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        """
        Args:
            url: ``file:///folder``, ``s3://bucket/prefix``, ``gs://…``, ``az://…``; ``memory:///`` keeps nothing.
            environ: Where the store's own libraries look for credentials: ``AWS_ACCESS_KEY_ID`` and the like.
        """
        self.url, self._environ = url, environ

    @cached_property
    def _store(self) -> ObjectStore:
        try:
            if self._folder is not None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what lies there is nobody else's business
                return LocalStore(self._folder)
            if self.url.startswith("s3://"):
                return _s3(self.url, self._environ)
            return from_url(self.url)
        except (BaseError, ValueError, OSError) as error:
            raise BlobsUnreachable from error

    @property
    def _folder(self) -> Path | None:
        return Path(self.url.removeprefix("file://")) if self.url.startswith("file://") else None

    async def put(self, name: str, content: bytes) -> None:
        """Keep *content*, in place of what was there; a folder's copy survives a power cut.

        Raises:
            BlobsUnreachable: It is not kept.
        """
        try:
            await obstore.put_async(self._store, name, content)
            if self._folder is not None:
                await asyncio.to_thread(_sync, self._folder / name)
        except (BaseError, OSError) as error:
            raise BlobsUnreachable from error

    async def get(self, name: str, most: int) -> bytes:
        """
        Raises:
            Absent: There is none.
            TooMuch: It has more than *most* bytes.
            BlobsUnreachable: Nobody knows.
        """
        try:
            found = await obstore.get_async(self._store, name)
            if found.meta["size"] > most:
                raise TooMuch(name)
            return bytes(await found.bytes_async())
        except (NotFoundError, FileNotFoundError):
            raise Absent(name) from None
        except (BaseError, OSError) as error:
            raise BlobsUnreachable from error

    async def delete(self, names: Sequence[str]) -> None:
        """Whatever of *names* is there is there no more.

        Raises:
            BlobsUnreachable: Some may be gone, others not; asking again does no harm.
        """
        try:
            if self._folder is not None:
                await asyncio.to_thread(_remove, [self._folder / name for name in names])
            elif names:
                await obstore.delete_async(self._store, list(names))
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise BlobsUnreachable from error

    async def delete_under(self, prefix: str) -> int:
        """Delete everything whose name begins with *prefix* and a slash, and return how many that was.

        Raises:
            BlobsUnreachable: As for :meth:`delete`.
        """
        gone = 0
        try:
            async for page in obstore.list(self._store, prefix, chunk_size=AT_ONCE):
                await self.delete([each["path"] for each in page])
                gone += len(page)
        except (BaseError, OSError) as error:
            raise BlobsUnreachable from error
        return gone

    def upload(self, name: str, sha256: bytes, now: datetime) -> Upload | None:
        """Where somebody without our credentials may put bytes of that hash, for a while; None: only through us.

        Only S3 takes a checksum into what is signed, and only keys that were given to us can be signed with here.
        """
        credentials = _keys(self._environ)
        if not self.url.startswith("s3://") or credentials is None:
            return None
        bucket, _, prefix = self.url.removeprefix("s3://").rstrip("/").partition("/")
        region = _region(self._environ)
        endpoint = self._environ.get("AWS_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com"
        path = quote("/".join(filter(None, (bucket, prefix, name))), safe="/~")
        headers = {CHECKSUM: base64.b64encode(sha256).decode()}
        signed = {"host": urlsplit(endpoint).netloc, **headers}
        asked = Request(method="PUT", path=f"/{path}", headers=signed, for_s=UPLOAD_FOR_S)
        query = presigned(credentials, Scope(region, "s3"), now, asked)
        return Upload(url=f"{endpoint.rstrip('/')}/{path}?{query}", headers=headers)


def _keys(environ: Mapping[str, str]) -> Credentials | None:
    access, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(access, secret, environ.get("AWS_SESSION_TOKEN", "")) if access and secret else None


def _region(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _s3(url: str, environ: Mapping[str, str]) -> S3Store:
    """Where no keys are given, those of the container or the instance are found by the store itself."""
    config: S3Config = {"region": _region(environ)}
    if credentials := _keys(environ):
        config |= {"access_key_id": credentials.access_key, "secret_access_key": credentials.secret_key}
        if credentials.token:
            config["session_token"] = credentials.token
    endpoint = environ.get("AWS_ENDPOINT_URL", "")
    if endpoint:
        config["endpoint"] = endpoint
    return S3Store.from_url(url, config=config, client_options={"allow_http": endpoint.startswith("http:")})


def _sync(path: Path) -> None:
    """The file and its name, as far as the disk."""
    for each in (path, path.parent):
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
