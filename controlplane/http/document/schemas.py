"""The shapes in the document: problems, secrets that are shown once, and integers that are no fractions."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from controlplane.domain import passwords, roles
from controlplane.http.document.parameters import NO_ZERO, Schema

PROBLEM: Final[Schema] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `code` never changes; further members are the facts of the case.",
    "required": ["type", "title", "status", "detail", "code", "hint", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "hint": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "Which parts of the request are not well formed.",
            "items": {
                "type": "object",
                "required": ["in", "name", "detail"],
                "properties": {"in": {"type": "string"}, "name": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}

REFERENCE: Final = re.compile(r'"#/components/schemas/([\w.-]+)"')

TAGS: Final = {
    "agents": "What runs in the tenant's runtimes.",
    "api-keys": "Credentials for a tenant's automation.",
    "audit-events": "Who did what.",
    "checkpoints": "The places from which an agent could go on.",
    "health": "For what restarts the service, sends it traffic and watches it.",
    "join-tokens": "What lets runtimes in.",
    "me": "Signing in and out, and who one is.",
    "operator": "For those who run the service, across tenants.",
    "projects": "What a tenant keeps apart.",
    "runs": "Each finished execution of an agent's graph.",
    "runtime": "For runtime agents.",
    "runtimes": "The tenant's fleet.",
    "sessions": "What agents have been working on.",
    "tenant": "The tenant itself.",
    "users": "The people of a tenant.",
}


SPACES: Final = r"\s\u0000-\u001f\u0085"
"""What is a space in Python, which is more than ECMA-262 knows, and what is no text."""

TAKEN_BY_ROOMS: Final[dict[tuple[str, str], Schema]] = {
    ("NewTenant", "slug"): {"pattern": r"^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$"},
    ("NewTenant", "name"): {"pattern": r"^[^\u0000\s][^\u0000]*$"},
    ("NewTenant", "owner"): {"pattern": rf"^[^@{SPACES}]{{1,64}}@[^@{SPACES}]{{1,189}}$"},
    ("Hello", "caps"): {"pattern": ""},
    ("NewConsumer", "name"): {"examples": ["billing"]},
    ("NewDomain", "name"): {"examples": ["acme.example"]},
    ("NewRole", "name"): {"pattern": f"^{roles.NAME.pattern}$", "examples": ["release"]},
    ("Acceptance", "password"): {"minLength": passwords.SHORTEST},
    ("NewPassword", "new"): {"minLength": passwords.SHORTEST},
    ("Link", "password"): {"minLength": passwords.SHORTEST},
}
"""Bounds of members of bodies that a room keeps, with a refusal of its own, by schema and member. What a newer agent can
do is read and forgotten: any text will do."""


def of_bodies(kinds: Iterable[type]) -> dict[str, Schema]:
    """The shapes of what is taken as a body, exactly as it is checked; no text may have a zero in it."""
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    for (name, member), bounds in TAKEN_BY_ROOMS.items():
        if name in found:
            for each in _texts(found[name]["properties"][member]):
                each.update(bounds)
    for text in _texts(found):
        if "enum" not in text and "format" not in text:
            text.setdefault("pattern", NO_ZERO)
    return found


def put_in(shapes: dict[str, Schema], found: dict[str, Schema]) -> None:
    """Let *found* say what the shapes of these names are."""
    for name, shape in found.items():
        known = shapes.get(name, shape)
        assert known.get("properties", {}).keys() == shape.get("properties", {}).keys(), f"two things are called {name}"
    shapes.update(found)


def prune(document: dict[str, Any]) -> None:
    """Take out the shapes that nothing refers to any more."""
    shapes: dict[str, Schema] = document["components"]["schemas"]
    while unused := shapes.keys() - set(REFERENCE.findall(msgspec.json.encode(document).decode())):
        for name in unused:
            del shapes[name]


def _texts(schema: Any) -> Iterator[Schema]:
    """Every schema of text in *schema*."""
    if isinstance(schema, list):
        for each in schema:
            yield from _texts(each)
    elif isinstance(schema, dict):
        if schema.get("type") == "string":
            yield schema
        names = schema.get("propertyNames")
        if isinstance(names, dict):
            names["type"] = "string"
        for each in schema.values():
            yield from _texts(each)


def tags(paths: dict[str, Any]) -> list[dict[str, str]]:
    """Every tag that an operation has, with what it is about where that is known."""
    used = {tag for path in paths.values() for operation in path.values() for tag in operation.get("tags", ())}
    return [{"name": tag, **({"description": TAGS[tag]} if tag in TAGS else {})} for tag in sorted(used)]


def say_what_is_shown_once(
    operation: dict[str, Any], shapes: dict[str, Schema], kept: frozenset[str], notice: str
) -> None:
    """Let the answer of *operation* come without what is not *kept*: repeated, it has *notice* instead."""
    for answer in operation["responses"].values():
        reference = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
        if reference is None:
            continue
        shape = shapes[reference.rpartition("/")[2]]
        if once := shape["properties"].keys() - kept - {notice}:
            shape["required"] = [name for name in shape["required"] if name not in once]
            what = f"Only where the request was repeated: why {' and '.join(sorted(once))} is missing."
            shape["properties"][notice] = {"type": "string", "description": what, "x-only-repeated": True}


def whole_numbers(schema: Any) -> None:
    """Write bounds of integers as integers, everywhere in *schema*."""
    if isinstance(schema, list):
        for each in schema:
            whole_numbers(each)
    elif isinstance(schema, dict):
        for name, value in schema.items():
            if isinstance(value, float) and value.is_integer():
                schema[name] = int(value)
            whole_numbers(value)
