"""JSON as it is typed, read without mercy: nothing twice, nothing that is no number, nothing without an end."""

import json
from typing import Any, NoReturn

DEEPEST = 20
"""Levels of a document: more than any has a use for."""


class Unfit(Exception):
    """It is JSON for some and not for others."""


def loads(text: str) -> Any:
    """
    Raises:
        json.JSONDecodeError: It is no JSON.
        Unfit: A name is there twice, a number is none, or it is nested too deep.
    """
    if _depth(text) > DEEPEST:
        raise Unfit(f"it is nested deeper than {DEEPEST} levels")
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unfit(f"{twice!r} is there twice")
    return found


def _no_number(said: str) -> NoReturn:
    raise Unfit(f"{said} is no JSON")


def _depth(text: str) -> int:
    deepest = depth = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest
