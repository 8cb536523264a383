"""Reading a batch: from compressed bytes to records, with the first bad one named."""

import base64
import hashlib
import hmac
import io
import re
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
import zstandard
from msgspec import Struct

from controlplane.domain.sync import refusals
from controlplane.domain.sync.identities import stamp_ms
from controlplane.domain.sync.refusals import RecordRefused
from controlplane.kit.clock import AHEAD, EARLIEST, is_plausible
from controlplane.kit.ids import milliseconds
from runtime_agent.wire import PROTOCOL
from runtime_agent.wire.records import (
    MAX_RECORD_BYTES,
    AnyRecord,
    CheckpointSeen,
    CommandState,
    CostLine,
    Record,
    RunState,
    SessionState,
)
from runtime_agent.wire.sync import MAX_COMPRESSED_BYTES, MAX_INFLATED_BYTES, MAX_RECORDS

NUL = b"\\u0000"
"""PostgreSQL has no place for it in a text. Behind a backslash of its own it is six harmless characters."""

OLDEST_PROTOCOL = PROTOCOL

_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(AnyRecord)
_ANY = msgspec.json.Decoder(dict)
_HEAD = re.compile("[0-9a-f]{64}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Position(Struct, frozen=True, kw_only=True):
    """Where the agent says the batch belongs: the ``Sync-…`` headers."""

    store_id: UUID
    epoch: int
    first: int
    prev: bytes
    count: int
    digest: str
    protocol: int

    @property
    def last(self) -> int:
        return self.first + self.count - 1


class Unknown(Struct, frozen=True):
    """A record of a kind that a newer agent may send: kept, projected by a later release."""

    record_id: UUID


class Bad(Struct, frozen=True):
    """The first line that is not acceptable."""

    refusal: type[RecordRefused]
    why: str


class Batch(Struct, frozen=True):
    """The lines of a body, and what those from ``skip`` on say, up to the first bad one."""

    lines: list[bytes]
    records: list[Record | Unknown]
    bad: Bad | None


def position(get: Callable[[str], str | None]) -> Position:
    """The place that the headers of an append name.

    Args:
        get: Looks a header up.

    Raises:
        BadHeader: If one is missing or not of its form; the detail names it.
        UnsupportedProtocol: If the agent's protocol number is not spoken here.
        BatchTooLarge: If more records are announced than a batch may have.
    """
    count = _number(get, "Sync-Count", most=(1 << 31) - 1)
    if count > MAX_RECORDS:
        raise refusals.BatchTooLarge("records", MAX_RECORDS)
    protocol = _number(get, "Sync-Protocol", most=(1 << 31) - 1)
    if protocol < OLDEST_PROTOCOL:
        raise refusals.UnsupportedProtocol(f"protocol {protocol}; spoken here: {OLDEST_PROTOCOL} to {PROTOCOL}")
    prev, store = get("Sync-Prev") or "", get("Sync-Store") or ""
    if not _HEAD.fullmatch(prev):
        raise refusals.BadHeader("Sync-Prev: expected 64 hexadecimal digits")
    if (get("Content-Encoding") or "").lower() != "zstd":
        raise refusals.BadHeader("Content-Encoding: expected zstd")
    try:
        store_id = UUID(store)
    except ValueError:
        raise refusals.BadHeader("Sync-Store: expected a UUID") from None
    return Position(
        store_id=store_id,
        epoch=_number(get, "Sync-Epoch"),
        first=_number(get, "Sync-First"),
        prev=bytes.fromhex(prev),
        count=count,
        digest=get("Content-Digest") or "",
        protocol=protocol,
    )


def read(body: bytes, place: Position, now: datetime, skip: int = 0) -> Batch:
    """The records of *body* from line *skip* on; those before it have been accepted once and are not judged again.

    Raises:
        BatchUnreadable: One of its kinds, if the body as a whole is not what the headers say.
        BatchTooLarge: If it is larger than allowed, packed or unpacked.
    """
    if len(body) > MAX_COMPRESSED_BYTES:
        raise refusals.BatchTooLarge("compressed bytes", MAX_COMPRESSED_BYTES)
    _check_digest(body, place.digest)
    text = unpacked(body)
    if not text.endswith(b"\n"):
        raise refusals.Truncated("the last line has no line feed")
    lines = text[:-1].split(b"\n")
    if len(lines) != place.count:
        raise refusals.Truncated(f"{place.count} records announced, {len(lines)} found")
    records: list[Record | Unknown] = []
    judge = _Judge(place.protocol, now + AHEAD, with_nul=NUL in text)
    for line in lines[skip:]:
        found = judge.record(line)
        if isinstance(found, Bad):
            return Batch(lines, records, found)
        records.append(found)
    return Batch(lines, records, None)


def unpacked(body: bytes) -> bytes:
    """*body* decompressed, at most :data:`MAX_INFLATED_BYTES` whatever its frame declares (RFC 8878)."""
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_INFLATED_BYTES).stream_reader(
        io.BytesIO(body), read_across_frames=False
    )
    try:
        text = reader.read(MAX_INFLATED_BYTES + 1)
    except zstandard.ZstdError as error:
        raise refusals.NotZstd(str(error)) from error
    if len(text) > MAX_INFLATED_BYTES:
        raise refusals.BatchTooLarge("inflated bytes", MAX_INFLATED_BYTES)
    return text


