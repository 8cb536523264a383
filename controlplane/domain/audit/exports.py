"""Verification of an export away from everything: a file of events, signed checkpoints, and the key to trust."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
from msgspec import Struct

from controlplane.domain.audit.checkpoints import ORIGIN, by_hash
from controlplane.domain.audit.reads import SEALED
from controlplane.domain.audit.reads_verifying import Exported
from controlplane.domain.audit.stored import unheard
from controlplane.domain.audit.verifying import Verdict, Verifier, beginning, start_of, verify_line
from controlplane.kit import notes
from controlplane.kit.notes import Checkpoint, NoteRefused, PublicKey
from controlplane.kit.problems import Refusal

TELL_EVERY: Final = 10_000


class ExportUnusable(Refusal):
    """Not even something that could be verified was given."""

    code, status, title = "audit-export-unusable", 400, "This cannot be verified"
    hint = "Give the events, the checkpoints and the public key of one and the same log."


def verify(
    events: Path,
    signed: Path,
    public_key: Path,
    progress: Callable[[int, int], None] = unheard,
    *,
    reads: Path | None = None,
) -> Verdict:
    """
    Args:
        reads: Of credentials, as exported; None: whether they are those that were sealed is not asked.
        events: JSON lines, as exported.
        signed: One signed checkpoint or several.
        public_key: One key on a line, or several; from a source that is trusted otherwise.
        progress: Told how many bytes of how many were read.

    Raises:
        ExportUnusable: If one of the files cannot be read, or the key is none of an audit log.
    """
    known = _keys(public_key)
    chain = known[0].name.removeprefix(ORIGIN)
    good, bad = _checkpoints(signed, known)
    try:
        with events.open("rb") as file:
            verifier = Verifier(start_of(file, _first_seq(events)), good)
            for why in bad:
                verifier.damaged(0, "signature", why)
            file.seek(0)
            _take(verifier, chain, file, events.stat().st_size, progress)
            if reads is not None:
                file.seek(0)
                with reads.open("rb") as lines:
                    Exported(verifier, _sealed(file)).take(line.rstrip(b"\n") for line in lines)
    except OSError as error:
        raise ExportUnusable(f"{events}: {error.strerror}") from error
    return verifier.finish()


def _take(
    verifier: Verifier, chain: str, file: BinaryIO, size_bytes: int, progress: Callable[[int, int], None]
) -> None:
    for raw in file:
        if raw.endswith(b"\n"):
            verify_line(verifier, chain, raw[:-1])
        else:
            verifier.unreadable("the line does not end: the file was cut off")
        if verifier.events % TELL_EVERY == 0:
            progress(file.tell(), size_bytes)
    progress(size_bytes, size_bytes)


class _Sealing(Struct):
    action: str
    seq: int
    facts: dict[str, Any]


def _sealed(file: BinaryIO) -> dict[int, dict[str, Any]]:
    """The facts of every event that seals reads, by its number."""
    found = {}
    for raw in file:
        if SEALED.encode() in raw:
            with contextlib.suppress(msgspec.MsgspecError):  # it was told when its turn came
                event = msgspec.json.decode(raw, type=_Sealing)
                if event.action == SEALED:
                    found[event.seq] = event.facts
    return found


class _Numbered(Struct):
    seq: int


def _first_seq(events: Path) -> int:
    with events.open("rb") as file:
        try:
            return msgspec.json.decode(file.readline(), type=_Numbered).seq
        except msgspec.MsgspecError:  # it is told when its turn comes
            return beginning().head.seq + 1


def _keys(path: Path) -> list[PublicKey]:
    try:
        found = [notes.parse_key(line) for line in _text(path).splitlines() if line.strip()]
    except NoteRefused as refused:
        raise ExportUnusable(f"{path}: {refused}") from None
    if len({key.name for key in found}) != 1 or not found[0].name.startswith(ORIGIN):
        raise ExportUnusable(f"{path} holds no key of one audit log")
    return found


def _checkpoints(path: Path, known: list[PublicKey]) -> tuple[list[Checkpoint], list[str]]:
    good, bad = [], []
    try:
        for note in notes.every_note(_text(path)):
            try:
                good.append(notes.checkpoint(note, by_hash(known)))
            except NoteRefused as refused:
                bad.append(f"a checkpoint is {refused}")
    except NoteRefused as refused:
        bad.append(f"the checkpoint is {refused}")
    return good, bad


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")  # what is not text is not what was signed
    except OSError as error:
        raise ExportUnusable(f"{path}: {error.strerror}") from error
