"""The shapes in the document: problems, secrets that are shown once, and integers that are no fractions."""

from typing import Any, Final

from controlplane.http.document.parameters import Schema

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
