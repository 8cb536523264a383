"""Checkpoint content: bytes that are kept of a series of checkpoints, against the bytes of their files.

The series is what a session writes that works through documents: each step adds a result to the memory, every third
rewrites a summary at its beginning, and every checkpoint holds all of it, as the runtime writes it.
"""

import json
import random
from hashlib import sha256

from runtime_agent.content.cutting import cut
from runtime_agent.content.sealing import Form, Plain, Sealed, fresh

LIMIT = 0.2
SESSIONS, STEPS = 20, 30
WORDS = [
    "party",
    "shall",
    "agreement",
    "clause",
    "notice",
    "term",
    "invoice",
    "amount",
    "within",
    "days",
    "written",
    "breach",
    "liable",
]


def run() -> dict[str, object]:
    """Of the two forms in which content leaves the one that is kept worse counts."""
    plain, sealed = _kept(Plain()), _kept(Sealed(fresh(bytes([9]) + bytes(31))))
    worst = max(plain, sealed)
    return {
        "name": "content",
        "ours": round(worst, 4),
        "limit": LIMIT,
        "ratio": round(worst / LIMIT, 3),
        "unit": "bytes kept over bytes of the files",
        "plain": round(plain, 4),
        "sealed": round(sealed, 4),
    }


def _kept(form: Form) -> float:
    rolls, raw, held = random.Random(7), 0, {}
    for session in range(SESSIONS):
        for document in _series(rolls, session):
            raw += len(document)
            for piece in cut(document):
                body = form.chunk(piece)
                held[sha256(body).digest()] = len(body)
    return sum(held.values()) / raw


def _series(rolls: random.Random, session: int) -> list[bytes]:
    memory: dict[str, object] = {"summary": "", "document": _text(rolls, 2_000)}
    made = []
    for step in range(STEPS):
        memory[f"result_{step}"] = {"finding": _text(rolls, 300), "tokens": rolls.randrange(9_999), "step": step}
        if step % 3 == 0:
            memory["summary"] = _text(rolls, 100)
        at = f"2026-11-22T10:{session % 60:02}:{step:02}.{rolls.randrange(10**6):06}"
        checkpoint = {
            "checkpoint_id": f"cp_node_complete_step_{step}_20261122_10{session % 60:02}{step:02}",
            "checkpoint_type": "node_complete",
            "session_id": f"session_20261122_10{session % 60:02}00_{session:08x}",
            "created_at": at,
            "current_node": f"step_{step}",
            "execution_path": [f"step_{number}" for number in range(step + 1)],
            "shared_memory": memory,
            "is_clean": True,
        }
        made.append(json.dumps(checkpoint, indent=2).encode())
    return made


def _text(rolls: random.Random, words: int) -> str:
    return " ".join(rolls.choice(WORDS) + str(rolls.randrange(999)) for _ in range(words))
