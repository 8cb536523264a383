"""Methods and paths of calls: what policies say of them, and which paths mean one thing to everybody who reads them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import unquote

from msgspec import Meta, Struct

from controlplane.kit.problems import Refusal

Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Methods: TypeAlias = Annotated[list[Method], Meta(max_length=6)]
Pattern: TypeAlias = Annotated[str, Meta(max_length=400, pattern=r"^([a-z0-9*-]+(\.[a-z0-9*-]+)*)?/[\x21-\x7e]*$")]
"""A path, or a host and a path."""
Patterns: TypeAlias = Annotated[list[Pattern], Meta(max_length=100)]

DEPTH: Final = 3
"""How often servers and what stands before them decode a path, one after the other."""

LONGEST_SHOWN: Final = 500

ANY: Final = "**"


class CallPathRefused(Refusal):
    """A path that two servers would read in two ways: what was decided on would not be what is called."""

    code, status, title = "call-path-refused", 400, "This path is not clear"
    hint = "No empty, . or .. segments, no backslash, semicolon or control character, encoded or not."


class Call(Struct, frozen=True, kw_only=True):
    method: Method
    host: str
    path: str
    """As it goes over the wire."""
    plain: str
    """As it reads once it is decoded."""

    def shown(self) -> str:
        """As it is written down: without the query, in which people and searches are named."""
        return f"{self.method} {self.host}{self.path}"[:LONGEST_SHOWN]


def plain(path: str) -> str:
    """*path* decoded, in the one way that it can be read.

    Raises:
        CallPathRefused: If there are others.
    """
    read = path
    for _ in range(DEPTH):
        _check(read)
        decoded = _decoded(read)
        if decoded == read:
            return read
        read = decoded
    raise CallPathRefused("it is encoded several times over")


def surely_is(call: Call, patterns: Iterable[str]) -> bool:
    """Whether *call* is one of these, however its path is read."""
    patterns = list(patterns)
    return all(any(_fits(each, call.host, path) for each in patterns) for path in (call.path, call.plain))


def may_be(call: Call, patterns: Iterable[str]) -> bool:
    """Whether *call* is one of these to anybody: to a server that decodes it, to one that does not mind case or a slash
    at the end.
    """
    read = {path.casefold().rstrip("/") or "/" for path in (call.path, call.plain)}
    folded = [each.casefold().rstrip("/") or "/" for each in patterns]
    return any(_fits(each, call.host, path) for each in folded for path in read)


def _fits(pattern: str, host: str, path: str) -> bool:
    text = path if pattern.startswith("/") else host + path
    return _all_fit(pattern.split("/"), text.split("/"))


def _all_fit(wanted: Sequence[str], given: Sequence[str]) -> bool:
    """Segment by segment. Goes back to the last ``**`` only, so that no pattern takes long."""
    at, back, mark, seen = 0, -1, 0, 0
    while seen < len(given):
        if at < len(wanted) and wanted[at] == ANY:
            at, back, mark = at + 1, at, seen
        elif at < len(wanted) and _segment_fits(wanted[at], given[seen]):
            at, seen = at + 1, seen + 1
        elif back >= 0:
            mark += 1
            at, seen = back + 1, mark
        else:
            return False
    return all(each == ANY for each in wanted[at:])


def _segment_fits(wanted: str, given: str) -> bool:
    first, *rest = wanted.split("*")
    if not rest:
        return wanted == given
    *between, last = rest
    if len(given) < len(first) + len(last) or not (given.startswith(first) and given.endswith(last)):
        return False
    middle = given[len(first) : len(given) - len(last)]
    for each in between:
        found = middle.find(each)
        if found < 0:
            return False
        middle = middle[found + len(each) :]
    return True


def _check(path: str) -> None:
    """
    Raises:
        CallPathRefused: If it can be read in another way than it stands there.
    """
    for mistake in _mistakes(path):
        raise CallPathRefused(mistake)


def _mistakes(path: str) -> Iterator[str]:
    *before, last = path.split("/")[1:]
    if any(each in (".", "..") for each in (*before, last)):
        yield "a segment is . or .."
    if any(not each for each in before):
        yield "a segment is empty"
    if "\\" in path or ";" in path or not path.isprintable():
        yield "backslash, semicolon or control character"


def _decoded(path: str) -> str:
    """
    Raises:
        CallPathRefused: If it decodes to no text.
    """
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise CallPathRefused("it is not UTF-8") from None
