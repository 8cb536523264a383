"""Out to a provider and back: the address a browser is sent to, and what a code is worth at the token endpoint."""

from base64 import b64encode
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from msgspec import Meta, Struct

from controlplane.kit.guard import Guard
from controlplane.kit.openid.discovery import Metadata, ProviderUnusable, called
from controlplane.kit.openid.tokens import LONGEST, TokenRefused
from controlplane.kit.secret import Secret

SCOPE: Final = "openid email profile"

ClientAuth: TypeAlias = Literal["client_secret_basic", "client_secret_post"]
"""How the client says who it is (RFC 6749, section 2.3.1)."""


class Client(Struct, frozen=True, kw_only=True):
    """Who we are at a provider."""

    id: str
    secret: Secret
    auth: ClientAuth
    redirect_uri: str


class Granted(Struct, frozen=True, kw_only=True):
    """What a token endpoint answers; what else it says is not wanted."""

    id_token: Annotated[str, Meta(max_length=LONGEST)]
    access_token: str | None = None


class _Error(Struct, frozen=True):
    error: Annotated[str, Meta(pattern="^[a-z_]{1,60}$")]


def address(
    metadata: Metadata, client_id: str, redirect_uri: str, *, state: str, nonce: str, verifier: str, **more: str
) -> str:
    """Where a browser goes to sign in.

    Args:
        verifier: Of PKCE (RFC 7636): only its hash goes along.
        more: ``prompt``, ``max_age``, ``login_hint``.
    """
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": SCOPE,
        "state": state,
        "nonce": nonce,
        "code_challenge": create_s256_code_challenge(verifier),
        "code_challenge_method": "S256",
        **more,
    }
    return joined(metadata.authorization_endpoint, asked)


def joined(place: str, parameters: dict[str, str]) -> str:
    return f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(parameters)}"


async def redeem(guard: Guard, metadata: Metadata, client: Client, code: str, verifier: str) -> Granted:
    """What *code* is worth. It is sent to the token endpoint of its own provider and nowhere else.

    Raises:
        TokenRefused: If the provider does not take the code.
        ProviderUnusable: If it did not answer, or not properly.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": verifier,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if client.auth == "client_secret_post":
        form |= {"client_id": client.id, "client_secret": client.secret.reveal()}
    else:
        pair = f"{quote_plus(client.id)}:{quote_plus(client.secret.reveal())}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    answer = await called(guard, "POST", metadata.token_endpoint, headers=headers, content=urlencode(form).encode())
    if answer.status != 200:
        raise TokenRefused(f"token endpoint: {_reason(answer.body) or answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=Granted)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderUnusable("the token endpoint answers without an ID token") from error


def _reason(body: bytes) -> str:
    """The error's code, if there is one; never its description, which could be anything."""
    try:
        return msgspec.json.decode(body, type=_Error).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
