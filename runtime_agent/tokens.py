"""Short-lived access tokens, asked for with the runtime's own key whenever one runs out."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
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
        async with self._lock, self._alone():
            self._keep(msgspec.structs.replace(self.identity, lease_keys=lease_keys))

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
            self._keep(msgspec.structs.replace(self.identity, nonce=secrets.token_urlsafe(24)))
        known_skew_s = self._http.skew_s
        try:
            answer = await self._ask()
        except Refused as refused:
            if refused.problem.status != 401 or abs(self._http.skew_s - known_skew_s) < FAR_S:
                raise
            answer = await self._ask()
        self._keep(msgspec.structs.replace(self.identity, join_state=answer.join_state, nonce=""))
        self._token = answer.access_token
        self._good_until = time.monotonic() + answer.expires_in - min(EARLY_S, answer.expires_in / 10)

    async def _ask(self) -> TokenAnswer:
        now = at_server(self._http, self._clock())
        runtime = str(self.identity.id)
        claims = {
            "iss": runtime,
            "sub": runtime,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + ASSERTION_S,
            "jti": str(uuid4()),
        }
        request = TokenRequest(
            client_assertion=self.identity.signed(claims),
            join_state=self.identity.join_state,
            nonce=self.identity.nonce,
        )
        return await self._http.post("/v1/runtime/token", msgspec.json.encode(request), {}, TokenAnswer)

    def _keep(self, identity: Identity) -> None:
        identities.save(self._home, identity)
        self.identity = identity
