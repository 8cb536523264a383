"""One session folder, read once: every file as far as it can be read, and what is wrong with the others."""

import os
import re
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, TypeVar

from msgspec import Struct

from runtime_agent.sources.engine import files, shapes
from runtime_agent.sources.source import STALE_AFTER, Seen

HEAD_BYTES = 1024
"""Of a checkpoint: id, type, session and time come first, the memory after them."""

_HELD = {
    name: 1 << bit
    for bit, name in enumerate(
        (
            "/state.json",
            "/logs/summary.json",
            "/logs/details.jsonl",
            "/logs/tool_logs.jsonl",
            "/logs/cost_attribution.jsonl",
            "/checkpoints/index.json",
        )
    )
}
"""Files that stay as long as their session does, and their bits in :attr:`Seen.held`."""

_CREATED_AT = re.compile(rb'"created_at"\s*:\s*"([^"\\]{1,64})"')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Shape = TypeVar("Shape", bound=Struct)


class Folder(Struct):
    """What was found. A document that is None is absent, or has been broken for so long that nobody writes it now."""

    state: shapes.StateFile | None
    summary: shapes.SummaryFile | None
    checkpoints: list[shapes.CheckpointRow]
    details: bytes
    tools: bytes
    costs: bytes
    complete: bool
    """``state.json`` and L1 are as their writer left them; else nothing may be said of the session's state."""
    again: bool
    """Something was being written."""
    broken: bool
    """Something could not be read to its end."""
    content: bytes
    """Hash of all of it."""
    codes: set[str]
    """What is wrong, as trouble codes."""
    held: int
    """Which files are there, or were until a moment ago; see :attr:`Seen.held`."""

    @property
    def empty(self) -> bool:
        """Nothing has been written yet."""
        return self.state is None and self.summary is None and not (self.checkpoints or self.details or self.tools)


class Reader:
    """Reads one folder; remembers what went wrong on the way."""

    def __init__(self, path: str, now: datetime, seen: Seen | None) -> None:
        self._path = path
        self._now = now
        self._broken_for = now - seen.broken_since if seen and seen.broken_since else timedelta(0)
        self._hash = blake2b(digest_size=16)
        self._codes: set[str] = set()
        self._again = False
        self._broken = False
        self._withheld = False
        self._linked: set[str] = set()
        self._held_before = seen.held if seen else 0
        self._held = 0

    def read(self) -> Folder:
        """Every file once. A link in the place of a folder leads out of the home and is not followed."""
        self._linked = {name for name in ("/logs", "/checkpoints") if os.path.islink(self._path + name)}
        if self._linked:
            self._codes.add("file-not-regular")
        state = self._document("/state.json", shapes.state_file)
        summary = self._document("/logs/summary.json", shapes.summary_file)
        details = self._log("/logs/details.jsonl")
        tools = self._log("/logs/tool_logs.jsonl")
        costs = self._log("/logs/cost_attribution.jsonl")
        checkpoints = self._checkpoints()  # the files before their index, which is written after them
        self._see_what_is_missing()
        return Folder(
            state=state,
            summary=summary,
            details=details,
            tools=tools,
            costs=costs,
            checkpoints=checkpoints,
            complete=not self._withheld,
            again=self._again,
            broken=self._broken,
            content=self._hash.digest(),
            codes=self._codes,
            held=self._held,
        )

    def _see_what_is_missing(self) -> None:
        """Of a folder that is being deleted file by file, what is left says nothing of the session.

        It will be gone in a moment. If it is not for long, somebody took these files away and left the others.
        """
        if not self._held_before & ~self._held:
            return
        self._broken = True
        if self._broken_for <= STALE_AFTER:
            self._again = self._withheld = True
            self._held |= self._held_before

    def _document(self, name: str, decode: shapes.Forgiving[Shape]) -> Shape | None:
        if name.startswith(tuple(self._linked)):
            return None
        try:
            found = files.document(self._path + name)
        except files.Refused as refusal:
            self._refused(refusal)
            self._withheld = True
            self._held |= _HELD.get(name, 0)
            return None
        if found is None:
            return None
        self._held |= _HELD.get(name, 0)
        self._hash.update(found.content)
        self._hash.update(name.encode())
        try:
            known = decode(found.content)
        except shapes.Unparsable:
            known = None
        if known is not None and not found.moved:
            return known
        self._unfinished(found)
        return None

    def _unfinished(self, found: files.Bytes) -> None:
        """Being written, most likely; unless nobody has touched it for so long that its writer must be dead."""
        self._broken = True
        idle = self._now - (_EPOCH + timedelta(microseconds=found.mtime_ns // 1000))
        if not found.moved and max(idle, self._broken_for) > STALE_AFTER:
            self._codes.add("file-broken")
            return
        self._again = True
        self._withheld = True

    def _refused(self, refusal: files.Refused) -> None:
        """Modes may be mended without a trace in the file's mtime, so these are looked at again."""
        self._codes.add(refusal.code)
        self._again = self._again or refusal.code == "file-unreadable"

    def _log(self, name: str) -> bytes:
        if "/logs" in self._linked:
            return b""
        try:
            found = files.log(self._path + name)
        except files.Refused as refusal:
            self._refused(refusal)
            self._held |= _HELD[name]
            return b""
        if found is None:
            return b""
        self._held |= _HELD[name]
        if found.cut:
            self._codes.add("log-too-long")
        self._hash.update(found.content)
        self._hash.update(name.encode())
        return found.content

    def _checkpoints(self) -> list[shapes.CheckpointRow]:
        """Index rows and files, each once: either may lack what the other has."""
        if "/checkpoints" in self._linked:
            return []
        path = self._path + "/checkpoints"
        try:
            names = sorted(name for name in os.listdir(path) if name.startswith("cp_") and name.endswith(".json"))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError:
            self._refused(files.Refused("file-unreadable"))
            return []
        withheld = self._withheld
        index = self._document("/checkpoints/index.json", shapes.index_file)
        rows = list(index.checkpoints or []) if index else []
        known = {(row.checkpoint_id, row.created_at) for row in rows if _hashable(row)}
        for name in names:
            self._hash.update(name.encode("utf-8", "surrogateescape"))
            if (name[:-5], self._peeked(f"{path}/{name}")) in known:
                continue
            row = self._document(f"/checkpoints/{name}", shapes.checkpoint_file)
            if row is not None:
                row.checkpoint_id = row.checkpoint_id or name[:-5]
                rows.append(row)
        self._withheld = withheld
        return rows

    def _peeked(self, path: str) -> str:
        """When the checkpoint was made, if that stands at its beginning; else empty."""
        found = _CREATED_AT.search(files.head(path, HEAD_BYTES))
        return found.group(1).decode("ascii", "replace") if found else ""


def _hashable(row: Any) -> bool:
    return isinstance(row.checkpoint_id, str) and isinstance(row.created_at, str)
