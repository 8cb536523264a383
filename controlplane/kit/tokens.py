"""Secrets that are shown once and afterwards only compared.

``ec_<kind>_`` + 30 base62 characters (178 random bits) + 6 of their CRC-32: a scanner can find a leaked one, and a
typing error is refused without a question to the database.
"""

import hashlib
import hmac
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
KINDS = ("sk", "op", "rk", "jt", "sc")
"""Tenant API key, operator key, compatibility key of a runtime, join token, SCIM token."""

BODY_CHARACTERS, CHECK_CHARACTERS = 30, 6

LINK_BYTES = 32


def mint(kind: str) -> str:
    """A new secret of *kind*."""
    start = f"ec_{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(BODY_CHARACTERS))
    return start + _checksum(start)


def link_secret() -> str:
    """A new secret for a link, a session or a ceremony: 256 random bits, 43 characters that need no escape."""
    return secrets.token_urlsafe(LINK_BYTES)


def kind_of(token: str) -> str | None:
    """The kind of *token*, or None where it cannot be one of ours: wrong form or wrong checksum."""
    brand, _, rest = token.partition("_")
    kind, _, body = rest.partition("_")
    if brand != "ec" or kind not in KINDS or len(body) != BODY_CHARACTERS + CHECK_CHARACTERS or not token.isascii():
        return None
    given = token[-CHECK_CHARACTERS:]
    return kind if hmac.compare_digest(given, _checksum(token[:-CHECK_CHARACTERS])) else None


def fingerprint(pepper: bytes, token: str) -> bytes:
    """What is kept of *token*: HMAC-SHA-256 (RFC 2104), 32 bytes.

    Nobody can guess 178 random bits, so no slow hash is needed; the pepper, which is not in the database, makes a
    stolen table useless even for recognizing a token that was seen elsewhere.
    """
    return hmac.digest(pepper, token.encode(), hashlib.sha256)


def is_same(pepper: bytes, token: str, kept: bytes) -> bool:
    """Whether *kept* is the :func:`fingerprint` of *token*."""
    return hmac.compare_digest(fingerprint(pepper, token), kept)


def hint(token: str) -> str:
    """What a list may show: the start and the last four characters."""
    return f"{token[:6]}…{token[-4:]}"


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    out = ""
    while number:
        number, digit = divmod(number, len(ALPHABET))
        out = ALPHABET[digit] + out
    return out.rjust(CHECK_CHARACTERS, ALPHABET[0])