def decode(line: bytes) -> Record | Unknown:
    """The record in *line*, which has been accepted before."""
    try:
        return _DECODER.decode(line)
    except msgspec.ValidationError:
        return Unknown(UUID(_ANY.decode(line)["record_id"]))


class _Judge:
    """What the lines of one batch are judged by, one after the other."""

    def __init__(self, protocol: int, latest: datetime, *, with_nul: bool) -> None:
        self._protocol, self._latest, self._latest_ms, self._with_nul = protocol, latest, milliseconds(latest), with_nul

    def record(self, line: bytes) -> Record | Unknown | Bad:
        if len(line) > MAX_RECORD_BYTES:
            return Bad(refusals.RecordTooLarge, f"{len(line)} bytes, at most {MAX_RECORD_BYTES} are allowed")
        if self._with_nul and _NUL.search(line):
            return Bad(refusals.RecordInvalid, "a text with a NUL character")
        try:
            record = _DECODER.decode(line)
        except msgspec.ValidationError as error:
            return _misfit(line, self._protocol, str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Bad(refusals.RecordMalformed, str(error))
        if absurd := _absurd(record, self._latest, self._latest_ms):
            return Bad(refusals.RecordAbsurdTime, absurd)
        return record


def _misfit(line: bytes, protocol: int, why: str) -> Unknown | Bad:
    """Why a line that is JSON is no record of ours; where its writer is newer than we are it may be a kind of theirs."""
    if why.endswith("`$.kind`"):
        if protocol > PROTOCOL and (unknown := _of_a_newer_kind(line)):
            return unknown
        return Bad(refusals.RecordUnknownKind, why)
    if "missing required field" in why:
        return Bad(refusals.RecordIncomplete, why)
    return Bad(refusals.RecordInvalid, why)


def _of_a_newer_kind(line: bytes) -> Unknown | None:
    try:
        return Unknown(UUID(_ANY.decode(line)["record_id"]))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, msgspec.DecodeError):
        return None


def _absurd(record: Record | Unknown, latest: datetime, latest_ms: int) -> str | None:
    """Which of the times in *record* cannot be, or None."""
    instants, names = _TIMES.get(type(record), ((), ()))
    for field in instants:
        instant = getattr(record, field)
        if instant is not None and not is_plausible(instant, latest):
            return f"{field} is {instant.isoformat()}"
    for field in names:
        stamped = stamp_ms(getattr(record, field))
        if stamped is not None and not _EARLIEST_MS <= stamped <= latest_ms:
            return f"the {field} is named after a time that cannot be"
    return None


_EARLIEST_MS = milliseconds(EARLIEST)

_TIMES: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {
    SessionState: (("started_at", "changed_at", "updated_at", "ended_at", "claimed_at"), ("session",)),
    RunState: (("started_at", "changed_at", "ended_at"), ("session",)),
    CheckpointSeen: (("created_at",), ("session", "checkpoint")),
    CostLine: (("spent_at",), ("session",)),
    CommandState: (("occurred_at",), ()),
}
"""Of each kind the instants, and the names that may carry one."""


def _check_digest(body: bytes, given: str) -> None:
    """Compare with ``Content-Digest`` (RFC 9530 section 2)."""
    wanted = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    if not hmac.compare_digest(wanted.encode(), given.encode()):
        raise refusals.DigestMismatch("Content-Digest is not the SHA-256 of the body")


def _number(get: Callable[[str], str | None], name: str, most: int = 1 << 53) -> int:
    text = get(name) or ""
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= most):
        raise refusals.BadHeader(f"{name}: expected a whole number from 1 to {most}")
    return int(text)
