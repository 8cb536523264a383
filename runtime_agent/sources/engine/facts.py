"""What is said once: checkpoints and cost lines."""

from datetime import datetime
from hashlib import blake2b

from runtime_agent import redact
from runtime_agent.sources.engine import files, shapes
from runtime_agent.sources.engine.shapes import CheckpointRow, CostEntry, Unparsable
from runtime_agent.sources.engine.times import Times, compact, raw
from runtime_agent.sources.engine.values import count, hexadecimal, scaled, word
from runtime_agent.sources.source import NO_ID, NO_TIME, Draft
from runtime_agent.wire.records import MAX_REASONS, CheckpointSeen, CostLine


def checkpoints(
    agent: str, session: str, rows: list[CheckpointRow], times: Times, since: datetime | None
) -> list[Draft]:
    """One draft for each (id, time), oldest first. The id alone is not unique: it has the second, no more."""
    found: dict[str, Draft] = {}
    for row in rows:
        seen = _checkpoint(agent, session, row, times, since)
        if seen is not None:
            key = f"{agent}/{session}/{seen.checkpoint}/{seen.created_raw}"
            found[key] = Draft("checkpoint", key, False, seen)
    return sorted(found.values(), key=_created)


def _created(draft: Draft) -> tuple[datetime, str]:
    assert isinstance(draft.record, CheckpointSeen)
    return draft.record.created_at, draft.key


def _checkpoint(
    agent: str, session: str, row: CheckpointRow, times: Times, since: datetime | None
) -> CheckpointSeen | None:
    name = redact.plain(row.checkpoint_id, redact.KEY_MAX)
    told = raw(row.created_at)
    created_at = times.local(told, not_before=since)
    if created_at is None:
        told = compact(name)
        created_at = times.named(told, not_before=since)
    if not name or created_at is None:
        return None
    return CheckpointSeen(
        record_id=NO_ID,
        occurred_at=NO_TIME,
        agent=agent,
        session=session,
        checkpoint=name,
        created_at=created_at,
        created_raw=told,
        type=word(row.checkpoint_type) or "unknown",
        node=redact.name(row.current_node),
        next_node=redact.name(row.next_node),
        clean=row.is_clean is not False,
    )


def costs(agent: str, session: str, content: bytes, times: Times, since: datetime) -> list[Draft]:
    """One draft for each line of ``cost_attribution.jsonl``; *since* stands in for a missing time."""
    found: dict[str, Draft] = {}
    for line in files.lines(content):
        try:
            entry = shapes.cost_line(line)
        except Unparsable:
            continue
        cost = _cost(agent, session, entry, line, times.utc(entry.timestamp) or since)
        found[cost.entry] = Draft("cost", f"{agent}/{session}/{cost.entry}", False, cost)
    return list(found.values())


def _cost(agent: str, session: str, entry: CostEntry, line: bytes | memoryview, spent_at: datetime) -> CostLine:
    return CostLine(
        record_id=NO_ID,
        occurred_at=NO_TIME,
        agent=agent,
        session=session,
        entry=_entry_id(entry.entry_id) or f"line-{blake2b(line, digest_size=16).hexdigest()}",
        spent_at=spent_at,
        node=redact.name(entry.node_id),
        attempt=count(entry.attempt, 1),
        step=count(entry.step_index),
        type=word(entry.invocation_type) or "llm",
        model=redact.name(entry.model),
        tool=redact.name(entry.tool_name),
        input_tokens=count(entry.input_tokens),
        output_tokens=count(entry.output_tokens),
        micro_usd=scaled(entry.cost_usd, 1_000_000),
        duration_ms=scaled(entry.duration_s, 1000),
        flags=redact.names(entry.flags, MAX_REASONS),
    )


def _entry_id(value: object) -> str:
    return hexadecimal(value) or redact.plain(value, redact.KEY_MAX)
