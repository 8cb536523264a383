"""Credentials as files, for runtimes that read nothing else: leased, written, renewed ahead of their end, removed at it.

Which files there are stands in the agent's home before the first of them is written: whatever happens to the process,
the next one knows what to remove.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from cryptography.fernet import Fernet
from msgspec import Struct

from runtime_agent import engine_files, home
from runtime_agent.credentials import Asked, Credentials, NoCredential
from runtime_agent.engine_files import NOTHING, KeyUnfit, Standing
from runtime_agent.http import Busy, Refused, Unreachable
from runtime_agent.leases import Held, LeaseForged
from runtime_agent.troubles import Troubles
from runtime_agent.wire.heartbeat import Trouble

LEDGER: Final = "credential-files.json"
PURPOSE: Final = "credential-file"
"""What the leases are asked for with: policies may let a runtime have a credential, and not on its disk."""

LOOK_S: Final = 30.0
"""Between looks, at the most: a file that somebody removed or wrote over is noticed by then."""

SOONEST_S: Final = 1.0
TURNED_AWAY: Final = {401, 403}

Ours: TypeAlias = tuple[Fernet, str]
"""The runtime's key, and what the control plane calls the runtime."""

logger = logging.getLogger(__name__)


class Kept(Struct, frozen=True, kw_only=True):
    """One file that may be there, as the ledger has it."""

    path: str
    name: str
    expires_at: datetime | None = None
    """When what stands in it ends; None: nothing is known to stand there yet."""


class Ledger:
    """Which files were written, in the agent's home."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEDGER
        self.kept: dict[str, Kept] = {each.path: each for each in kept(folder)}

    def note(self, kept: Kept) -> None:
        if self.kept.get(kept.path) != kept:
            self.kept[kept.path] = kept
            self._save()

    def forget(self, path: Path) -> None:
        if self.kept.pop(str(path), None) is not None:
            self._save()

    def _save(self) -> None:
        if not self.kept:
            self._path.unlink(missing_ok=True)
            return
        home.write_whole(self._path, msgspec.json.encode(list(self.kept.values())))


class CredentialFiles:
    """Keeps the files of one home; looks at them again and again."""

    def __init__(self, folder: Path, files: Mapping[Path, str], credentials: Credentials, key: str) -> None:
        """
        Args:
            folder: The agent's home.
            files: Which connection, by name or id, goes into which file.
            key: The runtime's, where it is not in its file.
        """
        self._files, self._credentials, self._key = files, credentials, key
        self._ledger = Ledger(folder)
        self._written: set[Path] = set()
        self._troubles: list[Trouble] = []

    def any(self) -> bool:
        """Whether there is something to keep, or to remove."""
        return bool(self._files or self._ledger.kept)

    async def keep(self, runtime: str, troubles: Troubles) -> float:
        """Look at every file once, and set it right; returns in how many seconds to do so again."""
        self._troubles, waits_s = [], [LOOK_S]
        for path in sorted({*self._files, *map(Path, self._ledger.kept)}):
            try:
                ours = engine_files.key_of(path, self._key), runtime
                waits_s.append(await self._keep(path, ours))
            except KeyUnfit as error:
                self._trouble("credential-key-unfit", str(error))
            except OSError as error:
                line = f"{path.stem}: the file cannot be written: {error.strerror}"
                self._trouble("credential-file-unwritable", line)
        troubles.report("credentials", self._troubles, self._credentials.now())
        return max(SOONEST_S, min(waits_s))

    async def _keep(self, path: Path, ours: Ours) -> float:
        """Seconds until its lease is due."""
        there, held = await asyncio.to_thread(_there, path, *ours), None
        if path in self._files:
            if there is None:
                self._trouble("credential-file-foreign", f"{path.stem}: the file is not the agent's: it is left alone")
            elif (held := await self._leased(path, ours)) is not None:
                await self._write(path, held, ours, there)
                return (held.lease.renew_after - self._credentials.now()).total_seconds()
        over = there is None or (there is not NOTHING and there.ends() <= self._credentials.now())
        if path not in self._files or over:
            await self._remove(path, ours)
        return LOOK_S

    async def _leased(self, path: Path, ours: Ours) -> Held | None:
        """What is to stand in the file now; None: nothing new is to be had, and what may not stay is gone."""
        asked = Asked(name=self._files[path], purpose=PURPOSE)
        if path in self._written and not self._credentials.holds(asked):
            await self._remove(path, ours)  # revoked; should we be let have it again, that is another lease
        try:
            return await self._credentials.get(asked)
        except (NoCredential, LeaseForged) as error:
            self._trouble("credential-not-had", f"{path.stem}: {error}")
        except Refused as refused:
            self._trouble("credential-not-had", f"{path.stem}: {refused}")
            if refused.problem.status not in TURNED_AWAY:
                return None
        except (Unreachable, Busy):
            return None  # what stands there serves until its end
        await self._remove(path, ours)
        return None

    async def _write(self, path: Path, held: Held, ours: Ours, there: Standing) -> None:
        name = self._files[path]
        if there != engine_files.standing_of(held):
            self._ledger.note(self._ledger.kept.get(str(path)) or Kept(path=str(path), name=name))
            credential = engine_files.composed(held, path.stem, self._credentials.now())
            await asyncio.to_thread(engine_files.write, path, ours[0], credential)
            logger.info("credential-file.written: %s until %s", path.stem, held.expires_at)
        self._ledger.note(Kept(path=str(path), name=name, expires_at=held.expires_at))
        self._written.add(path)

    async def _remove(self, path: Path, ours: Ours) -> None:
        if str(path) not in self._ledger.kept:
            return
        await asyncio.to_thread(take_away, path, *ours)
        self._ledger.forget(path)
        self._written.discard(path)
        logger.info("credential-file.removed: %s", path.stem)

    def _trouble(self, code: str, line: str) -> None:
        self._troubles.append(Trouble(code=code, line=line[:500]))


def take_away(path: Path, key: Fernet, runtime: str) -> None:
    """Remove *path* if the agent of *runtime* wrote it; whatever else stands there by now stays.

    Raises:
        OSError: If it cannot be.
    """
    if _there(path, key, runtime) is not None:
        engine_files.remove(path)


def take_all_away(folder: Path, runtime: str, key: str) -> int:
    """Remove every file that the agent of the home *folder* wrote, and return how many could not be."""
    ledger, left = Ledger(folder), 0
    for path in list(map(Path, ledger.kept)):
        try:
            take_away(path, engine_files.key_of(path, key), runtime)
            ledger.forget(path)
        except (OSError, KeyUnfit):
            left += 1
    return left


def kept(folder: Path) -> list[Kept]:
    """What the ledger in the agent's home says."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((folder / LEDGER).read_bytes(), type=list[Kept])
    return []


def _there(path: Path, key: Fernet, runtime: str) -> Standing | None:
    """What stands there; None: it is not ours."""
    try:
        return engine_files.read(path, key, runtime)
    except FileNotFoundError:
        return NOTHING
