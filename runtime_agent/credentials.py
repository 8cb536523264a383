"""Credentials of the vault: leased when somebody asks, kept in memory until they end, renewed before they do."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from runtime_agent.clock import Clock
from runtime_agent.http import Absent, Http, Refused, at_server
from runtime_agent.identity import Identity
from runtime_agent.leases import Held, LeaseForged, opened, trusted
from runtime_agent.problems import Refusal
from runtime_agent.server import STALE
from runtime_agent.tokens import Tokens
from runtime_agent.wire import signing
from runtime_agent.wire.leases import (
    Lease,
    LeaseKeys,
    LeaseRequest,
    Notice,
    RenewRequest,
    Selector,
    Usable,
    Usables,
)

LEASES: Final = "/v1/runtime/leases"
ENDED: Final = frozenset({"lease-over", "lease-revoked", "not-found"})
"""Of a renewal: ask for a new one."""

Answer = TypeVar("Answer")


class NoCredential(Refusal):
    """There is none that this runtime may have."""

    code = "no-credential"
    hint = "runtime-agent credentials list shows what there is. Who may have what, the tenant's policies decide."


class Asked(Struct, frozen=True, kw_only=True):
    """For whom and what for; leases are kept apart by it."""

    name: str
    """A connection's id, ``con_…``, or its name."""
    agent: str = ""
    purpose: str = ""


