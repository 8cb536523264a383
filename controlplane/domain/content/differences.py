"""What is different between two JSON documents, place by place (JSON Pointer, RFC 6901)."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

MOST: Final = 1000
"""Differences that are told."""

LONGEST: Final = 2000
"""Characters of a value that are told."""

DEEPEST: Final = 64
"""Below that two values are compared as a whole."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Difference(Struct, frozen=True, kw_only=True):
    path: str
    """JSON Pointer; empty for the whole document."""
    change: Literal["added", "removed", "changed"]
    before: str | None
    """The value as JSON, cut where it is long; None where there was none."""
    after: str | None


def differences(before: Any, after: Any) -> Iterator[Difference]:
    """All of them, in the order of *before*'s keys and then of what came new.

    Of two lists what is alike at their beginnings and ends is passed over; what is between is compared item by item.
    """
    yield from _between("", before, after, 0)


def _between(path: str, before: Any, after: Any, depth: int) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict) and depth < DEEPEST:
        yield from _of_objects(path, before, after, depth)
    elif isinstance(before, list) and isinstance(after, list) and depth < DEEPEST:
        yield from _of_lists(path, before, after, depth)
    elif type(before) is not type(after) or before != after:
        yield Difference(path=path, change="changed", before=_shown(before), after=_shown(after))


def _of_objects(path: str, before: dict[str, Any], after: dict[str, Any], depth: int) -> Iterator[Difference]:
    for key, value in before.items():
        place = f"{path}/{_escaped(key)}"
        if key in after:
            yield from _between(place, value, after[key], depth + 1)
        else:
            yield Difference(path=place, change="removed", before=_shown(value), after=None)
    for key, value in after.items():
        if key not in before:
            yield Difference(path=f"{path}/{_escaped(key)}", change="added", before=None, after=_shown(value))


def _of_lists(path: str, before: list[Any], after: list[Any], depth: int) -> Iterator[Difference]:
    shorter = min(len(before), len(after))
    first = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    last = next((n for n in range(shorter - first) if before[-1 - n] != after[-1 - n]), shorter - first)
    old, new = before[first : len(before) - last], after[first : len(after) - last]
    for number, (one, other) in enumerate(zip(old, new, strict=False), first):
        yield from _between(f"{path}/{number}", one, other, depth + 1)
    both = min(len(old), len(new))
    for number, value in enumerate(old[both:], first + both):
        yield Difference(path=f"{path}/{number}", change="removed", before=_shown(value), after=None)
    for number, value in enumerate(new[both:], first + both):
        yield Difference(path=f"{path}/{number}", change="added", before=None, after=_shown(value))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _shown(value: Any) -> str:
    shown = _encode(value).decode()
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"
