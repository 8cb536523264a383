"""The EngineX home as a source: finding sessions and noticing that they changed."""

import os
import stat
from collections.abc import Iterator
from datetime import datetime, tzinfo
from hashlib import blake2b
from pathlib import Path
from struct import Struct as Packing

from runtime_agent import redact
from runtime_agent.sources.engine import files, shapes
from runtime_agent.sources.engine.reading import Glance, reading
from runtime_agent.sources.engine.times import raw
from runtime_agent.sources.source import Health, Reading, Seen, Unit
from runtime_agent.wire.heartbeat import Trouble
from runtime_agent.wire.records import CheckpointSeen

WATCHED = (
    "/state.json",
    "/checkpoints",
    "/logs/summary.json",
    "/logs/details.jsonl",
    "/logs/tool_logs.jsonl",
    "/logs/cost_attribution.jsonl",
)
"""What a fingerprint is made of. The folder of checkpoints moves with every file in it: they are all replaced."""

PRIVATE = {"conversations", "data"}
"""Folders of a session that are nobody's business, and whose changes say nothing."""

_SIGNS = {"agents", "configuration.json", "credentials", "secrets", "skills", "event_logs"}
_PACKED = Packing("3q")
_ABSENT = _PACKED.pack(0, 0, 0)


class EngineHome:
    """An EngineX or hive home: ``<root>/agents/<agent>/sessions/<session>/``. Read only, and never through a link.

    The root itself, and its folder of agents, may be links: those are their owner's choice.
    """

    kind = "engine"

    def __init__(self, path: Path, zone: tzinfo | None) -> None:
        """*zone* is that of the naive local times in the files; None: the machine's."""
        self.path = path
        self._zone = zone
        self._agents = f"{path}/agents"

    def watch_paths(self) -> list[Path]:
        """The folder of agents; while there is none, the home, so that its coming is noticed."""
        return next(([path] for path in (Path(self._agents), self.path) if path.is_dir()), [])

    def unit_of(self, changed: str) -> str | None:
        """``<agent>/<session>`` of a path below it, unless it lies in a private folder or is a file being replaced."""
        for root in (self._agents, os.path.realpath(self._agents)):
            if changed.startswith(root + "/"):
                return _unit_key(changed[len(root) + 1 :].split("/"))
        return None

    def discover(self) -> Iterator[Unit]:
        """All session folders with their fingerprints.

        Raises:
            OSError: The home, or an agent's folder, cannot be listed; what can be is given first.
        """
        unlisted: OSError | None = None
        for agent in self._agent_names():
            try:
                sessions = self._sessions(agent)
                for name in _folders(sessions):
                    path = f"{sessions}/{name}"
                    yield Unit(f"{agent}/{name}", _fingerprint(path), path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                unlisted = error
        if unlisted is not None:
            raise unlisted

    def fingerprint(self, key: str) -> bytes | None:
        """Of one session folder; None: it is not there."""
        path = self._folder(key)
        return _fingerprint(path) if path else None

    def read(self, key: str, *, now: datetime, seen: Seen | None, looked_at: datetime | None = None) -> Reading:
        """Everything to say about one session now; never raises for what the files hold.

        Raises:
            FileNotFoundError: The folder is not there (any more).
        """
        path = self._folder(key)
        if path is None:
            raise FileNotFoundError(key)
        return reading(Glance(key, path, self._zone, now, seen, looked_at))

    def content(self, checkpoint: CheckpointSeen) -> bytes | None:
        """The whole file, if it still is that of this checkpoint: two visits within a second share a name."""
        folder = self._folder(f"{checkpoint.agent}/{checkpoint.session}")
        if folder is None or "/" in checkpoint.checkpoint or os.path.islink(f"{folder}/checkpoints"):
            return None
        try:
            found = files.document(f"{folder}/checkpoints/{checkpoint.checkpoint}.json")
            if found is None or found.moved:
                return None
            row = shapes.checkpoint_file(found.content)
        except (files.Refused, shapes.Unparsable):
            return None
        return found.content if raw(row.created_at) == checkpoint.created_raw else None

    def check(self) -> Health:
        """Look whether the home is there, readable and what it claims to be, and count what it holds."""
        try:
            signs = _SIGNS.intersection(os.listdir(self.path))
        except FileNotFoundError:
            return _ill("home-missing", "the home folder is not there; is ENGINE_HOME right, is its disk mounted?")
        except NotADirectoryError:
            return _ill("home-not-a-folder", "the home is a file")
        except OSError:
            return _ill("home-unreadable", "the home folder cannot be listed with this account's rights")
        if not signs:
            return _ill("home-not-engine", "nothing in the folder looks like an EngineX home")
        return self._counted()

    def _counted(self) -> Health:
        agents = sessions = refused = 0
        unreadable: list[str] = []
        try:
            names, refused = _sorted_out(self._agents)
        except FileNotFoundError:
            names = []
        except OSError:
            return _ill("home-unreadable", "the folder of agents cannot be listed with this account's rights")
        for agent in names:
            agents += 1
            try:
                found, odd = _sorted_out(self._sessions(agent))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                unreadable.append(agent)
                continue
            sessions += len(found)
            refused += odd
        troubles = []
        if unreadable:
            text = f"{len(unreadable)} agents' sessions cannot be listed with this account's rights, first: {unreadable[0]}"
            troubles.append(Trouble(code="agent-unreadable", line=text[:500]))
        if refused:
            text = f"{refused} folders are links, or have names that cannot be sent, and are passed over"
            troubles.append(Trouble(code="folder-refused", line=text))
        return Health(agents=agents, sessions=sessions, troubles=troubles)

    def _agent_names(self) -> list[str]:
        """An empty home may be the folder that a disk was mounted on: only one that shows a sign has no agents."""
        try:
            return sorted(_folders(self._agents))
        except FileNotFoundError:
            if _SIGNS.intersection(os.listdir(self.path)):
                return []
            raise

    def _sessions(self, agent: str) -> str:
        path = f"{self._agents}/{agent}/sessions"
        if os.path.islink(path):
            raise NotADirectoryError(path)
        return path

    def place(self, key: str) -> str | None:
        """Where that session would be; None: nothing in a home has such a name."""
        agent, _, name = key.partition("/")
        if not (_sendable(agent) and _sendable(name)):
            return None
        return f"{self._agents}/{agent}/sessions/{name}"

    def _folder(self, key: str) -> str | None:
        path = self.place(key)
        try:
            return path if path and stat.S_ISDIR(os.lstat(path).st_mode) else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            return path  # it may be there: reading it will say what is wrong


def _unit_key(parts: list[str]) -> str | None:
    if len(parts) < 3 or parts[1] != "sessions" or not (_sendable(parts[0]) and _sendable(parts[2])):
        return None
    if parts[3:4] and parts[3] in PRIVATE:
        return None
    if parts[-1].endswith((".tmp", ".lock")):
        return None
    return f"{parts[0]}/{parts[2]}"


def _sendable(name: str) -> bool:
    """A folder's name goes out as it is or not at all: two that look alike once cleaned would become one."""
    return bool(name) and name[0] != "." and "/" not in name and redact.plain(name, redact.NAME_MAX) == name


def _folders(path: str) -> Iterator[str]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and _sendable(entry.name):
                yield entry.name


def _sorted_out(path: str) -> tuple[list[str], int]:
    """The folders that are read, and how many are not although they look as if they should be."""
    kept, odd = [], 0
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.is_dir():
                continue
            if not entry.is_symlink() and _sendable(entry.name):
                kept.append(entry.name)
            else:
                odd += entry.name[0] != "."
    return sorted(kept), odd


def _fingerprint(path: str) -> bytes:
    parts = []
    for name in WATCHED:
        try:
            found = os.lstat(path + name)
        except OSError:
            parts.append(_ABSENT)
        else:
            parts.append(_PACKED.pack(found.st_size, found.st_mtime_ns, found.st_ino & 0x7FFF_FFFF_FFFF_FFFF))
    return blake2b(b"".join(parts), digest_size=16).digest()


def _ill(code: str, line: str) -> Health:
    return Health(troubles=[Trouble(code=code, line=line)])
