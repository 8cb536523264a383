"""The tokens that a provider signs: ID tokens (OpenID Connect Core 1.0) and logout tokens (Back-Channel Logout 1.0)."""

import hmac
import warnings
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import msgspec
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from msgspec import Meta, Struct

from controlplane.kit.openid.discovery import Metadata, Providers
from controlplane.kit.problems import Refusal

LEEWAY: Final = timedelta(minutes=2)
"""How far the provider's clock and ours may be apart."""

OLDEST: Final = timedelta(minutes=10)
"""An ID token comes right after it was made."""

LONGEST: Final = 16_384
"""Characters of a token."""

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TYPES: Final = frozenset({"", "jwt", "logout+jwt", "application/logout+jwt"})

NOT_A_TOKEN: Final = (JoseError, ValueError, TypeError, KeyError, RecursionError, msgspec.MsgspecError, Warning)

Said = TypeVar("Said", bound=Struct)

Subject = Annotated[str, Meta(min_length=1, max_length=255)]


class TokenRefused(Refusal):
    """What the provider sent is not signed, not meant for us, not now, or not for this sign-in."""

    code, status, title = "sso-token-refused", 401, "The identity provider's answer does not hold"
    hint = "Sign in again. If it stays like this, an administrator finds the reason in the audit log."

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def facts(self) -> dict[str, object]:
        return {"why": self.why}


class Identity(Struct, frozen=True, kw_only=True):
    """Who somebody is, by a token that holds."""

    sub: Subject
    email: Annotated[str, Meta(max_length=254)] | None = None
    email_verified: bool | str = False
    """Some providers write it as text."""
    name: Annotated[str, Meta(max_length=200)] = ""
    sid: Annotated[str, Meta(max_length=255)] | None = None
    auth_time: float | None = None
    hd: Annotated[str, Meta(max_length=255)] | None = None
    """The organization whose account it is, where a provider serves everybody: Google's."""

    @property
    def address(self) -> str | None:
        return self.email.strip() if self.email else None

    @property
    def address_verified(self) -> bool:
        return self.email_verified in (True, "true")

    @property
    def authenticated_at(self) -> datetime | None:
        return None if self.auth_time is None else datetime.fromtimestamp(self.auth_time, UTC)


class LoggedOut(Struct, frozen=True, kw_only=True):
    """Whose sessions have ended at the provider: all of *sub*'s, or the one with *sid*."""

    sub: Subject | None = None
    sid: Annotated[str, Meta(max_length=255)] | None = None
    jti: Annotated[str, Meta(min_length=1, max_length=255)]
    expires_at: datetime


class Expected(Struct, frozen=True, kw_only=True):
    """What an ID token has to be about."""

    client_id: str
    nonce: str
    access_token: str | None


async def identity(providers: Providers, metadata: Metadata, token: str, expected: Expected) -> Identity:
    """Who *token* says somebody is (OpenID Connect Core 1.0, section 3.1.3.7).

    Raises:
        TokenRefused: If it does not hold.
        ProviderUnusable: If the keys cannot be had.
    """
    header, claims = await _verified(providers, metadata, token)
    _check_id_token(header, claims, metadata, expected, providers.clock())
    return _converted(claims, Identity)


async def logged_out(providers: Providers, metadata: Metadata, token: str, client_id: str) -> LoggedOut:
    """Whose sessions have to end (OpenID Connect Back-Channel Logout 1.0, section 2.6). Replay is the caller's question.

    Raises:
        TokenRefused: If it does not hold.
        ProviderUnusable: If the keys cannot be had.
    """
    header, claims = await _verified(providers, metadata, token)
    if str(header.get("typ", "")).lower() not in LOGOUT_TYPES:
        raise TokenRefused("type")
    _check_times(claims, providers.clock())
    _check_parties(claims, metadata, client_id)
    if not isinstance(claims.get("events"), dict) or not isinstance(claims["events"].get(LOGOUT_EVENT), dict):
        raise TokenRefused("no logout event")
    if "nonce" in claims:
        raise TokenRefused("a nonce: it is an ID token")
    if "sub" not in claims and "sid" not in claims:
        raise TokenRefused("neither subject nor session")
    return _converted({**claims, "expires_at": datetime.fromtimestamp(claims["exp"], UTC) + LEEWAY}, LoggedOut)


async def _verified(providers: Providers, metadata: Metadata, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of what is signed by a key of the provider's, in a way that both sides take."""
    if len(token) > LONGEST or token.count(".") != 2:
        raise TokenRefused("not a signed token")
    keys = await providers.keys(metadata)
    try:
        return _decoded(token, keys, metadata.algorithms)
    except InvalidKeyIdError:
        keys = await providers.keys(metadata, unknown=True)
    try:
        return _decoded(token, keys, metadata.algorithms)
    except InvalidKeyIdError as error:
        raise TokenRefused("signature") from error


def _decoded(token: str, keys: KeySet, algorithms: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the library only warns of is not good enough for a stranger's key
            decoded = jwt.decode(token, keys, algorithms=list(algorithms))
    except InvalidKeyIdError:
        raise
    except NOT_A_TOKEN as error:
        raise TokenRefused("signature") from error
    return dict(decoded.header), dict(decoded.claims)


def _check_id_token(
    header: dict[str, Any], claims: dict[str, Any], metadata: Metadata, expected: Expected, now: datetime
) -> None:
    params = {"client_id": expected.client_id, "access_token": expected.access_token}
    _check_times(claims, now)
    _check_parties(claims, metadata, expected.client_id)
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), expected.nonce.encode()):
        raise TokenRefused("nonce")
    if LOGOUT_EVENT in (claims.get("events") or {}):
        raise TokenRefused("a logout token")
    if now - datetime.fromtimestamp(claims["iat"], UTC) > OLDEST:
        raise TokenRefused("too old")
    try:
        CodeIDToken(claims, header, None, params).validate(int(now.timestamp()), int(LEEWAY.total_seconds()))
    except NOT_A_TOKEN as error:
        raise TokenRefused(f"claims: {getattr(error, 'claim', None) or type(error).__name__}") from error


def _check_parties(claims: dict[str, Any], metadata: Metadata, client_id: str) -> None:
    """From its own provider, and for this client and nobody else."""
    if claims.get("iss") != metadata.issuer or claims.get("aud") not in (client_id, [client_id]):
        raise TokenRefused("issuer or audience")


def _check_times(claims: dict[str, Any], now: datetime) -> None:
    seconds = [claims.get("iat"), claims.get("exp")]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in seconds):
        raise TokenRefused("no times")
    try:
        issued, expires = (datetime.fromtimestamp(each, UTC) for each in seconds)  # type: ignore[arg-type]
    except (ValueError, OverflowError, OSError) as error:
        raise TokenRefused("no times") from error
    if issued > now + LEEWAY:
        raise TokenRefused("from the future")
    if expires <= now - LEEWAY:
        raise TokenRefused("expired")


def _converted(claims: dict[str, Any], into: type[Said]) -> Said:
    known = {name: claims[name] for name in into.__struct_fields__ if claims.get(name) is not None}
    try:
        return msgspec.convert(known, into)
    except msgspec.ValidationError as error:
        raise TokenRefused("claims") from error
