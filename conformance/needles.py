"""A secret in every way that it could be written down, for looking whether it was."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

SHORTEST = 12
"""Bytes that a needle has at the least: shorter ones are found by chance."""


def needles(secret: str) -> set[bytes]:
    """Raw, in base64 of both alphabets wherever it begins in what was encoded, hexadecimal, percent-encoded, in JSON."""
    return {each for each in _written(secret.encode()) if len(each) >= SHORTEST}


def found(secrets: dict[str, str], haystack: bytes) -> list[str]:
    """Which of the named *secrets* stand in *haystack*, however written."""
    return [name for name, secret in secrets.items() if any(each in haystack for each in needles(secret))]


def _written(secret: bytes) -> Iterator[bytes]:
    text = secret.decode()
    yield secret
    yield from _base64(secret)
    yield from (secret.hex().encode(), secret.hex().upper().encode())
    for kept in ("", "/", "-._~"):
        percent = quote(text, safe=kept)
        yield from (percent.encode(), percent.lower().encode(), percent.replace("%20", "+").encode())
    yield "".join(f"%{byte:02X}" for byte in secret).encode()
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield json.dumps(text)[1:-1].replace("/", "\\/").encode()
    yield "".join(f"\\u{ord(each):04x}" for each in text).encode()


def _base64(secret: bytes) -> Iterator[bytes]:
    """The digits that *secret* alone decides, wherever it begins in a group of three bytes."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret).rstrip(b"=")
        digits = whole[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        yield from (digits, digits.translate(bytes.maketrans(b"+/", b"-_")))
