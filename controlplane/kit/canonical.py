"""JSON that comes out the same for everybody (RFC 8785), so that it can be hashed and signed."""

from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(order="sorted")

SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 7493 section 2.2)."""


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of *value*: strings, booleans, None, safe integers, and lists and dicts of them.

    Keys are ASCII, so sorting them by code point is sorting them by UTF-16 code unit. Fractions are left out on
    purpose: their text differs between languages.
    """
    _check(value)
    return _ENCODER.encode(value)


def uncheckedly(value: Any) -> bytes:
    """As :func:`canonical`, for what was written by it and is only to be compared: anything JSON can hold."""
    return _ENCODER.encode(value)


def _check(value: Any) -> None:
    if isinstance(value, dict):
        assert all(isinstance(key, str) and key.isascii() for key in value), "keys are ASCII strings"
        for item in value.values():
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        assert abs(value) <= SAFE_INTEGER, "this integer has no exact JSON"
    else:
        assert value is None or isinstance(value, str | bool), f"{type(value).__name__} has no canonical JSON"
