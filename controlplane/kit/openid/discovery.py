"""What a provider says of itself (OpenID Connect Discovery 1.0), and the keys that it signs with, remembered a while."""

from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from msgspec import Struct

from controlplane.kit.clock import Clock
from controlplane.kit.guard import Answer, CallFailed, Guard
from controlplane.kit.problems import Refusal

WELL_KNOWN: Final = "/.well-known/openid-configuration"

REMEMBERED_FOR: Final = timedelta(hours=1)
"""A document or a set of keys; a key that is not among them is looked for at once."""

ASKED_AGAIN_AFTER: Final = timedelta(seconds=30)
"""How often, at most, keys are looked for because a token names one that is not known."""

WITHIN_S: Final = 10.0
"""How long an answer may take, to its last byte."""

LONGEST_SHOWN: Final = 200
"""Characters of what a provider calls itself."""

MOST_REMEMBERED: Final = 2_000
MOST_KEYS: Final = 100
SHORTEST_RSA: Final = 2048

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"}
)
"""Signatures by a private key. Never ``none``, and never ``HS…``, where whoever can check could also sign."""


class ProviderUnusable(Refusal):
    """The identity provider did not answer, or not in a way that could be relied on."""

    code, status, title = "sso-provider-unusable", 400, "The identity provider cannot be used like this"
    hint = "Check the issuer, and that its discovery document can be read from here: docs/howto/single-sign-on.md."


class Metadata(Struct, frozen=True, kw_only=True):
    """The part of a discovery document that matters here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    code_challenge_methods_supported: tuple[str, ...] | None = None
    response_types_supported: tuple[str, ...] = ("code",)
    authorization_response_iss_parameter_supported: bool = False
    backchannel_logout_supported: bool = False

    @property
    def algorithms(self) -> frozenset[str]:
        """Those that both sides take."""
        return ALGORITHMS & frozenset(self.id_token_signing_alg_values_supported)


class _Keys(Struct, frozen=True):
    keys: KeySet
    at: datetime


class _Known(Struct, frozen=True):
    metadata: Metadata
    at: datetime


class _KeyDocument(Struct, frozen=True):
    keys: list[dict[str, Any]]


class Providers:
    """Asks providers what they say of themselves. One for a process; no transaction is open meanwhile."""

    def __init__(self, guard: Guard, clock: Clock) -> None:
        self.guard, self.clock = guard, clock
        self._known: dict[str, _Known] = {}
        self._keys: dict[str, _Keys] = {}

    async def metadata(self, issuer: str, *, anew: bool = False) -> Metadata:
        """
        Args:
            issuer: As it stands in the connection. The document must name exactly this one.
            anew: Ask, whatever is remembered.

        Raises:
            ProviderUnusable: If there is no such document, or it is not *issuer*'s.
            AddressRefused: If the address must not be called.
        """
        known = self._known.get(issuer)
        if known is not None and not anew and self.clock() - known.at < REMEMBERED_FOR:
            return known.metadata
        place = issuer.rstrip("/") + WELL_KNOWN
        answer = await called(self.guard, "GET", place)
        metadata = _checked(issuer, _json(answer, Metadata, f"the discovery document, {place},"))
        _remember(self._known, issuer, _Known(metadata, self.clock()))
        return metadata

    async def keys(self, metadata: Metadata, *, unknown: bool = False) -> KeySet:
        """The keys whose signatures count.

        Args:
            unknown: A token names one that is not remembered: perhaps they were changed just now.

        Raises:
            ProviderUnusable: If there are none to be had.
        """
        held = self._keys.get(metadata.jwks_uri)
        age = self.clock() - held.at if held else None
        if held is not None and age is not None and age < (ASKED_AGAIN_AFTER if unknown else REMEMBERED_FOR):
            return held.keys
        answer = await called(self.guard, "GET", metadata.jwks_uri)
        keys = _usable(_json(answer, _KeyDocument, "the set of keys"))
        _remember(self._keys, metadata.jwks_uri, _Keys(keys, self.clock()))
        return keys


async def called(guard: Guard, method: str, url: str, **more: Any) -> Answer:
    """
    Raises:
        ProviderUnusable: If nobody answered, or too much.
        AddressRefused: If *url* must not be called.
    """
    try:
        headers = {"Accept": "application/json", **more.pop("headers", {})}
        answer = await guard.call(method, url, headers=headers, within_s=WITHIN_S, **more)
    except CallFailed as error:
        raise ProviderUnusable(f"{urlsplit(url).hostname}: {error}") from error
    if answer.cut:
        raise ProviderUnusable(f"{urlsplit(url).hostname}: the answer is too large")
    return answer


def _json(answer: Answer, into: type[Any], what: str) -> Any:
    if answer.status != 200:
        raise ProviderUnusable(f"{what} is answered with status {answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=into)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderUnusable(f"{what} is not what it should be: {type(error).__name__}") from error


def _checked(issuer: str, metadata: Metadata) -> Metadata:
    """*metadata*, if it is *issuer*'s own and leaves a safe way to sign in."""
    scheme = urlsplit(issuer).scheme
    places = [metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri]
    places += [metadata.end_session_endpoint] if metadata.end_session_endpoint else []
    if metadata.issuer != issuer:
        raise ProviderUnusable(f"the discovery document names another issuer: {metadata.issuer[:LONGEST_SHOWN]}")
    if any(not urlsplit(place).hostname or urlsplit(place).scheme not in ("https", scheme) for place in places):
        raise ProviderUnusable("an endpoint of the discovery document is not https")
    if not metadata.algorithms:
        raise ProviderUnusable("it signs ID tokens in no way that is taken here")
    if "code" not in metadata.response_types_supported:
        raise ProviderUnusable("it does not know the authorization code flow")
    if (
        metadata.code_challenge_methods_supported is not None
        and "S256" not in metadata.code_challenge_methods_supported
    ):
        raise ProviderUnusable("it does not know PKCE with S256")
    return metadata


def _usable(document: _KeyDocument) -> KeySet:
    """Keys for signatures that are strong enough; one that is not understood costs the others nothing."""
    wanted = [each for each in document.keys[:MOST_KEYS] if each.get("use", "sig") == "sig"]
    found = [key for each in wanted if (key := _imported(each)) is not None]
    if not found:
        raise ProviderUnusable("the set of keys has none for signatures")
    return KeySet(list(found))


def _imported(each: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    kinds: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    kind = kinds.get(str(each.get("kty")))
    if kind is None or "d" in each:
        return None
    try:
        key = kind.import_key(each)
        weak = isinstance(key, RSAKey) and key.raw_value.key_size < SHORTEST_RSA
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None if weak else key


def _remember(where: dict[str, Any], name: str, what: object) -> None:
    if len(where) >= MOST_REMEMBERED:
        where.clear()
    where[name] = what
