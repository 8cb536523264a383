"""Numbers and words from files that anybody may have written."""

import math
from typing import Any

COUNT_MAX = 2**40
"""As the wire bounds ``Amount``."""


def count(value: Any, otherwise: int = 0) -> int:
    """A number of things: whole, 0 to 2**40. Fractions are cut off; anything else is *otherwise*."""
    if type(value) is int:
        return value if 0 <= value <= COUNT_MAX else otherwise
    if type(value) is float and math.isfinite(value) and 0 <= value <= COUNT_MAX:
        return int(value)
    return otherwise


def scaled(value: Any, factor: int) -> int:
    """*value* (seconds, dollars) times *factor*, rounded to a count; 0 for what is no such number."""
    if type(value) not in (int, float) or not math.isfinite(value):
        return 0
    product = value * factor
    return round(product) if 0 <= product <= COUNT_MAX else 0


def word(value: Any) -> str:
    """A status as the source spells it: lower case, at most 64 letters, digits and underscores; else empty."""
    if isinstance(value, str) and len(value) <= 64 and value.isascii() and value.replace("_", "a").isalnum():
        return value.lower()
    return ""


def hexadecimal(value: Any) -> str:
    """An id of a trace or an execution: at most 64 of ``0-9a-f-``; else empty."""
    if isinstance(value, str) and 0 < len(value) <= 64 and not value.strip("0123456789abcdefABCDEF-"):
        return value
    return ""
