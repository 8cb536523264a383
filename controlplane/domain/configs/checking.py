"""Whether a document is one, and where it is not."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args, get_origin

import msgspec
from msgspec import Struct

from controlplane.domain.configs import places, strict
from controlplane.domain.configs.merging import Json
from controlplane.kit.canonical import canonical
from controlplane.kit.problems import Refusal
from runtime_agent.wire.config import LARGEST, AgentPart, ContentPart, Document, Named, Plugin, RedactionPart, Text

LONGEST: Final = 128 << 10
"""Bytes of one document, as canonical JSON."""

MOST_ERRORS: Final = 20

PARTS: Final[Mapping[str, Any]] = {
    "agent": AgentPart,
    "redaction": RedactionPart,
    "content": ContentPart,
    "prompts": dict[Named, Text],
    "skills": dict[Named, Text],
    "plugins": dict[Named, Plugin],
}


class Error(Struct, frozen=True):
    """What is wrong, and where."""

    place: str
    """``prompts.greeting.text``; empty: the whole."""
    detail: str
    line: int = 0
    """Of the text that was typed; 0: there was none."""


class ConfigInvalid(Refusal):
    """The document is none, or says what cannot be."""

    code, status, title = "config-invalid", 400, "This is not a document that a runtime could take"
    hint = "Each place is named. What a document can say is in docs/reference/configuration.md."

    def __init__(self, errors: list[Error]) -> None:
        self.errors = errors[:MOST_ERRORS]
        super().__init__("; ".join(_said(each) for each in self.errors))

    def facts(self) -> dict[str, object]:
        return {"errors": [{"place": each.place, "detail": each.detail, "line": each.line} for each in self.errors]}


def read(text: str) -> Json:
    """The document that somebody has typed.

    Raises:
        ConfigInvalid: With the line of each place.
    """
    if len(text) > LONGEST * 4:
        raise ConfigInvalid([Error("", f"longer than {LONGEST * 4:,} characters", 1)])
    try:
        typed = places.typed(text)
    except json.JSONDecodeError as error:
        raise ConfigInvalid([Error("", f"{error.msg}, column {error.colno}", error.lineno)]) from None
    except strict.Unfit as error:
        raise ConfigInvalid([Error("", str(error), 1)]) from None
    try:
        return check(typed.document)
    except ConfigInvalid as invalid:
        raise ConfigInvalid([Error(e.place, e.detail, typed.line_of(e.place)) for e in invalid.errors]) from None


def check(document: Any) -> Json:
    """*document*, if it can be one.

    Raises:
        ConfigInvalid: Naming the places.
    """
    if not isinstance(document, dict):
        raise ConfigInvalid([Error("", "expected an object")])
    if errors := list(_errors(document)):
        raise ConfigInvalid(errors)
    if (size := len(canonical(document))) > LONGEST:
        raise ConfigInvalid([Error("", f"{size:,} bytes; there may be {LONGEST:,}")])
    return document


def whole(document: Json) -> bytes:
    """What several documents have come to, as it is hashed and signed.

    Raises:
        ConfigInvalid: Each was one, and together they are none.
    """
    try:
        msgspec.convert(document, Document)
    except msgspec.ValidationError as error:
        raise ConfigInvalid([Error(*_place("", error))]) from None
    made = canonical(document)
    if len(made) > LARGEST // 2:
        raise ConfigInvalid([Error("", f"together they have {len(made):,} bytes; there may be {LARGEST // 2:,}")])
    return made


def _errors(document: Json) -> Iterator[Error]:
    for name in document:
        if name not in PARTS:
            yield Error(name, f"there is no such part; there are {', '.join(PARTS)}")
    for name, part in PARTS.items():
        given = document.get(name)
        if given is None:
            continue
        if not isinstance(given, dict):
            yield Error(name, "expected an object")
        elif get_origin(part) is dict:
            yield from _of_map(name, given, get_args(part)[1])
        else:
            yield from _of_struct(name, given, part)


def _of_map(place: str, given: Json, into: type[Struct]) -> Iterator[Error]:
    for key, value in given.items():
        try:
            msgspec.convert(key, Named)
        except msgspec.ValidationError:
            yield Error(f"{place}.{key}", "a name is 1 to 63 of a-z, 0-9, - and _, and begins with a letter or digit")
            continue
        if value is not None and not isinstance(value, dict):
            yield Error(f"{place}.{key}", "expected an object")
        elif value is not None:
            yield from _of_struct(f"{place}.{key}", value, into)


def _of_struct(place: str, given: Json, into: type[Struct]) -> Iterator[Error]:
    known = into.__struct_fields__
    for name in given:
        if name not in known:
            yield Error(f"{place}.{name}", f"there is no such setting; there are {', '.join(known)}")
    try:
        msgspec.convert({name: value for name, value in given.items() if value is not None}, into)
    except msgspec.ValidationError as error:
        yield Error(*_place(place, error))
        return
    if not _keepable(given):
        yield Error(place, "a text holds half a character, or a NUL")


def _keepable(given: Json) -> bool:
    try:
        return b"\\u0000" not in canonical(given)
    except UnicodeEncodeError:
        return False


def _place(place: str, error: msgspec.ValidationError) -> tuple[str, str]:
    detail, _, path = str(error).partition(" - at `$")
    inner = path.rstrip("`")
    return f"{place}{inner}".lstrip("."), detail[:1].lower() + detail[1:]


def _said(error: Error) -> str:
    where = f"line {error.line}: " if error.line else ""
    return f"{where}{error.place}: {error.detail}" if error.place else f"{where}{error.detail}"
