"""A small real authorization server on loopback that rotates refresh tokens and forgives nothing.

A refresh token that comes a second time ends its grant: every token of it is dead from then on (RFC 9700, 4.14.2).
"""

import asyncio
import json
import secrets
import time
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

from controlplane.kit.secret import Secret


class Grant:
    def __init__(self):
        self.died = None
        """When, by this machine's monotonic clock, which all processes share."""
        self.refresh = secrets.token_urlsafe(24)
        self.used = set()
        self.access = {}
        """Token to when it ends, by this machine's monotonic clock."""
        self.reused = 0

    @property
    def alive(self):
        return self.died is None

    def die(self):
        self.died = self.died or time.monotonic()


class Strict:
    """``faults`` are taken one for each call at the token endpoint, in turn, and then it works."""

    def __init__(self, *, lasts_s=3600.0, says_s=None):
        """
        Args:
            lasts_s: How long access tokens really live.
            says_s: What is said of that; None: the truth.
        """
        self.url = ""
        self.lasts_s, self.says_s = lasts_s, says_s if says_s is not None else lasts_s
        self.grants = {}
        self.faults = []
        self.calls = 0
        self.refreshed = 0
        self._answering = set()

    def grant(self):
        """A new grant: its first refresh token and access token."""
        grant = Grant()
        self.grants[grant.refresh] = grant
        return grant, self._access(grant)

    def is_good(self, access, at=None):
        """Whether an API would take this token now, or would have at some time."""
        at = at if at is not None else time.monotonic()
        return any(
            grant.access.get(access, 0) > at and (grant.died is None or grant.died > at)
            for grant in set(self.grants.values())
        )

    def endpoints(self):
        return {"token": f"{self.url}/token"}

    def _access(self, grant):
        token = secrets.token_urlsafe(24)
        grant.access[token] = time.monotonic() + self.lasts_s
        return Secret(token)

    def _refresh(self, form):
        sent = form.get("refresh_token", "")
        grant = self.grants.get(sent)
        if grant is None or not grant.alive:
            return 400, {"error": "invalid_grant"}
        if sent in grant.used:
            grant.die()
            grant.reused += 1
            return 400, {"error": "invalid_grant"}
        grant.used.add(sent)
        grant.refresh = secrets.token_urlsafe(24)
        self.grants[grant.refresh] = grant
        self.refreshed += 1
        said = {"access_token": self._access(grant).reveal(), "token_type": "Bearer", "expires_in": self.says_s}
        return 200, {**said, "refresh_token": grant.refresh}

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self._answering.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {}
            for line in filter(None, head.split("\r\n")[1:]):
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            form = parse_qs((await reader.readexactly(int(headers.get("content-length", "0")))).decode())
            if head.startswith("GET /good"):
                token, at = headers["x-token"], float(headers["x-at"])
                await _reply(writer, 200 if self.is_good(token, at) else 401, {})
            else:
                self.calls += 1
                await self._answer(writer, {name: values[0] for name, values in form.items()})
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._answering.discard(task)
            writer.close()

    async def _answer(self, writer, form):
        fault, *given = (self.faults.pop(0) if self.faults else "none").split(":")
        if fault == "slow":
            await asyncio.sleep(float(given[0]))
        if fault == "status":
            await _reply(writer, int(given[0]), {"error": given[1]} if len(given) > 1 else {})
        elif fault == "hang":
            await asyncio.sleep(float(given[0]))
        elif fault == "body":
            await _reply(writer, 200, {"hello": "there"})
        else:
            status, said = self._refresh(form)
            if fault == "drop":
                writer.transport.abort()
            else:
                await _reply(writer, status, said)

    async def stop(self):
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)


async def _reply(writer, status, said):
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
    await writer.drain()


@asynccontextmanager
async def serving(**given):
    strict = Strict(**given)
    server = await asyncio.start_server(strict.serve, "127.0.0.1", 0)
    strict.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield strict
    finally:
        server.close()
        await strict.stop()
        await server.wait_closed()
