"""Tokens of runtimes: the assertion that one signs, the access token and the join state that we sign.

All are JSON Web Tokens signed with Ed25519 (RFC 7519, RFC 8037, RFC 9864).
"""

import base64
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import keys, runtimes
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import AuthenticationRequired
from controlplane.kit.ids import RuntimeId, TenantId
from controlplane.kit.problems import Refusal
from runtime_agent.wire.join import AUDIENCE

ISSUER = "engine-cloud"
ALGORITHM = "Ed25519"
LIFETIME = timedelta(minutes=10)
ASSERTION_LIFETIME = timedelta(minutes=5)
LEEWAY = timedelta(minutes=2)
NOT_A_TOKEN = (JoseError, ValueError, TypeError, RecursionError, msgspec.MsgspecError)
"""What comes of reading text that is none, however it was made."""

Said = TypeVar("Said", bound=Struct)

REMEMBERED = 20_000
"""Verified access tokens kept, so that a runtime's next call costs no signature check."""


class TokenInvalid(AuthenticationRequired):
    """Missing, forged, expired, or made for somebody else: which one is nobody's business."""

    title = "No valid runtime token came with this call"
    hint = "The agent asks for a new one with its own key; where that is refused too, join again."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="runtime"'}


class AssertionInvalid(Refusal):
    code, status, title = "assertion-invalid", 401, "The runtime did not prove who it is"
    hint = "Its key is not the one that joined, or it has been removed: join again with a new token."


class ClockSkewed(Refusal):
    """The signature is right and the time in it is not: tell the agent ours, so that it can correct itself."""

    code, status, title = "clock-skewed", 401, "The runtime's clock is too far from ours"
    hint = "Set the clock of the runtime's machine; the agent corrects itself meanwhile."

    def __init__(self, now: datetime) -> None:
        super().__init__(f"it is {now.isoformat()} here")
        self.now = now

    def facts(self) -> dict[str, object]:
        return {"server_ms": int(self.now.timestamp() * 1000)}


class Claims(Struct, frozen=True, kw_only=True):
    """Of an access token."""

    tenant_id: TenantId
    runtime_id: RuntimeId
    generation: int
    expires_at: float
    """Seconds since 1970."""


class KeyInUse(Refusal):
    """Only the first answer may come again: whoever has asked for tokens since has it."""

    code, status, title = "key-in-use", 409, "A runtime has joined with this key and used it since"
    hint = "Join with a new key: remove the agent's identity.json first."


class _Timed(Struct, frozen=True, kw_only=True):
    aud: str
    iat: float
    exp: float


class _Assertion(_Timed, frozen=True, kw_only=True):
    iss: str
    sub: str
    jti: str


class _KeyProof(_Timed, frozen=True, kw_only=True):
    sub: str


class _Proof(_Timed, frozen=True, kw_only=True):
    sealing_key: str
    token_sha256: str


