"""A small real OpenID provider on loopback: real HTTP, real keys, and as wrong as a test wants it to be."""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

FIRST = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
"""Making one takes a while."""

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Provider:
    """``claims``, ``header`` and ``answers`` are what a test turns the screws of."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.issuer = ""
        self.client_id, self.client_secret = "engine-cloud", "a secret: with/odd+chars%"
        self.key = FIRST
        self.claims: dict[str, Any] = {}
        """What ID tokens say other than they should; None leaves a claim out."""
        self.header: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        """By path: a callable that takes the writer and answers in the provider's place."""
        self.iss: str | None = None
        """What the address that a browser comes back to says after ``iss``; None: nothing."""
        self.sign: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
        self.seen: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.forms: list[dict[str, str]] = []
        self._answering: set[Any] = set()

    def sign_in(self, url: str, sub: str = "u-1", **claims: Any) -> str:
        """What a person does there: sign in, and be sent back. Returns the address that the browser comes back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize"), url
        code = secrets.token_urlsafe(8)
        self.codes[code] = {**asked, "sub": sub, "claims": json.dumps(claims)}
        said = {"code": code, "state": asked["state"], **({"iss": self.iss} if self.iss else {})}
        return f"{asked['redirect_uri']}?{urlencode(said)}"

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(self.clock().timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": asked["sub"],
            "aud": self.client_id,
            "nonce": asked["nonce"],
        }
        claims |= {"iat": now, "exp": now + 300, "auth_time": now, **json.loads(asked["claims"]), **self.claims}
        return self.signed({name: value for name, value in claims.items() if value is not None})

    def logout_token(self, **claims: Any) -> str:
        now = int(self.clock().timestamp())
        said: dict[str, Any] = {"iss": self.issuer, "aud": self.client_id, "iat": now, "exp": now + 120}
        said |= {"jti": secrets.token_urlsafe(8), "events": {LOGOUT_EVENT: {}}, **claims}
        return self.signed({name: value for name, value in said.items() if value is not None}, typ="logout+jwt")

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        header = {"alg": "RS256", "kid": self.key.kid, **header, **self.header}
        return self.sign(header, claims) if self.sign else jwt.encode(header, claims, self.key)

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})

    async def stop(self) -> None:
        """End what still answers."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._answering.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = urlsplit(head.split(" ")[1]).path
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.seen.append(path)
            if path in self.answers:
                await self.answers[path](writer)
            else:
                status, answer = self._answer(path, headers, head, body.decode())
                await reply(writer, json.dumps(answer).encode(), status)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._answering.discard(task)
            writer.close()

    def _answer(self, path: str, headers: dict[str, str], head: str, body: str) -> tuple[int, Any]:
        if path == "/.well-known/openid-configuration":
            return 200, self._document()
        if path == "/jwks":
            return 200, KeySet([self.key]).as_dict(private=False)
        if path == "/token":
            return self._token(head, {name: values[0] for name, values in parse_qs(body).items()})
        return 404, {}

    def _document(self) -> dict[str, Any]:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/logout",
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "response_types_supported": ["code"],
            "backchannel_logout_supported": True,
        }
        return {name: value for name, value in (said | self.metadata).items() if value is not None}

    def _token(self, head: str, form: dict[str, str]) -> tuple[int, Any]:
        self.forms.append(form)
        basic = next((line[21:] for line in head.split("\r\n") if line.lower().startswith("authorization: basic ")), "")
        name, _, secret = base64.b64decode(basic).decode().partition(":")
        if (unquote_plus(name), unquote_plus(secret)) != (self.client_id, self.client_secret):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(asked)}


async def reply(writer: asyncio.StreamWriter, body: bytes, status: int = 200) -> None:
    head = f"HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


@asynccontextmanager
async def serving(clock: Callable[[], datetime]) -> AsyncIterator[Provider]:
    provider = Provider(clock)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()
        await provider.stop()
        await server.wait_closed()
