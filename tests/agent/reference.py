"""The server's rules of Runtime Sync v1, as the model states them, small enough to be read in one go.

An oracle for the agent, not a copy of the control plane: it keeps everything in memory and checks nothing but the
protocol. Around it a network that loses, repeats and delays what it is given.
"""

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from uuid import UUID, uuid4

import httpx
import msgspec
import zstandard

from runtime_agent.wire import chain
from runtime_agent.wire.comparing import Compared, Found, Manifest
from runtime_agent.wire.heartbeat import Bye, Heartbeat, Pulse
from runtime_agent.wire.join import Enroll, Enrolled, TokenAnswer, TokenRequest
from runtime_agent.wire.sync import Ack, Diff, Durable, Hello, Limits, Missing, Welcome

RUNTIME = UUID("01980000-0000-7000-8000-000000000001")
NOW_MS = 1_790_000_000_000


class Problem(Exception):
    def __init__(self, status, code, **facts):
        super().__init__(code)
        self.status, self.body = status, {"status": status, "code": code, "title": code, **facts}


class ReferenceServer:
    """One runtime's side of a control plane."""

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008
        self.store_id = uuid4()
        self.epoch = 0
        self.logs: dict[int, list[bytes]] = {0: []}
        self.durable: Durable | None = None
        self.limits = limits
        self.poison: Callable[[bytes], str | None] = lambda line: None
        self.answers: dict[str, TokenAnswer] = {}
        self.tokens = 0
        self.good_tokens: set[str] = set()
        self.heartbeats: list[Heartbeat] = []
        self.bodies: list[bytes] = []
        self.refuse: Problem | None = None
        self._backup = None
        self._head: tuple[list[bytes] | None, int, bytes] = (None, 0, b"")

    # What is held

    def applied(self) -> list[UUID]:
        """Record ids in all epochs, as often as they are there."""
        return [UUID(json.loads(line)["record_id"]) for log in self.logs.values() for line in log]

    def lines(self) -> list[dict]:
        return [json.loads(line) for epoch in sorted(self.logs) for line in self.logs[epoch]]

    def head(self) -> bytes:
        """Of the current epoch's log; what was computed for a part of the same log is not computed again."""
        log = self.logs[self.epoch]
        of, length, head = self._head
        if of is not log or length > len(log):
            length, head = 0, chain.origin(RUNTIME, self.epoch)
        self._head = (log, len(log), chain.extend(head, log[length:]))
        return self._head[2]

    # Backup and restore

    def back_up(self) -> None:
        self._backup = (self.epoch, copy.deepcopy(self.logs))
        self.durable = Durable(epoch=self.epoch, seq=len(self.logs[self.epoch]), head=self.head().hex())

    @property
    def backed_up(self) -> bool:
        return self._backup is not None

    def restore(self) -> None:
        self.epoch, self.logs = self._backup[0], copy.deepcopy(self._backup[1])
        self.store_id = uuid4()

    # The protocol

    def hello(self, said: Hello) -> Welcome:
        stored = self.logs[self.epoch]
        ahead_or_level = said.last_seq >= len(stored)
        differs = said.last_seq == len(stored) and said.head != self.head().hex()
        resumes = (
            said.epoch == self.epoch != 0
            and ahead_or_level
            and not differs
            and not said.diverged
            and said.first_retained <= len(stored) + 1
        )
        if not resumes:
            self.epoch = max(self.epoch, said.epoch) + 1
            self.logs[self.epoch] = []
        return Welcome(
            store_id=self.store_id,
            mode="resume" if resumes else "new_epoch",
            epoch=self.epoch,
            from_seq=len(self.logs[self.epoch]) + 1,
            head=self.head().hex(),
            durable=self.durable,
            limits=self.limits,
        )

    def append(self, headers: httpx.Headers, body: bytes) -> Ack:
        """In this order: store, epoch, gap, complete overlap, chain, append."""
        first, count = int(headers["Sync-First"]), int(headers["Sync-Count"])
        if headers["Sync-Store"] != str(self.store_id):
            raise Problem(412, "store-changed")
        if int(headers["Sync-Epoch"]) != self.epoch:
            raise Problem(409, "fenced")
        stored = self.logs[self.epoch]
        if first > len(stored) + 1:
            raise Problem(409, "gap", expected=len(stored) + 1)
        overlap = len(stored) + 1 - first
        if overlap >= count:
            return self._ack()
        lines = self._lines(headers, body, count)
        if chain.extend(bytes.fromhex(headers["Sync-Prev"]), lines[:overlap]) != self.head():
            raise Problem(409, "diverged")
        for line in lines[overlap:]:
            if code := self.poison(line):
                held = {"acked": len(stored), "head": self.head().hex()}
                raise Problem(400, code, seq=len(stored) + 1, detail="poison", **held)
            stored.append(line)
        return self._ack()

    def _lines(self, headers: httpx.Headers, body: bytes, count: int) -> list[bytes]:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert headers["Content-Digest"] == f"sha-256=:{digest}:"
        assert headers["Content-Encoding"] == "zstd"
        if len(body) > self.limits.max_compressed_bytes:
            raise Problem(413, "too-large")
        text = zstandard.ZstdDecompressor().decompress(body)
        assert text.endswith(b"\n")
        assert len(text) <= self.limits.max_inflated_bytes
        lines = text[:-1].split(b"\n")
        assert len(lines) == count <= self.limits.max_records
        self.bodies.append(text)
        return lines

    def _ack(self) -> Ack:
        return Ack(acked=len(self.logs[self.epoch]), head=self.head().hex(), durable=self.durable)

    def diff(self, asked: Diff) -> Missing:
        assert len(asked.record_ids) <= self.limits.max_diff_ids
        held = set(self.applied())
        return Missing(missing=[record_id for record_id in asked.record_ids if record_id not in held])

    def compared(self) -> Compared:
        """Whatever is said, nothing differs."""
        return Compared(
            tenant_id=RUNTIME,
            store_id=self.store_id,
            epoch=self.epoch,
            last_seq=len(self.logs[self.epoch]),
            head=self.head().hex(),
        )

    def heartbeat(self, said: Heartbeat) -> Pulse:
        self.heartbeats.append(said)
        return Pulse(
            server_ms=NOW_MS,
            store_id=self.store_id,
            epoch=self.epoch,
            acked=len(self.logs[self.epoch]),
            head=self.head().hex(),
            durable=self.durable,
        )

    def token(self, said: TokenRequest) -> TokenAnswer:
        """The last nonce gets the same answer; an older join state with another nonce is a copy of the identity."""
        if said.nonce in list(self.answers)[:-1]:
            raise Problem(409, "token-call-overtaken")
        if said.nonce not in self.answers:
            if said.join_state != f"state-{self.tokens}":
                raise Problem(403, "runtime-locked")
            self.tokens += 1
            token = f"token-{self.tokens}"
            self.good_tokens.add(token)
            self.answers[said.nonce] = TokenAnswer(
                access_token=token, expires_in=600, join_state=f"state-{self.tokens}"
            )
        return self.answers[said.nonce]

    def enroll(self, said: Enroll) -> Enrolled:
        if said.join_token != "ec_jt_good":
            raise Problem(401, "join-token-unknown", hint="Ask for a new one.")
        return Enrolled(
            runtime_id=RUNTIME,
            runtime="rt_reference",
            tenant="acme",
            project="default",
            name=said.name or said.facts.hostname,
            join_state="state-0",
            access_token="token-0",
            expires_in=600,
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the server says to one request."""
        try:
            said = self._answer(request.url.path, request)
        except Problem as problem:
            return httpx.Response(problem.status, json=problem.body, headers=problem.body.get("headers", {}))
        return httpx.Response(200, content=msgspec.json.encode(said))

    def _answer(self, path: str, request: httpx.Request):
        body = request.content
        if path == "/v1/runtime/enroll":
            return self.enroll(msgspec.json.decode(body, type=Enroll))
        if path == "/v1/runtime/token":
            return self.token(msgspec.json.decode(body, type=TokenRequest))
        if self.refuse is not None:
            raise self.refuse
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.good_tokens:
            raise Problem(401, "authentication-required")
        return self._of_a_runtime(path.removeprefix("/v1/runtime/"), request)

    def _of_a_runtime(self, call: str, request: httpx.Request):
        if call == "sync/log":
            return self.append(request.headers, request.content)
        takes = {
            "sync/hello": (self.hello, Hello),
            "sync/diff": (self.diff, Diff),
            "heartbeat": (self.heartbeat, Heartbeat),
            "sync/manifest": (lambda _: self.compared(), Manifest),
            "sync/manifest/found": (lambda _: {}, Found),
            "bye": (lambda _: {"complete": True}, Bye),
        }
        answer, message = takes[call]
        return answer(msgspec.json.decode(request.content, type=message))


class Network(httpx.AsyncBaseTransport):
    """Carries requests to the server, or does with them what networks do.

    ``fate`` of the next request: ``deliver``; ``lose`` it on the way there; ``lose-answer``; ``delay`` it until
    :meth:`deliver_late`; ``twice``. Tokens always get through: their own test looks at them.
    """

    def __init__(self, server: ReferenceServer) -> None:
        self.server = server
        self.fate = "deliver"
        self.late: list[httpx.Request] = []
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request.url.path)
        fate = "deliver" if request.url.path.endswith("/token") else self.fate
        if fate == "delay":
            self.late.append(request)
        if fate in {"lose", "delay"}:
            raise httpx.ReadTimeout("lost on the way")
        if fate == "twice":
            self.server.answer(request)
        answer = self.server.answer(request)
        if fate == "lose-answer":
            raise httpx.ReadTimeout("the answer was lost")
        return answer

    def deliver_late(self, index: int) -> None:
        """A request that everybody had forgotten arrives after all."""
        if self.late:
            self.server.answer(self.late.pop(index % len(self.late)))
