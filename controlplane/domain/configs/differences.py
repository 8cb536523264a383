"""What is different between two versions: of the document, and of each prompt and skill line by line."""

import difflib
from typing import Any

import msgspec
from msgspec import Struct

from controlplane.domain.configs.merging import Json
from controlplane.domain.configs.texts import KINDS

AROUND = 3
"""Lines shown around what has changed."""


class Difference(Struct, frozen=True):
    """What has changed in one thing."""

    name: str
    """``document``, or ``prompts.greeting``."""
    lines: list[str]
    """As ``diff -u`` writes them, without its heading."""


def between(older: Json | None, newer: Json) -> list[Difference]:
    """From *older*, None where there was nothing, to *newer*; what is the same in both is left out."""
    before, after = older or {}, newer
    found = [Difference("document", lines(_shown(before), _shown(after)))]
    for kind in KINDS:
        old, new = before.get(kind) or {}, after.get(kind) or {}
        found += [
            Difference(f"{kind}.{name}", lines(_text(old.get(name)), _text(new.get(name))))
            for name in sorted({*old, *new})
        ]
    return [each for each in found if each.lines]


def lines(older: str, newer: str) -> list[str]:
    """From one text to the other."""
    found = difflib.unified_diff(older.splitlines(), newer.splitlines(), n=AROUND, lineterm="")
    return list(found)[2:]


def unnumbered(document: Json) -> Json:
    """As people edit it: without the versions of texts, which are counted."""
    shown = dict(document)
    for kind in KINDS:
        if shown.get(kind):
            shown[kind] = {name: _unnumbered(entry) for name, entry in shown[kind].items()}
    return shown


def pretty(document: Json) -> str:
    """As people read it."""
    return msgspec.json.format(msgspec.json.encode(unnumbered(document), order="sorted"), indent=2).decode()


def _shown(document: Json) -> str:
    """The document without its texts, which have lines of their own."""
    brief: dict[str, Any] = dict(document)
    for kind in KINDS:
        if brief.get(kind):
            brief[kind] = {
                name: {"version": entry["version"]} if entry else entry for name, entry in brief[kind].items()
            }
    return msgspec.json.format(msgspec.json.encode(brief, order="sorted"), indent=2).decode() if brief else ""


def _text(entry: Any) -> str:
    return entry["text"] if entry else ""


def _unnumbered(entry: Any) -> Any:
    return {"text": entry["text"]} if entry else entry
