"""Replacing the runtime's key: the new one is made here, both are proved, and a crash anywhere leaves one that works."""

import secrets
from pathlib import Path
from uuid import uuid4

import msgspec

from runtime_agent import identity as identities
from runtime_agent.clock import Clock, utc_now
from runtime_agent.credentials import signing_headers
from runtime_agent.http import Busy, Http, Refused, Unreachable, at_server
from runtime_agent.problems import Refusal
from runtime_agent.server import STALE
from runtime_agent.tokens import ASSERTION_S, Tokens
from runtime_agent.wire import signing
from runtime_agent.wire.join import AUDIENCE, KnownBy, NewKey


class NotRotated(Refusal):
    code = "key-unrotated"
    hint = "The key there is still works. Try again: what was begun is brought to its end."


KEY = f"{AUDIENCE}/key"


async def rotate(http: Http, tokens: Tokens, clock: Clock) -> str:
    """Be known by a new key from now on, and return its public half.

    A rotation that was cut short is brought to its end with the key that it began with.

    Raises:
        Unreachable, Busy, Refused: As of any call; the key there is still works, or the next one does.
    """
    await tokens.change(_prepared)
    token = await tokens.current()  # shows whether the control plane knew the next one already
    if tokens.identity.next_signing_key:
        try:
            await _tell(http, tokens, clock, token)
        except Refused as refused:
            if refused.problem.code != STALE:
                raise
            tokens.discard(token)
            token = await tokens.current()
            if tokens.identity.next_signing_key:
                await _tell(http, tokens, clock, token)
        if tokens.identity.next_signing_key:
            await tokens.change(identities.Identity.known_by_next)
        tokens.discard(token)
    return tokens.identity.public_key()


async def rotated(home: Path, identity: identities.Identity) -> str:
    """The same for a command, beside the daemon or without it.

    Raises:
        NotRotated: With the control plane's own words.
    """
    async with Http(identity.server, utc_now) as http:
        try:
            return await rotate(http, Tokens(http, home, identity, utc_now), utc_now)
        except (Unreachable, Busy, Refused) as error:
            raise NotRotated(f"the control plane did not take the new key: {error}") from error


def _prepared(identity: identities.Identity) -> identities.Identity:
    """With a next key, which is on disk before anybody is told."""
    if identity.next_signing_key:
        return identity
    return msgspec.structs.replace(identity, next_signing_key=identities.fresh_key())


async def _tell(http: Http, tokens: Tokens, clock: Clock, token: str) -> None:
    """Signed by the key there is, with a proof by the next."""
    identity, now = tokens.identity, at_server(http, clock())
    coming = identity.known_by_next()
    claims = {"aud": KEY, "iat": now, "exp": now + ASSERTION_S, "jti": str(uuid4()), "sub": str(identity.id)}
    body = msgspec.json.encode(NewKey(public_key=coming.public_key(), proof=coming.signed(claims)))
    signed = signing_headers(identity, ("POST", KEY, body), secrets.token_hex(signing.NONCE_BYTES), now)
    await http.post(KEY, body, {**signed, "Authorization": f"Bearer {token}"}, KnownBy)
