"""The fields of EngineX's files that we look at, and a decoder that forgives the rest.

A field that is not listed here is skipped while the bytes are parsed and never becomes an object: memory, inputs,
outputs, prompts, tool arguments and results, stack traces. Fields are untyped on purpose; ``values`` and ``times``
check each one where it is used, so that one bad field costs that field and not the file.
"""

import json
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct


class Timestamps(Struct):
    started_at: Any = None
    updated_at: Any = None
    completed_at: Any = None
    paused_at_time: Any = None


class Progress(Struct):
    current_node: Any = None
    paused_at: Any = None
    steps_executed: Any = None
    path: Any = None
    total_retries: Any = None
    execution_quality: Any = None
    node_visit_counts: Any = None


class Result(Struct):
    error: Any = None


class StateFile(Struct):
    """``state.json``; the partial variant has only ``progress`` and ``timestamps.updated_at``."""

    status: Any = None
    goal_id: Any = None
    entry_point: Any = None
    timestamps: Timestamps | None = None
    progress: Progress | None = None
    result: Result | None = None
    duration_ms: Any = None
    claimed_by: Any = None
    claimed_at: Any = None


class SummaryFile(Struct):
    """L1, ``logs/summary.json``."""

    status: Any = None
    total_nodes_executed: Any = None
    node_path: Any = None
    total_input_tokens: Any = None
    total_output_tokens: Any = None
    attention_reasons: Any = None
    started_at: Any = None
    duration_ms: Any = None
    execution_quality: Any = None
    trace_id: Any = None
    execution_id: Any = None


class DetailLine(Struct):
    """One line of L2, ``logs/details.jsonl``: one visit of a node."""

    node_id: Any = None
    node_type: Any = None
    success: Any = None
    error: Any = None
    total_steps: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
    latency_ms: Any = None
    attempt: Any = None
    exit_status: Any = None
    retry_count: Any = None
    trace_id: Any = None


class ToolCall(Struct):
    start_timestamp: Any = None
    duration_s: Any = None


class ToolLine(Struct):
    """One line of L3, ``logs/tool_logs.jsonl``: one step of a visit."""

    node_id: Any = None
    step_index: Any = None
    tool_calls: list[ToolCall] | None = None
    trace_id: Any = None


class CostEntry(Struct):
    """One line of ``logs/cost_attribution.jsonl``."""

    entry_id: Any = None
    node_id: Any = None
    attempt: Any = None
    step_index: Any = None
    invocation_type: Any = None
    model: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
    cost_usd: Any = None
    tool_name: Any = None
    duration_s: Any = None
    timestamp: Any = None
    flags: Any = None


class CheckpointRow(Struct):
    """One row of ``checkpoints/index.json``, and the head of a ``cp_*.json``."""

    checkpoint_id: Any = None
    checkpoint_type: Any = None
    created_at: Any = None
    current_node: Any = None
    next_node: Any = None
    is_clean: Any = None


class IndexFile(Struct):
    """``checkpoints/index.json``."""

    checkpoints: list[CheckpointRow] | None = None


Shape = TypeVar("Shape", bound=Struct)


class Unparsable(ValueError):
    """Not one whole JSON object: empty, cut off, or something else."""


class Forgiving(Generic[Shape]):
    """Decodes one shape. Most files go through msgspec; what it refuses is read again as Python's json would."""

    def __init__(self, shape: type[Shape]) -> None:
        self._shape = shape
        self._decode = msgspec.json.Decoder(shape).decode

    def __call__(self, content: bytes | memoryview) -> Shape:
        """*content* as the shape; absent and ill-typed parts are None.

        Raises:
            Unparsable: It is not one whole JSON object.
        """
        try:
            return self._decode(content)
        except (ValueError, RecursionError):
            return narrow(self._shape, _loosely(bytes(content)))


def _loosely(content: bytes) -> dict[str, Any]:
    """NaN, lone surrogates, bad UTF-8, byte order marks and raw control characters are all in use out there."""
    try:
        found = json.loads(
            content.decode("utf-8-sig", "replace"),
            strict=False,
            parse_constant=_nothing,
            parse_int=_bounded,
        )
    except (ValueError, RecursionError) as error:
        raise Unparsable("not one JSON object") from error
    if not isinstance(found, dict):
        raise Unparsable("not a JSON object")
    return found


def _nothing(_name: str) -> None:
    return None


def _bounded(digits: str) -> int | None:
    return int(digits) if len(digits) < 20 else None


def narrow(shape: type[Shape], found: dict[str, Any]) -> Shape:
    """The fields of *shape* out of *found*, nested shapes too; what has the wrong type is None."""
    kept = {}
    for name, hint in get_type_hints(shape).items():
        value = found.get(name)
        inner = next((one for one in get_args(hint) if one is not type(None)), None)
        if inner is None:
            kept[name] = value
        elif isinstance(inner, type) and issubclass(inner, Struct):
            kept[name] = narrow(inner, value) if isinstance(value, dict) else None
        elif isinstance(value, list):
            item = get_args(inner)[0]
            kept[name] = [narrow(item, one) for one in value if isinstance(one, dict)]
    return shape(**kept)


state_file = Forgiving(StateFile)
summary_file = Forgiving(SummaryFile)
index_file = Forgiving(IndexFile)
checkpoint_file = Forgiving(CheckpointRow)
detail_line = Forgiving(DetailLine)
tool_line = Forgiving(ToolLine)
cost_line = Forgiving(CostEntry)
