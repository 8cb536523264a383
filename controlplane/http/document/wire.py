"""What the document says of the one operation whose body is no JSON: a batch of the log, placed by its headers."""

from typing import Any, Final

APPEND: Final = ("POST", "/v1/runtime/sync/log")

_NUMBER: Final = {"type": "integer", "minimum": 0}

_PLACE: Final = {
    "Content-Digest": (
        "SHA-256 of the body (RFC 9530).",
        {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
    ),
    "Content-Encoding": ("The body is compressed.", {"type": "string", "enum": ["zstd"]}),
    "Sync-Count": ("Records in the batch.", _NUMBER),
    "Sync-Epoch": ("Of the log, as granted.", _NUMBER),
    "Sync-First": ("Number of the first record.", {**_NUMBER, "minimum": 1}),
    "Sync-Prev": ("Head of the chain before it.", {"type": "string", "pattern": "^[0-9a-f]{64}$"}),
    "Sync-Protocol": ("That the agent speaks.", _NUMBER),
    "Sync-Store": ("Which database it takes this to be.", {"type": "string", "format": "uuid"}),
}


def append() -> dict[str, Any]:
    """Parameters and body of :data:`APPEND`."""
    return {
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": what, "schema": schema}
            for name, (what, schema) in _PLACE.items()
        ],
        "requestBody": {
            "required": True,
            "description": "Newline-delimited JSON, compressed with zstd: see the description of the wire.",
            "content": {"application/x-ndjson": {"schema": {"type": "string", "format": "binary"}}},
        },
    }
