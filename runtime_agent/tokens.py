"""Short-lived access tokens, asked for with the runtime's own key whenever one runs out."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec

from runtime_agent import identity as identities
from runtime_agent.clock import Clock
from runtime_agent.http import Http, Refused, at_server
from runtime_agent.identity import Identity
from runtime_agent.wire.join import AUDIENCE, TokenAnswer, TokenRequest

ASSERTION_S = 60
"""How long an assertion of ours is good."""

EARLY_S = 20.0
"""A token is replaced that long before it ends; a tenth of its life if that is shorter."""

FAR_S = 10.0
"""A refusal is tried once more when it showed the clocks to be further apart than we knew."""


OVERTAKEN = "token-call-overtaken"
"""The call that our disk names was answered long ago: the disk went back, or there are two of us."""

UNKNOWN_KEY = "assertion-invalid"
"""The control plane does not know us by the key that we signed with."""


def candidates(identity: Identity) -> list[Identity]:
    """The same runtime by each key that it may be known by, the likeliest first."""
    by_next = [identity.known_by_next()] if identity.next_signing_key else []
    by_former = [identity.known_by_former()] if identity.former_signing_key and not by_next else []
    return [*by_next, identity, *by_former]


class Tokens:
    """The current access token of one runtime."""

    def __init__(self, http: Http, home: Path, identity: Identity, clock: Clock) -> None:
        self._http = http
        self._home = home
        self._clock = clock
        self.identity = identity
        self._token = ""
        self._good_until = 0.0
        self._lock = asyncio.Lock()

    async def current(self) -> str:
        """A token that is good now, asked for if need be.

        Raises:
            Unreachable, Busy, Refused: As of any call.
        """
        async with self._lock:
            if time.monotonic() >= self._good_until:
                await self._renew()
            return self._token

    def discard(self, token: str) -> None:
        """The server does not accept *token* any more."""
        if token == self._token:
            self._good_until = 0.0

    async def keep(self, *, lease_keys: dict[str, str]) -> None:
        """Remember what the control plane signs leases with."""
        await self.change(lambda identity: msgspec.structs.replace(identity, lease_keys=lease_keys))

    async def change(self, changed: Callable[[Identity], Identity]) -> None:
        """Keep the identity as *changed* makes it of what is on disk."""
        async with self._lock, self._alone():
            self._keep(changed(self.identity))

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """With the identity as it is on disk: a command beside the daemon may have asked for a token since."""
        async with identities.alone(self._home):
            self.identity = identities.find(self._home) or self.identity
            yield

    async def _renew(self) -> None:
        """Ask with the join state and a nonce that is on disk before the call: a lost answer comes again."""
        async with self._alone():
            await self._replace()

    async def _replace(self) -> None:
        if not self.identity.nonce:
            self._begin()
        try:
            identity, answer = await self._known()
        except Refused as refused:
            if refused.problem.code != OVERTAKEN:
                raise
            self._begin()  # a call of our own, so that it is noticed whose the answered one was
            identity, answer = await self._known()
        self._keep(msgspec.structs.replace(identity, join_state=answer.join_state, nonce=""))
        self._token = answer.access_token
        self._good_until = time.monotonic() + answer.expires_in - min(EARLY_S, answer.expires_in / 10)

    def _begin(self) -> None:
        """A call that nobody has made before, on disk before it is made."""
        self._keep(msgspec.structs.replace(self.identity, nonce=secrets.token_urlsafe(24)))

    async def _known(self) -> tuple[Identity, TokenAnswer]:
        """Who we are by the key that the control plane knows us by, and its answer.

        After a crash in the middle of a rotation it is the next one or not; after a restore it may be the former.
        """
        *others, last = candidates(self.identity)
        for identity in others:
            try:
                return identity, await self._corrected(identity)
            except Refused as refused:
                if refused.problem.code != UNKNOWN_KEY:
                    raise
        return last, await self._corrected(last)

    async def _corrected(self, identity: Identity) -> TokenAnswer:
        """Once more where the refusal showed that our clock is wrong."""
        known_skew_s = self._http.skew_s
        try:
            return await self._ask(identity)
        except Refused as refused:
            if refused.problem.status != 401 or abs(self._http.skew_s - known_skew_s) < FAR_S:
                raise
        return await self._ask(identity)

    async def _ask(self, identity: Identity) -> TokenAnswer:
        now = at_server(self._http, self._clock())
        runtime = str(identity.id)
        claims = {
            "iss": runtime,
            "sub": runtime,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + ASSERTION_S,
            "jti": str(uuid4()),
        }
        request = TokenRequest(
            client_assertion=identity.signed(claims),
            join_state=identity.join_state,
            nonce=identity.nonce,
        )
        return await self._http.post("/v1/runtime/token", msgspec.json.encode(request), {}, TokenAnswer)

    def _keep(self, identity: Identity) -> None:
        identities.save(self._home, identity)
        self.identity = identity
