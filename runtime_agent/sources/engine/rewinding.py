"""Bringing a session of an EngineX home back to one of its checkpoints, and taking that back."""

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final, NamedTuple

from runtime_agent.copying import Odd, copied, like
from runtime_agent.sources.acting import Failed
from runtime_agent.sources.engine import files, older
from runtime_agent.sources.engine.home import EngineHome
from runtime_agent.sources.engine.older import Document
from runtime_agent.sources.source import Seen
from runtime_agent.swapping import SHELF, Exchange, Moved, NothingKept, Swap, exchanged, shelf, sync, write_new
from runtime_agent.wire.records import SessionState

KEPT_FOR: Final = timedelta(days=30)
"""What a session was stays that long after it was replaced."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
LOCK: Final = "state.json.lock"
"""Held by the worker of EngineX that has claimed the session."""

CLAIMED: Final = timedelta(seconds=60)
"""How long a worker's claim counts, unless it says it again."""

CONVERSATIONS: Final = "conversations"
"""Of what was said after the checkpoint, which holds none of it: a node that begins anew begins a new one."""


class Sight(NamedTuple):
    """When, and what the agent knew of the session by then."""

    now: datetime
    seen: Seen | None
    though_lost: bool = False
    """Somebody has made sure that a session which looks lost has ended."""


class EngineRewinding:
    """Of one home. Every call may be repeated after it was cut short anywhere, and ends the same.

    The folder of the session is composed anew beside it and takes its place at once; EngineX never sees half of it.
    """

    def __init__(self, home: EngineHome, zone: tzinfo | None, exchange: Exchange = exchanged) -> None:
        """
        Args:
            zone: Of the naive local times in the files; None: the machine's.
            exchange: For tests: a file system that cannot.
        """
        self._home, self._zone, self._exchange = home, zone, exchange

    def done(self, agent: str, session: str, name: str) -> bool:
        """Whether the replacing called *name* has ended."""
        with _told():
            return self._swap(self._place(agent, session), name).done()

    def roll_back(self, agent: str, session: str, checkpoint: tuple[str, bytes], name: str, sight: Sight) -> None:
        """
        Args:
            checkpoint: Its name, and what its file holds.
            name: Of this replacing.

        Raises:
            Failed: If it cannot be; then nothing has changed.
        """
        live = self._place(agent, session)
        at = older.checkpoint(checkpoint[1], checkpoint[0], session)
        swap = self._swap(live, name)
        with _told():
            if swap.done():
                return
            before = self._at_rest(agent, session, sight)
            try:
                swap.begin()
                copied(live, swap.aside, lambda inside: inside.parts[0] != CONVERSATIONS)
                self._compose(live, swap.aside, (at, checkpoint[1]), sight.now)
                self._replace(swap, live, before)
            except (Failed, Odd, OSError):
                if not swap.done():
                    swap.discard()
                    raise

    def undo(self, agent: str, session: str, undone: str, name: str, sight: Sight) -> None:
        """Put back what the replacing called *undone* has kept, as it was; what stands there now is kept in turn.

        Raises:
            Failed: If it cannot be; then nothing has changed.
        """
        live = self._place(agent, session)
        swap = self._swap(live, name)
        with _told():
            if swap.done():
                return
            swap.take(undone)
            try:
                self._replace(swap, live, self._at_rest(agent, session, sight))
            except (Failed, OSError):
                if not swap.done():
                    swap.give_back(undone)
                    raise

    def check(self, agent: str, session: str, sight: Sight) -> None:
        """Whether the session could be changed now.

        Raises:
            Failed: If it runs, may run, or is gone.
        """
        live = self._place(agent, session)
        with _told():
            self._at_rest(agent, session, sight)
            with _held(live / LOCK):
                pass

    def forget(self, now: datetime) -> int:
        """Delete what was kept for so long that nobody takes it back any more; returns how many folders that were."""
        gone, before = 0, (now - KEPT_FOR).timestamp()
        for kept in self._home.path.glob(f"agents/*/sessions/{SHELF}/*/*"):
            linked = any(path.is_symlink() for path in (kept, *list(kept.parents)[:4]))
            if not linked and kept.is_dir() and kept.stat().st_mtime < before:
                shutil.rmtree(kept)
                gone += 1
        return gone

    def _swap(self, live: Path, name: str) -> Swap:
        return Swap(live, name, self._exchange)

    def _place(self, agent: str, session: str) -> Path:
        """Where the session's folder is, or was until it was about to be replaced.

        Raises:
            Failed: If it leads out of the home.
        """
        found = self._home.place(f"{agent}/{session}")
        if found is None:
            raise Failed("path-outside-home", "what it names is no session of the home")
        live = Path(found)
        linked = (live.parent.parent, live.parent, shelf(live).parent, shelf(live), live, live / "checkpoints")
        if any(path.is_symlink() for path in linked):
            raise Failed("path-outside-home", "a link stands where a folder of the home should be")
        return live

    def _at_rest(self, agent: str, session: str, sight: Sight) -> bytes | None:
        """The folder's fingerprint, as long as nobody writes there.

        Raises:
            Failed: If the session runs, may run, or is gone.
        """
        key = f"{agent}/{session}"
        before = self._home.fingerprint(key)
        try:
            reading = self._home.read(key, now=sight.now, seen=sight.seen)
        except FileNotFoundError:
            raise Failed("session-gone", "the session's folder is not there any more") from None
        if reading.open:
            raise Failed("session-running", "the session runs; pause it first")
        if reading.again:
            raise Failed("session-running", "the session's files are being written, or cannot be read")
        states = [draft.record for draft in reading.records if isinstance(draft.record, SessionState)]
        if any(state.status == "lost" for state in states):
            _check_ended(states, sight)
        return before

    def _compose(self, live: Path, aside: Path, checkpoint: tuple[Document, bytes], now: datetime) -> None:
        at, content = checkpoint
        folder, own = aside / "checkpoints", f"{at['checkpoint_id']}.json"
        if not folder.is_dir():
            folder.mkdir()
            like(live, folder)
        for path in folder.glob("cp_*.json"):
            if older.younger(older.document(_read(path)), at):
                path.unlink()
        local = now.astimezone(self._zone).replace(tzinfo=None)
        before = older.document(_read(live / "state.json"))
        rows = older.document(_read(live / "checkpoints/index.json"))
        _put(live, folder / own, content)
        _put(live, folder / "index.json", _json(older.index(rows, at, live.name)))
        _put(live, aside / "state.json", _json(older.state(before, at, live.name, local)))
        sync(folder, aside)

    def _replace(self, swap: Swap, live: Path, before: bytes | None) -> None:
        """
        Raises:
            Failed: If somebody holds the session, or has changed it.
        """
        with _held(live / LOCK):
            if self._home.fingerprint(f"{live.parent.parent.name}/{live.name}") != before:
                raise Failed("session-running", "the session was changed meanwhile")
            swap.replace()