class Credentials:
    """Of one runtime; what is leased stands in this process and nowhere else."""

    def __init__(self, http: Http, tokens: Tokens, clock: Clock) -> None:
        self._http, self._tokens, self._clock = http, tokens, clock
        self._held: dict[Asked, Held] = {}
        self._locks: dict[Asked, asyncio.Lock] = {}

    async def listing(self) -> Sequence[Usable]:
        """What this runtime may know of.

        Raises:
            Unreachable, Busy, Refused: As of any call.
        """
        return (await self._plain("/v1/runtime/credentials", Usables)).connections

    async def get(self, asked: Asked) -> Held:
        """A credential that is good now: one that is held, renewed if two thirds of it are over, or a new one.

        Raises:
            NoCredential: If the runtime may have none by that name.
            LeaseForged: If what came is not the control plane's.
            Unreachable, Busy, Refused: As of any call; what is held and still good is handed out all the same.
        """
        async with self._locks.setdefault(asked, asyncio.Lock()):
            held, now = self._held.get(asked), self.now()
            if held is not None and now < held.lease.renew_after:
                return held
            try:
                self._held[asked] = await (self._new(asked) if held is None else self._renewed(asked, held))
            except (NoCredential, LeaseForged):
                self._held.pop(asked, None)
                raise
            except Exception:
                if held is not None and now < held.expires_at:
                    return held
                self._held.pop(asked, None)
                raise
            return self._held[asked]

    def holds(self, asked: Asked) -> bool:
        """Whether there is one that may still be used: it has not ended, and nobody took it back."""
        held = self._held.get(asked)
        return held is not None and self.now() < held.expires_at

    def drop(self) -> None:
        """Forget everything: the control plane wants nothing of this runtime any more."""
        self._held.clear()

    async def renew_due(self) -> int:
        """Renew what is two thirds over, forget what has ended, and return how many were renewed."""
        renewed = 0
        for asked, held in list(self._held.items()):
            if self.now() >= held.expires_at:
                self._held.pop(asked, None)
            elif self.now() >= held.lease.renew_after and await self.get(asked) is not held:
                renewed += 1
        return renewed

    def heed(self, notices: Sequence[Notice]) -> None:
        """What the control plane says of leases: a revoked one is not used any more, a superseded one is renewed, and not
        used once its token is dead."""
        said = {notice.lease: notice for notice in notices}
        for asked, held in list(self._held.items()):
            notice = said.get(held.lease.bound.lease)
            if notice is None:
                continue
            if notice.state == "revoked":
                self._held.pop(asked, None)
            elif notice.state == "superseded":
                due = msgspec.structs.replace(held.lease, renew_after=self.now())
                ends = min(held.expires_at, notice.dies_at or held.expires_at)
                self._held[asked] = msgspec.structs.replace(held, lease=due, expires_at=ends)

    async def _new(self, asked: Asked) -> Held:
        named = asked.name.startswith("con_")
        request = LeaseRequest(
            connection=asked.name if named else None,
            select=None if named else Selector(name=asked.name),
            agent=asked.agent,
            purpose=asked.purpose,
        )
        try:
            return await self._leased(LEASES, request)
        except Absent:
            raise NoCredential(f"there is no credential {asked.name!r} for this runtime") from None
        except Refused as refused:
            if refused.problem.code not in {"lease-denied", "connection-ambiguous", "connection-not-served"}:
                raise
            raise NoCredential(str(refused), hint=refused.problem.hint) from refused

    async def _renewed(self, asked: Asked, held: Held) -> Held:
        try:
            return await self._leased(f"{LEASES}/{held.lease.bound.lease}/renew", RenewRequest())
        except Absent:
            pass
        except Refused as refused:
            if refused.problem.code not in ENDED:
                raise
        return await self._new(asked)

    async def _leased(self, path: str, message: Struct) -> Held:
        nonce = secrets.token_hex(signing.NONCE_BYTES)
        lease = await self._signed(path, message, nonce, Lease)
        if lease.key not in self._identity().lease_keys:
            await self.learn_keys()
        return opened(self._identity(), lease, nonce, self.now())

    async def _signed(self, path: str, message: Struct, nonce: str, into: type[Answer]) -> Answer:
        """Once more where the first answer showed that our clock is wrong."""
        body = msgspec.json.encode(message)
        try:
            return await self._post(path, body, nonce, into)
        except Refused as refused:
            if refused.problem.code != "clock-skewed":
                raise
        return await self._post(path, body, nonce, into)

    async def _post(self, path: str, body: bytes, nonce: str, into: type[Answer]) -> Answer:
        def call(token: dict[str, str]) -> Awaitable[Answer]:
            now = at_server(self._http, self._clock())
            signed = signing_headers(self._identity(), ("POST", path, body), nonce, now)
            return self._http.post(path, body, {**signed, **token}, into)

        return await self._with_token(call)

    async def _plain(self, path: str, into: type[Answer]) -> Answer:
        return await self._with_token(lambda token: self._http.get(path, token, into))

    async def _with_token(self, call: Callable[[dict[str, str]], Awaitable[Answer]]) -> Answer:
        """A stale one is replaced once."""
        token = await self._tokens.current()
        try:
            return await call({"Authorization": f"Bearer {token}"})
        except Refused as refused:
            if refused.problem.code != STALE:
                raise
        self._tokens.discard(token)
        return await call({"Authorization": f"Bearer {await self._tokens.current()}"})

    async def learn_keys(self) -> None:
        """Trust what the keys that are pinned vouch for; the very first are taken as they come."""
        told = await self._plain("/v1/runtime/lease-keys", LeaseKeys)
        known = trusted(self._identity().lease_keys, told)
        await self._tokens.keep(lease_keys=known)

    def _identity(self) -> Identity:
        return self._tokens.identity

    def now(self) -> datetime:
        """By the server's clock, as far as it is known."""
        return self._clock() + timedelta(seconds=self._http.skew_s)


def signing_headers(identity: Identity, request: tuple[str, str, bytes], nonce: str, created: int) -> dict[str, str]:
    """What makes a request a signed one.

    Args:
        request: Method, path and body.
        created: Seconds since 1970.
    """
    method, path, body = request
    digest = signing.digest(body)
    said = signing.Signed(created=created, nonce=nonce, keyid=identity.runtime)
    return signing.headers(said, digest, identity.signature(said.base(method, path, digest)))