class AccessTokens:
    """Issues and checks access tokens and join states with the installation's signing keys."""

    def __init__(self, keys: KeySet, current: OKPKey) -> None:
        """
        Args:
            keys: All keys whose signatures are accepted, by ``kid``.
            current: The one that signs.
        """
        self._keys, self._current = keys, current
        self._verified: dict[str, Claims] = {}

    @classmethod
    def under(cls, keyring: Keyring) -> Self:
        """With the signing keys that the master keys derive."""
        own = {kid: OKPKey.import_key(key, {"kid": kid}) for kid, key in keys.signing_keys(keyring).items()}
        return cls(KeySet(list(own.values())), own[keyring.current])

    def issue(self, claims: Claims, now: datetime) -> str:
        return self._sign(
            {
                "aud": AUDIENCE,
                "sub": str(claims.runtime_id),
                "tid": str(claims.tenant_id),
                "gen": claims.generation,
                "iat": int(now.timestamp()),
                "exp": int(claims.expires_at),
            }
        )

    def check(self, token: str, now: datetime) -> Claims:
        """
        Raises:
            TokenInvalid: Unless *token* is ours, for runtimes, and has not expired.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = self._claims(token)
            if len(self._verified) >= REMEMBERED:
                self._verified.clear()
            self._verified[token] = claims
        if claims.expires_at <= now.timestamp():
            self._verified.pop(token, None)
            raise TokenInvalid
        return claims

    def join_state(self, runtime_id: UUID, count: int) -> str:
        """The document that the runtime shows at its next token call: which one it is, and after how many calls."""
        return self._sign({"aud": "join-state", "sub": str(runtime_id), "n": count})

    def count_in(self, join_state: str, runtime_id: UUID) -> int | None:
        """The counter in a join state of ours for this runtime; None where it is anything else."""
        claims = self._verify(join_state)
        if claims is None or claims.get("aud") != "join-state" or claims.get("sub") != str(runtime_id):
            return None
        count = claims.get("n")
        return count if isinstance(count, int) else None

    def _claims(self, token: str) -> Claims:
        found = self._verify(token)
        if found is None or found.get("aud") != AUDIENCE:
            raise TokenInvalid
        return Claims(
            tenant_id=TenantId(UUID(found["tid"])),
            runtime_id=RuntimeId(UUID(found["sub"])),
            generation=found["gen"],
            expires_at=found["exp"],
        )

    def _sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": ALGORITHM, "kid": self._current.kid}
        return jwt.encode(header, {"iss": ISSUER, **claims}, self._current, algorithms=[ALGORITHM])

    def _verify(self, token: str) -> dict[str, Any] | None:
        try:
            claims = jwt.decode(token, self._keys, algorithms=[ALGORITHM]).claims
        except NOT_A_TOKEN:
            return None
        return claims if claims.get("iss") == ISSUER else None


def subject(assertion: str) -> UUID:
    """Whom an assertion speaks of, before anything is checked.

    Raises:
        AssertionInvalid: If it has not even the form of one.
    """
    try:
        _, payload, _ = assertion.split(".")
        return UUID(msgspec.json.decode(_from_base64url(payload), type=_Assertion).sub)
    except NOT_A_TOKEN:
        raise AssertionInvalid from None


def check_assertion(assertion: str, public_keys: Sequence[bytes], runtime_id: UUID, now: datetime) -> None:
    """Check a client assertion (RFC 7523 section 3) by the runtime's key, or the one before while that counts.

    Raises:
        AssertionInvalid: If the signature, the subject or the audience is wrong.
        ClockSkewed: If only its times are.
    """
    *before, last = public_keys
    for key in before:
        with suppress(AssertionInvalid):
            claims = _signed_by(assertion, key, _Assertion)
            break
    else:
        claims = _signed_by(assertion, last, _Assertion)
    if claims.aud != AUDIENCE or claims.sub != str(runtime_id) or claims.iss != claims.sub:
        raise AssertionInvalid
    _check_times(claims, now)


def check_possession(proof: str, public_key: bytes, sealing_key: str, join_token: str, now: datetime) -> None:
    """Check that whoever joins holds the private half of *public_key*, and meant this token and sealing key.

    Raises:
        AssertionInvalid: If not.
        ClockSkewed: If only its times are wrong; so whoever writes a proof down cannot use it for long.
    """
    claims = _signed_by(proof, public_key, _Proof)
    token = hashlib.sha256(join_token.encode()).hexdigest()
    if (claims.aud, claims.sealing_key, claims.token_sha256) != (f"{AUDIENCE}/enroll", sealing_key, token):
        raise AssertionInvalid
    _check_times(claims, now)


def check_new_key(proof: str, public_key: bytes, runtime_id: UUID, now: datetime) -> None:
    """Check that whoever wants to be known by *public_key* holds its private half, and is this runtime.

    Raises:
        AssertionInvalid: If not.
        ClockSkewed: If only its times are wrong.
    """
    claims = _signed_by(proof, public_key, _KeyProof)
    if (claims.aud, claims.sub) != (f"{AUDIENCE}/key", str(runtime_id)):
        raise AssertionInvalid
    _check_times(claims, now)


async def keys_of(tx: TenantTx, runtime_id: RuntimeId) -> list[bytes]:
    """What a runtime may prove itself by, without keeping anybody waiting; none: there is no such runtime."""
    mine = tx.select(t.runtimes).where(t.runtimes.c.id == runtime_id)
    found = await tx.first(_Key, mine)
    if found is None:
        return []
    return [found.public_key, *runtimes.overlapping(found.previous_key, found.previous_key_until, tx.now)]


def public_bytes(text: str) -> bytes:
    """32 bytes from base64url without padding.

    Raises:
        AssertionInvalid: If it is not 32 bytes.
    """
    try:
        raw = _from_base64url(text)
    except ValueError:
        raise AssertionInvalid from None
    if len(raw) != 32:
        raise AssertionInvalid
    return raw


def _signed_by(token: str, public_key: bytes, kind: type[Said]) -> Said:
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _base64url(public_key)})
    try:
        claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
        return msgspec.convert(claims, kind)
    except NOT_A_TOKEN:
        raise AssertionInvalid from None


def _check_times(claims: _Timed, now: datetime) -> None:
    at, leeway = now.timestamp(), LEEWAY.total_seconds()
    brief = claims.exp - claims.iat <= ASSERTION_LIFETIME.total_seconds()
    if not (brief and claims.exp >= at - leeway and claims.iat <= at + leeway):  # so that NaN does not pass
        raise ClockSkewed(now)


class _Key(Struct, frozen=True):
    public_key: bytes
    previous_key: bytes | None
    previous_key_until: datetime | None


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
