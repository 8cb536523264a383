"""A service on loopback that keeps what it was asked; what it answers, those who speak a dialect say."""

import asyncio
import base64
import hashlib
import json
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit, urlunsplit

from msgspec import Struct, structs

from controlplane.kit.guard import Guard
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.oauth.dialect import Client
from controlplane.kit.secret import Secret

ID, SECRET = "the-client", "a secret: with/odd+chars%"
APP = Client(id=ID, secret=Secret(SECRET), redirect_uri="https://cloud.example/oauth/callback/app_1")


class Asked(Struct):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        assert self.headers["content-type"] == "application/x-www-form-urlencoded"
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))

    @property
    def json(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def basic(self) -> tuple[str, str] | None:
        """Name and secret, as RFC 6749 wants them read."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        name, _, secret = base64.b64decode(value).decode().partition(":")
        return unquote_plus(name), unquote_plus(secret)

    @property
    def bearer(self) -> str:
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return value if scheme == "Bearer" else ""


class Reply(Struct):
    body: Any = b""
    status: int = 200
    headers: dict[str, str] = {}
    kind: str = "application/json"

    def written(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"content-type": self.kind, "content-length": str(len(body)), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} Said\r\n{lines}\r\n".encode() + body


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Fake:
    """Subclasses say in :meth:`answer` what they know of a request; :attr:`instead` answers in their place, once."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.instead: list[Any] = []
        """Bytes, or callables that take the writer."""
        self.used: set[str] = set()
        self.made = 0
        self.codes: dict[str, dict[str, str]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    def answer(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def consent(self, url: str, code: str = "code-1") -> str:
        """What a person does there: say yes. Returns the code that the browser brings back."""
        self.codes[code] = dict(parse_qsl(urlsplit(url).query))
        return code

    def redeemed(self, form: dict[str, Any]) -> bool:
        """Whether the code is good: once, for the address and the verifier that it was given for."""
        given = self.codes.pop(form.get("code", ""), None)
        if given is None or given["redirect_uri"] != form.get("redirect_uri"):
            return False
        return given.get("code_challenge") in (None, challenge(form.get("code_verifier", "")))

    def fresh(self, kind: str) -> str:
        self.made += 1
        return f"{kind}-{self.made}"

    def here(self, server: Any) -> Any:
        """*server* of the catalogue, as if it were this one: paths stay, the host is ours."""
        at = urlsplit(self.url)
        moved = {
            name: urlunsplit(urlsplit(value)._replace(scheme="http", netloc=at.netloc))
            for name, value in structs.asdict(server).items()
            if isinstance(value, str) and value.startswith("https://") and name != "issuer"
        }
        return structs.replace(server, **moved)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            asked = await _read(reader)
            self.asked.append(asked)
            if not self.instead:
                writer.write(self.answer(asked).written())
            elif isinstance(instead := self.instead.pop(0), bytes):
                writer.write(instead)
            else:
                await instead(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._answering.discard(task)
            writer.close()

    async def stop(self) -> None:
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)


@asynccontextmanager
async def running(fake: Fake):
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()
        await fake.stop()
        await server.wait_closed()


def calling(clock: Any, *, within_s: float = 5.0) -> Caller:
    return Caller(Guard(loopback=True), clock, within_s=within_s)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Asked(method, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body)
