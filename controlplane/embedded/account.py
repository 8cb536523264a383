"""Under which account PostgreSQL runs, and how programs are run under it."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from controlplane.embedded.problems import Unavailable

LOCALE = "C.UTF-8" if sys.platform == "linux" else "C"


class Account(NamedTuple):
    """Whom root becomes to run PostgreSQL."""

    name: str
    uid: int
    gid: int


def choose(data: Path) -> Account | None:
    """None for an ordinary user, who runs PostgreSQL as himself; for root the owner of *data*, else a known account.

    The owner comes first: data made under ``nobody`` stays with it when an account ``postgres`` turns up later.

    Raises:
        Unavailable: As root on a machine with neither ``postgres`` nor ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError, KeyError):
        if owner := data.stat().st_uid:
            return _account(pwd.getpwuid(owner))
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return _account(pwd.getpwnam(name))
    raise Unavailable("running as root, and there is neither an account 'postgres' nor 'nobody' to run PostgreSQL")


def run(account: Account | None, words: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end under *account*; the caller looks at the exit status.

    Raises:
        OSError: If it cannot be run at all, as where the account may not pass a folder above it.
    """
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment(),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def environment() -> dict[str, str]:
    """This process's environment without what would steer PostgreSQL, speaking English and UTC."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": LOCALE, "TZ": "UTC"}


def make_folder(folder: Path, mode: int) -> None:
    """Make *folder* and what is missing above it, each with exactly *mode*; what is there already stays as it is."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        place.chmod(mode)  # mkdir's own mode is cut by the umask


def _account(found: pwd.struct_passwd) -> Account:
    return Account(found.pw_name, found.pw_uid, found.pw_gid)
