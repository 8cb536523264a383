"""The way through the graph, out of L2 (one line a visit) and L3 (one line a step)."""

from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from runtime_agent import redact
from runtime_agent.sources.engine import files, shapes
from runtime_agent.sources.engine.shapes import DetailLine, ToolLine, Unparsable
from runtime_agent.sources.engine.times import Times
from runtime_agent.sources.engine.values import COUNT_MAX, count, hexadecimal, scaled, word
from runtime_agent.wire.records import MAX_NODES, Error, NodeVisit


class Sums(Struct):
    """Of many visits; each at most the largest count."""

    visits: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    repeated: int = 0
    """Visits that were not the first attempt."""
    error: Error | None = None
    """The last."""

    def add(self, line: DetailLine) -> None:
        self.visits += 1
        self.input_tokens = min(self.input_tokens + count(line.input_tokens), COUNT_MAX)
        self.output_tokens = min(self.output_tokens + count(line.output_tokens), COUNT_MAX)
        self.repeated += count(line.attempt, 1) > 1
        self.error = _error(line) or self.error


class Work(Struct, kw_only=True):
    """What the logs of a session tell."""

    nodes: list[NodeVisit]
    """The newest visits, oldest first."""
    omitted: int
    all: Sums
    run: Sums
    """Of the visits that carry L1's trace."""
    last_at: datetime | None
    """End of the last tool call."""


def work(details: bytes, tools: bytes, *, trace: str, times: Times) -> Work:
    """Everything that *details* (L2) and *tools* (L3) tell; lines that do not parse are passed over."""
    calls, last_at = _calls(tools, times)
    everything, run = Sums(), Sums()
    newest: deque[tuple[DetailLine, int]] = deque(maxlen=MAX_NODES)
    met: Counter[tuple[str, str]] = Counter()
    for raw in files.lines(details):
        try:
            line = shapes.detail_line(raw)
        except Unparsable:
            continue
        everything.add(line)
        place = _place(line)
        if trace and place[0] == trace:
            run.add(line)
        newest.append((line, calls[(*place, met[place])]))
        met[place] += 1
    nodes = [visit for line, tools_called in newest if (visit := _visit(line, tools_called))]
    return Work(nodes=nodes, omitted=everything.visits - len(nodes), all=everything, run=run, last_at=last_at)


def _calls(tools: bytes, times: Times) -> tuple[Counter[tuple[str, str, int]], datetime | None]:
    """Tool calls by trace, node and how many visits of it came before; and when the last call ended.

    A visit begins at step 0: L3 has no other mark of it.
    """
    calls: Counter[tuple[str, str, int]] = Counter()
    visit: dict[tuple[str, str], int] = {}
    last: list[shapes.ToolCall] = []
    for raw in files.lines(tools):
        try:
            line = shapes.tool_line(raw)
        except Unparsable:
            continue
        place = _place(line)
        visit[place] = visit.get(place, -1) + (line.step_index == 0 or place not in visit)
        calls[(*place, visit[place])] += len(line.tool_calls or ())
        last = line.tool_calls or last
    ends = [end for call in last if (end := _end(call, times))]
    return calls, max(ends, default=None)


def _end(call: shapes.ToolCall, times: Times) -> datetime | None:
    started = times.utc(call.start_timestamp)
    if started is None:
        return None
    return min(started + timedelta(milliseconds=min(scaled(call.duration_s, 1000), 86_400_000)), times.latest)


def _place(line: DetailLine | ToolLine) -> tuple[str, str]:
    return _text(line.trace_id), _text(line.node_id)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _visit(line: DetailLine, tools_called: int) -> NodeVisit | None:
    node = redact.name(line.node_id)
    if node is None:
        return None
    return NodeVisit(
        node=node,
        type=redact.name(line.node_type),
        outcome=_outcome(line),
        attempt=count(line.attempt, 1),
        steps=count(line.total_steps),
        retries=count(line.retry_count),
        latency_ms=count(line.latency_ms),
        input_tokens=count(line.input_tokens),
        output_tokens=count(line.output_tokens),
        tools=tools_called,
        error=_error(line),
        trace=hexadecimal(line.trace_id),
    )


def _outcome(line: DetailLine) -> str:
    return word(line.exit_status) or ("failure" if line.success is False else "success")


def _error(line: DetailLine) -> Error | None:
    """Named by its exception, else by the way in which the node ended: ``stalled``."""
    message = redact.line(line.error)
    if not message:
        return None
    outcome = word(line.exit_status)
    return Error(name=redact.error_class(message, outcome if outcome not in {"", "failure"} else "Error"), line=message)