def _check_ended(states: list[SessionState], sight: Sight) -> None:
    """
    Raises:
        Failed: If the process of a session that looks lost is known to live, or nobody has made sure that it does not.
    """
    claims = [state.claimed_at for state in states if state.claimed_at is not None]
    if any(sight.now - claimed_at < CLAIMED for claimed_at in claims):
        raise Failed("session-running", "a worker of EngineX claims the session")
    if not sight.though_lost:
        raise Failed("session-may-run", "the session stopped without an end, which does not prove that its process has")


@contextmanager
def _told() -> Iterator[None]:
    """What the file system says, in words."""
    try:
        yield
    except NothingKept:
        raise Failed("nothing-kept", "what the session was is not kept any more") from None
    except Moved:
        raise Failed("session-moved-on", "somebody else has replaced the session's folder meanwhile") from None
    except Odd:
        raise Failed("session-odd", "something in the session's folder can neither be read nor copied") from None
    except OSError as error:
        if error.errno in FULL:
            raise Failed("disk-full", "there is no room beside the session; nothing was changed") from error
        said = error.strerror or type(error).__name__
        raise Failed("home-unwritable", f"the session's files cannot be replaced: {said}") from error


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    """The lock that workers take who claim the session, where it has one.

    Raises:
        Failed: If somebody has it.
    """
    try:
        handle = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Failed("session-running", "a worker of EngineX holds the session") from None
    finally:
        os.close(handle)


def _read(path: Path) -> bytes:
    """Empty if it is not there, or nothing to be read."""
    with suppress(files.Refused):
        found = files.document(str(path))
        return found.content if found else b""
    return b""


def _put(live: Path, path: Path, content: bytes) -> None:
    """A file as the session's writer would have written it, of now."""
    write_new(path, content)
    found = os.lstat(live / "state.json") if (live / "state.json").exists() else None
    if os.geteuid() == 0:
        owner = os.lstat(live)
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    os.chmod(path, stat.S_IMODE(found.st_mode) if found else 0o644)


def _json(document: Document) -> bytes:
    return json.dumps(document, indent=2).encode()
