"""A receiver of webhooks that remembers, and answers as a test says; and a tenant that sends to it."""

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager

import time_machine
from standardwebhooks.webhooks import Webhook

from controlplane.chores.webhooks import Courier
from controlplane.domain import projects
from controlplane.domain.webhooks import deliveries, endpoints
from controlplane.kit.guard import Guard
from tests.make import SHELL


class Receiver:
    def __init__(self):
        self.url = ""
        self.heard = []
        self.says = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nheard"]
        """Answers in turn; the last one again and again."""
        self.holding = asyncio.Event()
        self.holding.set()

    def answers(self, *statuses, headers=""):
        self.says = [f"HTTP/1.1 {status} X\r\n{headers}Content-Length: 5\r\n\r\nheard".encode() for status in statuses]

    @property
    def bodies(self):
        return [json.loads(body) for _, body in self.heard]

    def verified(self, secret, at, number=-1):
        """What was heard, if whoever wrote the reference implementation takes it for genuine."""
        headers, body = self.heard[number]
        with time_machine.travel(at, tick=False):
            return Webhook(secret).verify(body, headers)

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.heard.append((headers, body))
            await self.holding.wait()
            writer.write(self.says.pop(0) if len(self.says) > 1 else self.says[0])
            await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving():
    receiver = Receiver()
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/in"
    async with server:
        yield receiver


def guard():
    """One that lets tests call themselves."""
    return Guard(loopback=True)


class World:
    """A tenant, a receiver, and whoever brings the one's events to the other."""

    def __init__(self, db, tenant, clock, receiver):
        self.db, self.tenant, self.clock, self.receiver = db, tenant, clock, receiver
        self.courier = Courier(db, guard())
        self._number = 0

    def inside(self):
        return self.db.tenant(self.tenant.tenant_id)

    async def hook(self, types=("project.created",), url=None):
        async with self.inside() as tx:
            return await endpoints.create(tx, SHELL, url or self.receiver.url, types=types)

    async def happen(self):
        self._number += 1
        async with self.inside() as tx:
            return await projects.create(tx, SHELL, f"p{self._number}", "P", "dev")

    async def deliver(self):
        begun = await self.courier.run()
        await self.courier.arrived()
        return begun

    async def sent(self, webhook):
        async with self.inside() as tx:
            return await deliveries.listing(tx, webhook.id, limit=100)

    async def webhook(self, webhook):
        async with self.inside() as tx:
            return await endpoints.get(tx, webhook.id)


@asynccontextmanager
async def world(db, tenant, clock):
    async with receiving() as receiver:
        w = World(db, tenant, clock, receiver)
        yield w
        await w.courier.close()
