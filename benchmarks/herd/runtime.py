"""One simulated runtime: it keeps the pace of the real agent, and has nothing behind it but a log made up."""

import asyncio
import base64
import hashlib
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from benchmarks.herd.counting import Tally, ms_since
from benchmarks.herd.wire import Answer, Line
from controlplane.kit.ids import new_id
from runtime_agent.identity import encoded
from runtime_agent.pace import Pace
from runtime_agent.wire import PROTOCOL, chain
from runtime_agent.wire.commands import LONGEST_WAIT_S, Accepted, Orders
from runtime_agent.wire.heartbeat import Backlog, Heartbeat, Pulse
from runtime_agent.wire.join import AUDIENCE, TokenAnswer, TokenRequest
from runtime_agent.wire.records import CommandState, SessionState
from runtime_agent.wire.sync import Ack, Hello, Welcome

HEADER: Final = encoded(b'{"alg":"Ed25519","typ":"JWT"}')
EARLY_S: Final = 60.0
"""A token is replaced at a random moment that long before it ends."""

PER_PLACE: Final = 50
"""Runtimes that call from one address."""


class Given(Struct, frozen=True):
    """What a simulated runtime knows of itself."""

    number: int
    runtime_id: UUID
    key: str
    """Ed25519, hexadecimal."""
    join_state: str


class Gone(Exception):
    """No answer, a refusal or a 429: the pace knows when to go on."""


class World(Struct):
    """What the runtimes of one process share."""

    port: int
    tally: Tally
    polls: bool = False
    restarted_at: float = 0.0


