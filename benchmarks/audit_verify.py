"""Verification of an exported log of 1,000,000 events, a tenth of them with a sealed person, offline: under 60 s."""

import tempfile
import time
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from controlplane.domain import audit
from controlplane.domain.audit import checkpoints, exports
from controlplane.kit import notes
from controlplane.kit.merkle import Tree
from controlplane.kit.notes import Checkpoint, PublicKey

EVENTS = 1_000_000
LIMIT_S = 60.0
CHAIN = UUID("019b76da-a800-7000-8000-000000000001")

PATTERN = audit.Event(
    seq=0,
    id=UUID(int=0),
    occurred_us=1_767_225_600_000_000,
    action="api-key.created",
    outcome="success",
    actor_kind="account",
    actor_id="acc_01kdvdna00epe9zkav3aewasxz",
    target_kind="api-key",
    target_id="key_01kdvdna00epe9zkav3aewasxz",
    facts={"role": "viewer", "expires_in": 7_776_000},
    request_id="req_01kdvdna00epe9zkav3aewasxz",
    sealed=None,
    prev_hash=b"",
    hash=b"",
)


def run() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _write(place)
        began = time.perf_counter()
        verdict = exports.verify(place / "events", place / "checkpoint", place / "key")
        took_s = time.perf_counter() - began
    assert verdict.unbroken, verdict.damages
    assert verdict.signed_through == EVENTS
    return {"name": "audit_verify", "ratio": took_s / LIMIT_S, "ours": took_s, "limit": LIMIT_S, "unit": "s"}


def _write(folder: Path) -> None:
    tree, previous, sealed = Tree(), audit.START, bytes(226)
    with (folder / "events").open("wb") as file:
        for seq in range(1, EVENTS + 1):
            placed = replace(
                PATTERN, seq=seq, id=UUID(int=seq), sealed=None if seq % 10 else sealed, prev_hash=previous
            )
            previous = audit.link(CHAIN, placed)
            tree.append(previous)
            file.write(audit.line(CHAIN, replace(placed, hash=previous)) + b"\n")
    name, key = checkpoints.origin(CHAIN), Ed25519PrivateKey.generate()
    (folder / "checkpoint").write_text(notes.sign(Checkpoint(name, EVENTS, tree.root()).text(), name, key))
    (folder / "key").write_text(str(PublicKey(name, key.public_key().public_bytes_raw())))
