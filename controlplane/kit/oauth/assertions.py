"""JWTs that we sign to say who we are (RFC 7523), or what we are let do."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from controlplane.kit.oauth.dialect import Client, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.secret import Secret

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

LASTS: Final = timedelta(minutes=5)
AHEAD: Final = timedelta(seconds=60)
"""How far our clock may be ahead of theirs."""

_ALGORITHMS: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "Ed25519"}


def client_assertion(client: Client, key: Secret, audience: str, now: datetime) -> Secret:
    """Who the client is (``private_key_jwt``). Good once, and for a few minutes.

    Raises:
        Failure: ``app_fault`` if the key is none.
    """
    claims = {"iss": client.id, "sub": client.id, "aud": audience, "jti": secrets.token_urlsafe(16)}
    return signed(claims, key, now, key_id=client.key_id)


def grant_assertion(
    server: Server, client: Client, scopes: Sequence[str], now: datetime, *, subject: str = "", audience: str = ""
) -> Secret:
    """What *client* signs with its key to be given tokens for it. Good once, and for a few minutes.

    Args:
        subject: For whom it asks; empty: as the server wants it.
        audience: Whom it is for; empty: the token endpoint.

    Raises:
        Failure: ``app_fault`` if there is no key, or it is none.
    """
    if client.key is None:
        raise Failure("app_fault", "private-key", sent=False)
    how = server.dialect.asking.assertion
    subject = subject or (client.id if how.subject == "client" else "")
    claims = {"iss": client.id, "aud": audience or server.token, "jti": secrets.token_urlsafe(16)}
    claims |= {"sub": subject} if subject else {}
    if how.scopes == "claim" and scopes:
        claims["scope"] = server.dialect.asking.scopes_by.join(scopes)
    return signed(claims, client.key, now, key_id=client.key_id)


def signed(
    claims: Mapping[str, Any], key: Secret, now: datetime, *, key_id: str = "", lasts: timedelta = LASTS
) -> Secret:
    """*claims* as a JWT, from a minute ago until *lasts* from now.

    Args:
        key: A private key as PEM: RSA (RS256), a NIST curve (ES256, …) or Ed25519.

    Raises:
        Failure: ``app_fault`` if the key is none.
    """
    private, algorithm = _private(key)
    times = {"iat": int((now - AHEAD).timestamp()), "exp": int((now + lasts).timestamp())}
    header = {"alg": algorithm, "typ": "JWT", **({"kid": key_id} if key_id else {})}
    return Secret(jwt.encode(header, {**claims, **times}, private, algorithms=[algorithm]))


def usable(key: Secret) -> bool:
    """Whether *key* can sign: what an app is asked before it is kept."""
    try:
        _private(key)
    except Failure:
        return False
    return True


def _private(key: Secret) -> tuple[RSAKey | ECKey | OKPKey, str]:
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            found = kind.import_key(key.reveal())
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if not found.is_private:
            continue
        if isinstance(found, RSAKey):
            return found, "RS256"
        if algorithm := _ALGORITHMS.get(found.curve_name):
            return found, algorithm
    raise Failure("app_fault", "private-key", sent=False)
