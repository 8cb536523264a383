"""Where in a document as somebody has typed it something stands."""

import re
from typing import Any, Final

from msgspec import Struct

from controlplane.domain.configs import strict

TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


class Typed(Struct, frozen=True):
    """A document, and on which line each part of it begins."""

    document: Any
    lines: dict[str, int]

    def line_of(self, place: str) -> int:
        """The line of *place*, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place.rpartition("[")[0] if place.endswith("]") else place.rpartition(".")[0]
        return self.lines.get(place, 1)


def typed(text: str) -> Typed:
    """
    Raises:
        JSONDecodeError: It is no JSON; its ``lineno`` says where.
        strict.Unfit: A name is there twice, a number is none, or it is nested too deep.
    """
    return Typed(strict.loads(text), _lines(text))


def _lines(text: str) -> dict[str, int]:
    """Of a text that is known to be JSON."""
    found: dict[str, int] = {}
    stack: list[tuple[str, int]] = []  # the place of what is open, and the index in it or -1
    key, line, at = "", 1, 0
    for token in TOKEN.finditer(text):
        line += text.count("\n", at, token.start())
        at = token.start()
        said = token.group()
        if said == ",":
            if stack and stack[-1][1] >= 0:
                stack[-1] = (stack[-1][0], stack[-1][1] + 1)
            key = ""
        elif said in "}]":
            stack.pop()
        elif said == ":":
            continue
        elif stack and stack[-1][1] < 0 and not key:
            key = said[1:-1]
            found.setdefault(_place(stack, key), line)
        else:
            place = _place(stack, key)
            found.setdefault(place, line)
            if said in "{[":
                stack.append((place, -1 if said == "{" else 0))
                key = ""
    return found


def _place(stack: list[tuple[str, int]], key: str) -> str:
    if not stack:
        return ""
    around, index = stack[-1]
    if index >= 0:
        return f"{around}[{index}]"
    return f"{around}.{key}" if around else key
