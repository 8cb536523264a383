"""What of a log's lines may leave: of L2 and L3 the fields that are listed here, of other files text without secrets."""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from runtime_agent import redact
from runtime_agent.configuration.redaction import Redaction
from runtime_agent.logs.following import Line
from runtime_agent.wire.logs import LINE_BYTES

LEFT_OUT: Final = " … [the rest of the line is left out]"

_NODE: Final = frozenset(
    {"node_id", "node_name", "node_type", "success", "error", "attempt", "exit_status", "total_steps", "tokens_used"}
    | {"input_tokens", "output_tokens", "latency_ms", "accept_count", "retry_count", "escalate_count"}
    | {"continue_count", "needs_attention", "attention_reasons", "trace_id", "span_id"}
)
_STEP: Final = frozenset(
    {"node_id", "node_type", "step_index", "tool_calls", "input_tokens", "output_tokens", "latency_ms", "verdict"}
    | {"error", "is_partial", "trace_id", "span_id", "parent_span_id", "execution_id"}
)
_CALL: Final = frozenset({"tool_use_id", "tool_name", "is_error", "start_timestamp", "duration_s"})

FIELDS: Final[Mapping[str, frozenset[str]]] = {"details": _NODE, "tools": _STEP}

WITHHELD: Final[Mapping[str, frozenset[str]]] = {
    "attention": frozenset({"attention_reasons"}),
    "error-lines": frozenset({"error"}),
    "nodes": frozenset({"node_id", "node_name"}),
    "tools": frozenset({"tool_name"}),
}
"""What configuration can keep in of them."""

IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id", "execution_id", "tool_use_id"})
"""Long and meaningless: they would pass for secrets."""

MOST_ITEMS: Final = 200


def shown(log: str, line: Line, redaction: Redaction) -> str:
    """*line* as it leaves: one line of at most :data:`LINE_BYTES` bytes of UTF-8."""
    text = _passage(line, redaction) if log == "raw" else _fields(FIELDS[log], line, redaction)
    raw = text.encode()
    if len(raw) > LINE_BYTES:
        room = LINE_BYTES - len(LEFT_OUT.encode())
        return raw[:room].decode("utf-8", "ignore") + LEFT_OUT
    return text


def _passage(line: Line, redaction: Redaction) -> str:
    """Where something is to leave as nothing at all, no text does that nobody can tell the parts of."""
    if redaction.withheld:
        return f"[{len(line.content)} bytes that configuration keeps in]" if line.content.strip() else ""
    text = redaction.text(line.content.decode("utf-8", "replace"))
    return redact.passage(text) + (LEFT_OUT if line.left_out else "")


def _fields(allowed: frozenset[str], line: Line, redaction: Redaction) -> str:
    try:
        entry = msgspec.json.decode(line.content) if not line.left_out else None
    except msgspec.DecodeError:
        entry = None
    if not isinstance(entry, dict):
        return f"[{len(line.content)} bytes that are no entry]" if line.content.strip() else ""
    return msgspec.json.encode(_allowed(allowed, entry, redaction)).decode()


def _allowed(allowed: frozenset[str], entry: dict[str, Any], redaction: Redaction) -> dict[str, Any]:
    """What is listed, and how many other fields stand there."""
    kept_in = frozenset[str]().union(*(WITHHELD.get(kind, ()) for kind in redaction.withheld))
    kept = {name: _value(name, value, redaction) for name, value in entry.items() if name in allowed - kept_in}
    others = len(entry) - len(kept)
    return {**kept, "withheld": others} if others else kept


def _value(name: str, value: Any, redaction: Redaction) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        if name == "tool_calls":
            return [_allowed(_CALL, each, redaction) for each in value[:MOST_ITEMS] if isinstance(each, dict)]
        return [redact.line(redaction.text(each)) for each in value[:MOST_ITEMS] if isinstance(each, str)]
    if name in IDS:
        return redact.plain(value, redact.NAME_MAX)
    return redact.line(redaction.text(value) if isinstance(value, str) else value)
