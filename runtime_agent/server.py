"""The control plane, seen from here: the calls of a runtime that has joined."""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from zstandard import ZstdCompressor

from runtime_agent.http import Http, Refused
from runtime_agent.outbox.contents import Waiting
from runtime_agent.outbox.log import Batch
from runtime_agent.tokens import Tokens
from runtime_agent.wire import budgets, comparing, sync
from runtime_agent.wire.commands import Accepted, Confirmed, Orders
from runtime_agent.wire.config import Desired
from runtime_agent.wire.content import CONTENT_TYPE, Check, Checked, Commit, Committed, HeldContent, Put, Wanted
from runtime_agent.wire.content import Chunk as ContentChunk
from runtime_agent.wire.heartbeat import Bye, Heartbeat, Pulse
from runtime_agent.wire.logs import NONE, Chunk, Granted

STALE = "authentication-required"
"""A token that is good no more."""

LEVEL = 1
"""Of zstd: 6.0 times smaller, at a fifth more speed than level 3."""

Answer = TypeVar("Answer")


def packed(lines: Sequence[bytes]) -> bytes:
    """The body of an append: every line with its line feed, compressed."""
    return ZstdCompressor(level=LEVEL).compress(b"".join(line + b"\n" for line in lines))


class Server:
    """Every call may raise ``Unreachable``, ``Busy`` or ``Refused``."""

    def __init__(self, http: Http, tokens: Tokens) -> None:
        self.http = http
        self.tokens = tokens

    async def hello(self, hello: sync.Hello) -> sync.Welcome:
        return await self._say("/v1/runtime/sync/hello", hello, sync.Welcome)

    async def diff(self, record_ids: list[UUID]) -> set[UUID]:
        """Those of *record_ids* that the server lacks."""
        asked = sync.Diff(record_ids=record_ids)
        return set((await self._say("/v1/runtime/sync/diff", asked, sync.Missing)).missing)

    async def append(self, store_id: UUID, batch: Batch, body: bytes) -> sync.Ack:
        """Send *batch*, whose lines are *packed* in *body*."""
        headers = {
            sync.STORE: str(store_id),
            sync.EPOCH: str(batch.epoch),
            sync.FIRST: str(batch.first),
            sync.PREV: batch.prev.hex(),
            sync.COUNT: str(len(batch.lines)),
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "zstd",
            "Content-Digest": f"sha-256=:{b64encode(sha256(body).digest()).decode()}:",
        }
        return await self._post("/v1/runtime/sync/log", body, headers, sync.Ack)

    async def manifest(self, manifest: comparing.Manifest) -> comparing.Compared:
        return await self._say("/v1/runtime/sync/manifest", manifest, comparing.Compared)

    async def manifest_items(self, items: comparing.Items) -> comparing.Want:
        return await self._say("/v1/runtime/sync/manifest/items", items, comparing.Want)

    async def manifest_found(self, found: comparing.Found) -> None:
        await self._say("/v1/runtime/sync/manifest/found", found, dict)

    async def heartbeat(self, heartbeat: Heartbeat) -> Pulse:
        return await self._say("/v1/runtime/heartbeat", heartbeat, Pulse)

    async def config(self, tag: str) -> tuple[Desired | None, str]:
        """The configuration and its ETag; None where it is still what *tag* names."""

        def ask(token: str) -> Awaitable[tuple[Desired | None, str]]:
            return self.http.get_newer("/v1/runtime/config", {"Authorization": f"Bearer {token}"}, tag, Desired)

        return await self._with_token(ask)

    async def lease_budgets(self, ask: budgets.Ask) -> budgets.Leased:
        """Slices of budgets, once more; those that are held do not become less."""
        return await self._say("/v1/runtime/budgets", ask, budgets.Leased)

    async def poll(
        self, store_id: UUID | None, after: int, wait_s: int, config: int = 0, tails: Sequence[str] = ()
    ) -> Orders:
        """Commands that are not acknowledged, and those that are not finished and numbered beyond *after*.

        Args:
            config: The generation of the configuration that is known here: a newer one ends the waiting, too.
            tails: Of logs, that are known here to be open: it answers at once where others are.
        """
        store = f"&store={store_id}" if store_id else ""

        def ask(token: str) -> Awaitable[Orders]:
            known = f"config={config}&tails={','.join(tails) or NONE}"
            path = f"/v1/runtime/poll?after={after}&wait={wait_s}&{known}{store}"
            return self.http.get(path, {"Authorization": f"Bearer {token}"}, Orders)

        return await self._with_token(ask)

    async def accept(self, commands: list[str]) -> list[str]:
        """Those of *commands*, which are all on the disk, that are not to be carried out after all."""
        return (await self._say("/v1/runtime/commands/ack", Accepted(commands=commands), Confirmed)).void

    async def held(self, checkpoint: str) -> HeldContent:
        """What there is of the content of *checkpoint*, ``cp_…``."""

        def ask(token: str) -> Awaitable[HeldContent]:
            path = f"/v1/runtime/checkpoints/{checkpoint}/content"
            return self.http.get(path, {"Authorization": f"Bearer {token}"}, HeldContent)

        return await self._with_token(ask)

    async def bring(self, tail: str, chunk: Chunk) -> Granted:
        """Hand over lines of a log to whoever looks at it."""
        return await self._say(f"/v1/runtime/logs/{tail}", chunk, Granted)

    async def bye(self, bye: Bye) -> None:
        await self._say("/v1/runtime/bye", bye, dict)

    async def check(self, chunks: Sequence[Waiting], *, direct: bool) -> list[Wanted]:
        """Which of *chunks* are wanted, and where each may be put."""
        asked = Check(chunks=[ContentChunk(sha256=each.sha256.hex(), size=each.size) for each in chunks], direct=direct)
        return (await self._say("/v1/runtime/sync/blobs/check", asked, Checked)).chunks

    async def put(self, sha256: str, body: bytes) -> None:
        """Send one chunk through the control plane."""
        headers = {"Content-Type": CONTENT_TYPE}

        def send(token: str) -> Awaitable[Put]:
            given = {**headers, "Authorization": f"Bearer {token}"}
            return self.http.put(f"/v1/runtime/sync/blobs/{sha256}", body, given, Put)

        await self._with_token(send)

    async def commit(self, hashes: Sequence[bytes]) -> None:
        said = Commit(chunks=[each.hex() for each in hashes])
        await self._say("/v1/runtime/sync/blobs/commit", said, Committed)

    async def _say(self, path: str, message: Struct, into: type[Answer]) -> Answer:
        return await self._post(path, msgspec.json.encode(message), {}, into)

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str], into: type[Answer]) -> Answer:
        def send(token: str) -> Awaitable[Answer]:
            return self.http.post(path, body, {**headers, "Authorization": f"Bearer {token}"}, into)

        return await self._with_token(send)

    async def _with_token(self, call: Callable[[str], Awaitable[Answer]]) -> Answer:
        """A stale one is replaced once."""
        token = await self.tokens.current()
        try:
            return await call(token)
        except Refused as refused:
            if refused.problem.status != 401 or refused.problem.code != STALE:
                raise
        self.tokens.discard(token)
        return await call(await self.tokens.current())