class Runtime:
    def __init__(self, given: Given, world: World) -> None:
        self._given, self._world = given, world
        place = given.number // PER_PLACE
        self._place = f"127.1.{place // 250}.{1 + place % 250}"
        self._line, self._poll_line = Line(world.port, self._place), Line(world.port, self._place)
        self._pace, self._log_pace, self._poll_pace = Pace(), Pace(), Pace()
        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(given.key))
        self._join_state, self._token, self._good_until = given.join_state, "", 0.0
        self._nonce = ""
        self._asking, self._appending = asyncio.Lock(), asyncio.Lock()
        self._boot_id, self._store = uuid4(), UUID(int=0)
        self._epoch, self._seq, self._head = 0, 0, chain.origin(given.runtime_id, 0)
        self._waiting = 0
        self._back_at = 0.0
        self._window_s = 5.0

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forever(self._beat, self._pace))
            group.create_task(self._forever(self._poll, self._poll_pace))

    async def _forever(self, step: Callable[[], Awaitable[None]], pace: Pace) -> None:
        while True:
            await asyncio.sleep(pace.wait_s())
            try:
                await step()
            except Gone:
                await asyncio.sleep(0.01)

    async def _beat(self) -> None:
        if not self._epoch:
            await self._hello()
        said = Heartbeat(
            boot_id=self._boot_id,
            store_id=self._store,
            epoch=self._epoch,
            last_seq=self._seq + self._waiting,
            head=self._head.hex(),
            acked=self._seq,
            backlog=Backlog(records=self._waiting, oldest_age_s=90 if self._waiting else 0),
            wall_ms=int(time.time() * 1000),
            sources=["engine"],
            sessions_seen=100,
            disk_free_bytes=random.getrandbits(36),
        )
        answer = await self._say(self._line, self._pace, "heartbeat", "/v1/runtime/heartbeat", said)
        self._line.close()  # as the agent's connections end long before the next heartbeat
        pulse = msgspec.json.decode(answer.body, type=Pulse)
        self._pace.window_ms = self._poll_pace.window_ms = pulse.reconnect_window_ms
        if self._back_at < self._world.restarted_at:
            self._back_at = time.time()
            self._world.tally.back_s.append(self._back_at)
        await asyncio.sleep(pulse.next_ms / 1000)

    async def _poll(self) -> None:
        if not self._world.polls or not self._epoch:
            await asyncio.sleep(random.uniform(0, 2))
            return
        path = f"/v1/runtime/poll?after=0&wait={LONGEST_WAIT_S}&store={self._store}"
        answer = await self._call(self._poll_line, self._poll_pace, "poll", "GET", path, wait_s=LONGEST_WAIT_S)
        orders = msgspec.json.decode(answer.body, type=Orders)
        ids = [each.command.command for each in orders.orders]
        if ids:
            await self._say(self._poll_line, self._poll_pace, "ack", "/v1/runtime/commands/ack", Accepted(commands=ids))
            at = datetime.now(UTC)
            results = [
                CommandState(record_id=new_id(at), occurred_at=at, command=each, state="succeeded") for each in ids
            ]
            await self._append([msgspec.json.encode(each) for each in results], self._pace, "log")
            self._world.tally.carried_out |= dict.fromkeys(ids, time.time())
        if orders.again_ms:
            self._poll_pace.rest(random.uniform(0, orders.again_ms / 1000))

    async def live(self, every_s: float) -> None:
        """A record now and then, as of a session that goes on."""
        await asyncio.sleep(random.uniform(0, every_s))
        while True:
            at, began = datetime.now(UTC), time.perf_counter()
            await self._until_taken([session_line(self._given.number, at)], "log")
            self._world.tally.live_ms.append(ms_since(began))
            await asyncio.sleep(max(0.0, every_s - ms_since(began) / 1000))

    async def catch_up(self, batches: Sequence[Sequence[bytes]]) -> None:
        """All of *batches*, as after days without a network."""
        self._waiting = sum(map(len, batches))
        for lines in batches:
            await self._until_taken(lines, "backlog")
            self._waiting -= len(lines)
            self._world.tally.caught_up += len(lines)

    async def _until_taken(self, lines: Sequence[bytes], endpoint: str) -> None:
        while True:
            await asyncio.sleep(self._log_pace.wait_s())
            try:
                await self._append(lines, self._log_pace, endpoint)
            except Gone:
                await asyncio.sleep(0.01)
            else:
                return

    async def _append(self, lines: Sequence[bytes], pace: Pace, endpoint: str) -> None:
        async with self._appending:
            if not self._epoch:
                await self._hello()
            body = zstandard.compress(b"".join(line + b"\n" for line in lines), 1)
            headers = {
                "Content-Encoding": "zstd",
                "Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:",
                "Sync-Store": str(self._store),
                "Sync-Epoch": str(self._epoch),
                "Sync-First": str(self._seq + 1),
                "Sync-Prev": self._head.hex(),
                "Sync-Count": str(len(lines)),
            }
            line = Line(self._world.port, self._place)
            try:
                answer = await self._call(line, pace, endpoint, "POST", "/v1/runtime/sync/log", headers, body)
            finally:
                line.close()
            ack = msgspec.json.decode(answer.body, type=Ack)
            self._seq, self._head = self._seq + len(lines), chain.extend(self._head, lines)
            assert (ack.acked, ack.head) == (self._seq, self._head.hex()), "the server holds what was sent"

    async def _hello(self) -> None:
        said = Hello(epoch=0, first_retained=1, last_seq=0, acked=0, head=self._head.hex(), boot_id=self._boot_id)
        answer = await self._say(self._line, self._pace, "hello", "/v1/runtime/sync/hello", said)
        welcome = msgspec.json.decode(answer.body, type=Welcome)
        self._store, self._epoch = welcome.store_id, welcome.epoch
        self._head = chain.origin(self._given.runtime_id, self._epoch)

    async def _say(self, line: Line, pace: Pace, endpoint: str, path: str, said: Struct) -> Answer:
        return await self._call(line, pace, endpoint, "POST", path, {"Content-Type": "application/json"}, said)

    async def _call(  # noqa: PLR0913 a call has so much about it
        self,
        line: Line,
        pace: Pace,
        endpoint: str,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Struct | bytes = b"",
        wait_s: float = 0.0,
    ) -> Answer:
        token = await self._current(pace)
        given = {**(headers or {}), "Authorization": f"Bearer {token}", "Sync-Protocol": str(PROTOCOL)}
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self._try(line, pace, endpoint, (method, path, given, raw), wait_s)

    async def _current(self, pace: Pace) -> str:
        async with self._asking:
            if time.monotonic() < self._good_until:
                return self._token
            now, runtime = int(time.time()), str(self._given.runtime_id)
            self._nonce = self._nonce or secrets.token_urlsafe(24)
            claims = {"iss": runtime, "sub": runtime, "aud": AUDIENCE, "iat": now, "exp": now + 60, "jti": "1"}
            payload = f"{HEADER}.{encoded(msgspec.json.encode(claims))}"
            assertion = f"{payload}.{encoded(self._key.sign(payload.encode()))}"
            said = TokenRequest(client_assertion=assertion, join_state=self._join_state, nonce=self._nonce)
            call = ("POST", "/v1/runtime/token", {"Content-Type": "application/json"}, msgspec.json.encode(said))
            answer = await self._try(self._line, pace, "token", call)
            got = msgspec.json.decode(answer.body, type=TokenAnswer)
            self._token, self._join_state, self._nonce = got.access_token, got.join_state, ""
            self._good_until = time.monotonic() + got.expires_in - 20 - random.uniform(0, EARLY_S)
            return self._token

    async def _try(
        self,
        line: Line,
        pace: Pace,
        endpoint: str,
        call: tuple[str, str, Mapping[str, str], bytes],
        wait_s: float = 0.0,
    ) -> Answer:
        began = time.perf_counter()
        self._world.tally.too_soon += pace.wait_s() > 0.05
        try:
            answer = await line.call(*call, wait_s=wait_s)
        except OSError:
            self._world.tally.note(endpoint, "none", ms_since(began))
            pace.failed()
            raise Gone from None
        tally = self._world.tally  # another one meanwhile, perhaps
        tally.note(endpoint, answer.status, ms_since(began))
        if answer.status in (429, 503):
            tally.longest_retry_after_s = max(tally.longest_retry_after_s, answer.retry_after_s)
            pace.busy(answer.retry_after_s or 5.0)
            raise Gone
        if answer.status != 200:
            pace.refused() if answer.status == 403 else pace.failed()
            if answer.status == 401:
                self._good_until = 0.0
            raise Gone
        pace.answered()
        return answer


def session_line(number: int, at: datetime, offset: int = 0) -> bytes:
    """A record of about 500 bytes."""
    shared: dict[str, Any] = {"agent": f"agent_{offset % 12}", "status": "succeeded", "quality": "clean"}
    state = SessionState(
        record_id=new_id(at),
        occurred_at=at,
        session=f"session_{at:%Y%m%d_%H%M%S_%f}_{number:06d}_{offset:06d}",
        changed_at=at + timedelta(seconds=13),
        source_status="completed",
        started_at=at,
        ended_at=at + timedelta(seconds=13),
        duration_ms=12_718,
        path=["intake", "extract_clauses", "risk_review", "report"],
        current_node="report",
        steps=4,
        input_tokens=offset % 20_000,
        output_tokens=offset % 900,
        **shared,
    )
    return msgspec.json.encode(state)
