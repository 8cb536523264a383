"""EngineX session folders for tests, file by file."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runtime_agent.sources import Reading, Seen, Source, open_source
from runtime_agent.wire.records import AnyRecord, CheckpointSeen, CostLine, RunState, SessionState

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NAME = "session_20261120_110000_0a1b2c3d"
AGENT = "invoice_review"
KEY = f"{AGENT}/{NAME}"

Json = dict[str, Any]
RecordT = TypeVar("RecordT", SessionState, RunState, CheckpointSeen, CostLine)

_decode: Callable[[bytes], AnyRecord] = msgspec.json.Decoder(AnyRecord).decode


def naive(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat()


def state(status: str | None = "completed", **other: Any) -> Json:
    """A whole state.json of a session that began at eleven and was last written a minute later."""
    began = NOW - timedelta(hours=1)
    timestamps = {"started_at": naive(began), "updated_at": naive(began + timedelta(minutes=1))}
    return {
        "schema_version": "1.1",
        "session_id": NAME,
        "status": status,
        "timestamps": timestamps,
        "progress": {"path": ["intake"], "steps_executed": 1, "execution_quality": "clean"},
        "result": {"success": None, "error": None, "output": {}},
        **other,
    }


def summary(status: str = "success", **other: Any) -> Json:
    """An L1 of the same session's first run."""
    return {
        "run_id": NAME,
        "status": status,
        "node_path": ["intake"],
        "total_nodes_executed": 1,
        "total_input_tokens": 100,
        "total_output_tokens": 10,
        "attention_reasons": [],
        "started_at": (NOW - timedelta(hours=1)).isoformat(),
        "duration_ms": 60_000,
        "execution_quality": "clean",
        "trace_id": "aa" * 16,
        "execution_id": "bb" * 16,
        **other,
    }


def checkpoint(kind: str, node: str, at: datetime) -> Json:
    return {
        "checkpoint_id": f"cp_{kind}_{node}_{at:%Y%m%d_%H%M%S}",
        "checkpoint_type": kind,
        "created_at": naive(at),
        "current_node": node,
        "next_node": None,
        "is_clean": True,
        "description": f"{kind}: {node}",
    }


class SessionFolder:
    """One session's folder under a home; every method writes a file."""

    def __init__(self, home: Path, agent: str = AGENT, name: str = NAME) -> None:
        self.path = home / "agents" / agent / "sessions" / name
        self.key = f"{agent}/{name}"
        self.path.mkdir(parents=True)

    def write(self, name: str, content: Json | list[Any] | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def state(self, content: Json | bytes | None = None) -> Path:
        return self.write("state.json", state() if content is None else content)

    def summary(self, content: Json | bytes | None = None) -> Path:
        return self.write("logs/summary.json", summary() if content is None else content)

    def lines(self, name: str, lines: list[Json], tail: bytes = b"") -> Path:
        return self.write(f"logs/{name}", b"".join(json.dumps(line).encode() + b"\n" for line in lines) + tail)

    def index(self, rows: list[Json]) -> Path:
        return self.write("checkpoints/index.json", {"checkpoints": rows})

    def checkpoint(self, body: Json) -> Path:
        return self.write(f"checkpoints/{body['checkpoint_id']}.json", body)


def engine(home: Path) -> Source:
    return open_source("engine", home, UTC)


def read(home: Path, key: str = KEY, *, now: datetime = NOW, seen: Seen | None = None) -> Reading:
    return engine(home).read(key, now=now, seen=seen)


def of_kind(reading: Reading, kind: type[RecordT]) -> list[RecordT]:
    """The records of one kind, as they arrive on the other side of the wire."""
    arrived = (_decode(msgspec.json.encode(draft.record)) for draft in reading.records)
    return [record for record in arrived if isinstance(record, kind)]


def only(reading: Reading, kind: type[RecordT]) -> RecordT:
    (record,) = of_kind(reading, kind)
    return record
