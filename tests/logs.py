"""A runtime's log to test with: records, lines, batches as an agent would send them."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import zstandard

from controlplane.domain.sync.batches import Position
from controlplane.kit.ids import new_id
from runtime_agent.wire import PROTOCOL, chain
from runtime_agent.wire.records import CheckpointSeen, Record, RunState, SessionState

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def session(n: int = 1, **given: object) -> SessionState:
    """The state of session number *n*, which began *n* seconds into 2026."""
    at = T0 - timedelta(days=1) + timedelta(seconds=n)
    facts: dict[str, object] = {
        "record_id": new_id(at),
        "occurred_at": at,
        "agent": "invoice_review",
        "session": f"session_{at:%Y%m%d_%H%M%S}_{n:08x}",
        "changed_at": at,
        "status": "succeeded",
        "source_status": "completed",
        "started_at": at,
    }
    return SessionState(**(facts | given))  # type: ignore[arg-type]


def run(n: int = 1, **given: object) -> RunState:
    of = session(n)
    facts: dict[str, object] = {
        "record_id": new_id(of.occurred_at),
        "occurred_at": of.occurred_at,
        "agent": of.agent,
        "session": of.session,
        "run": of.started_at.isoformat(),
        "changed_at": of.changed_at,
        "status": "succeeded",
        "source_status": "success",
        "started_at": of.started_at,
    }
    return RunState(**(facts | given))  # type: ignore[arg-type]


def checkpoint(n: int = 1, **given: object) -> CheckpointSeen:
    of = session(n)
    facts: dict[str, object] = {
        "record_id": new_id(of.occurred_at),
        "occurred_at": of.occurred_at,
        "agent": of.agent,
        "session": of.session,
        "checkpoint": f"cp_node_start_intake_{of.started_at:%Y%m%d_%H%M%S}",
        "created_at": of.started_at,
        "created_raw": of.started_at.replace(tzinfo=None).isoformat(),
        "type": "node_start",
        "node": "intake",
    }
    return CheckpointSeen(**(facts | given))  # type: ignore[arg-type]


def line(record: Record | bytes) -> bytes:
    """*record* as it stands in the log; bytes stand for themselves, however broken."""
    return record if isinstance(record, bytes) else msgspec.json.encode(record)


def packed(lines: Sequence[bytes]) -> bytes:
    """A body of these lines."""
    return zstandard.compress(b"".join(text + b"\n" for text in lines), 3)


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


class Log:
    """One epoch of an agent's log, written from its first record on."""

    def __init__(self, runtime_id: UUID, store_id: UUID, epoch: int = 1) -> None:
        self.runtime_id, self.store_id, self.epoch = runtime_id, store_id, epoch
        self.lines: list[bytes] = []

    def write(self, *records: Record | bytes) -> None:
        self.lines.extend(map(line, records))

    def head(self, seq: int) -> bytes:
        """The chain's head after record *seq*."""
        return chain.extend(chain.origin(self.runtime_id, self.epoch), self.lines[:seq])

    def batch(self, first: int, last: int, **given: object) -> tuple[Position, bytes]:
        """Records *first* to *last*, and the headers that go with them."""
        body = packed(self.lines[first - 1 : last])
        facts: dict[str, object] = {
            "store_id": self.store_id,
            "epoch": self.epoch,
            "first": first,
            "prev": self.head(first - 1),
            "count": last - first + 1,
            "digest": digest(body),
            "protocol": PROTOCOL,
        }
        return Position(**(facts | given)), body  # type: ignore[arg-type]
