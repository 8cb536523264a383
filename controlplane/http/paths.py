"""Ids in paths: what is not even an id is as absent as what does not exist. And the paths that we lead people to."""

from typing import Final
from uuid import UUID

from controlplane.kit.ids import parse_id
from controlplane.kit.problems import NotFound

CONSOLE: Final = "/console"


def inside(wanted: str) -> str:
    """*wanted*, if it is a page of the console; else the first page."""
    ours = wanted.startswith(f"{CONSOLE}/") and "\\" not in wanted and "//" not in wanted.partition("?")[0]
    return wanted if ours else f"{CONSOLE}/"


def identity(kind: str, text: str) -> UUID:
    """The id in *text*, ``rt_…`` for the kind ``rt``.

    Raises:
        NotFound: If it is not a well-formed id of that kind.
    """
    found = parse_id(kind, text)
    if found is None:
        raise NotFound
    return found


def maybe(kind: str, text: str | None) -> UUID | None:
    """As :func:`identity`; None where nothing was named."""
    return None if text is None else identity(kind, text)


def number(text: str) -> int:
    """The number of a version in *text*, from 1 on.

    Raises:
        NotFound: If nothing can have it.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= 1):
        raise NotFound
    return int(text)
