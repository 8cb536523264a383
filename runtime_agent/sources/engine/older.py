"""What a session's documents are once it is back at one of its checkpoints. Nothing is read or written here."""

import json
from collections import Counter
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeAlias

from runtime_agent.sources.acting import Failed
from runtime_agent.sources.engine.status import ROLLED_BACK

Document: TypeAlias = dict[str, Any]

ROW: Final = (
    "checkpoint_id",
    "checkpoint_type",
    "created_at",
    "current_node",
    "next_node",
    "is_clean",
    "description",
)
"""What the index repeats of each checkpoint."""


def checkpoint(content: bytes, name: str, session: str) -> Document:
    """The checkpoint *name* of *session*, as its file holds it.

    Raises:
        Failed: If it is another one's, or nothing that a session can go on from.
    """
    found = document(content)
    if found.get("checkpoint_id") != name or found.get("session_id", session) != session:
        raise Failed("content-damaged", "what was found is not this checkpoint")
    if not isinstance(found.get("shared_memory"), dict) or not _nodes(found):
        raise Failed("checkpoint-unfit", "the checkpoint holds no memory, or names no node to go on at")
    return found


def document(content: bytes) -> Document:
    """A JSON object; empty if it is none."""
    with suppress(ValueError, RecursionError):
        found = json.loads(content)
        if isinstance(found, dict):
            return found
    return {}


def state(before: Document, at: Document, session: str, now: datetime) -> Document:
    """``state.json`` as of the checkpoint *at*: paused there, with its memory and its path, to be resumed.

    What the session has cost stays as it is told in *before*.

    Args:
        now: Naive, in the zone of the home.
    """
    told = now.isoformat(timespec="microseconds")
    path = [node for node in at.get("execution_path") or [] if isinstance(node, str)]
    [node, *_] = _nodes(at)
    kept = {name: value for name, value in before.items() if name not in {"memory_keys", "claimed_by", "claimed_at"}}
    return {
        "session_id": session,
        **kept,
        "status": "paused",
        "timestamps": {**_part(before, "timestamps"), "updated_at": told, "completed_at": None, "paused_at_time": told},
        "progress": {
            **_part(before, "progress"),
            "current_node": node,
            "paused_at": node,
            "resume_from": node,
            "path": path,
            "steps_executed": len(path),
            "node_visit_counts": dict(Counter(path)),
        },
        "result": {
            "success": False,
            "error": f"{ROLLED_BACK}{at['checkpoint_id']}",
            "output": {},
        },
        "memory": at["shared_memory"],
        "latest_checkpoint_id": at["checkpoint_id"],
        "is_resumable": True,
    }


def index(before: Document, at: Document, session: str) -> Document:
    """``checkpoints/index.json`` with nothing in it that is younger than *at*, which is its last."""
    rows = before.get("checkpoints")
    older = [row for row in rows if isinstance(row, dict) and not younger(row, at)] if isinstance(rows, list) else []
    mine = {name: at.get(name) for name in ROW}
    others = [row for row in older if _name(row) != _name(mine)]
    return {
        "session_id": session,
        **before,
        "checkpoints": [*others, mine],
        "latest_checkpoint_id": at["checkpoint_id"],
        "total_checkpoints": len(others) + 1,
    }


def younger(row: Document, at: Document) -> bool:
    """Whether *row* was written after *at*. Of what tells no time, nobody knows."""
    try:
        return datetime.fromisoformat(row["created_at"]) > datetime.fromisoformat(at["created_at"])
    except (KeyError, TypeError, ValueError):
        return False


def _nodes(at: Document) -> list[str]:
    """Where it goes on, and where it was."""
    return [node for node in (at.get("next_node"), at.get("current_node")) if isinstance(node, str) and node]


def _part(whole: Document, name: str) -> Document:
    part = whole.get(name)
    return part if isinstance(part, dict) else {}


def _name(row: Document) -> tuple[Any, Any]:
    return row.get("checkpoint_id"), row.get("created_at")
