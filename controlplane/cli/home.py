"""The home folder: where it is, what in it is private, and who runs in it."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from controlplane import settings
from controlplane.cli.problems import Declined
from controlplane.embedded.account import make_folder

Kept = TypeVar("Kept", bound=Struct)


class Running(Struct, frozen=True):
    """Who runs in a home now: written by ``up`` once its database can be used."""

    pid: int
    url: str
    public_url: str
    """What browsers call, by the settings that it was started with."""


def default_home() -> Path:
    """The usual place of this account."""
    return settings.usual_home(os.environ)


class Home:
    """One home folder. ``secrets`` in it is 0700 and every file there 0600, or nothing starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self.logs = folder / "logs"
        self.keyring = self.secrets / "keyring.json"
        self.database = self.secrets / "database.json"
        self.running = self.secrets / "running.json"

    def make(self) -> None:
        """Make what is missing, and refuse what is open to other accounts.

        Raises:
            Declined: With the commands that mend it.
        """
        try:
            make_folder(self.folder, 0o711 if os.geteuid() == 0 else 0o700)
            make_folder(self.secrets, 0o700)
            make_folder(self.logs, 0o700)
        except PermissionError as error:
            raise Declined(f"{error.filename} cannot be made by this account.", "Choose another --home.") from None
        self.check()

    def check(self) -> None:
        """
        Raises:
            Declined: If something private is open to other accounts, or belongs to another one.
        """
        try:
            if mend := self.open_to_others():
                raise Declined(f"{self.secrets} is open to other accounts.", f"Mend it: {' && '.join(mend)}")
        except PermissionError:
            raise Declined(
                f"{self.folder} belongs to another account.", "Work as that account, or give another --home."
            ) from None

    def held_by(self) -> Running | None:
        """The ``up`` that runs here; None if there is none, or only what one that was killed has left."""
        found = kept(self.running, Running)
        if found is None:
            return None
        try:
            os.kill(found.pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:  # another account's
            pass
        return found

    def open_to_others(self) -> list[str]:
        """The commands that close what is open; empty: all is well."""
        if not self.secrets.exists():
            return []
        wide = ["chmod 700 " + str(self.secrets)] if self.secrets.stat().st_mode & 0o077 else []
        files = (path for path in sorted(self.secrets.iterdir()) if path.is_file())
        return wide + [f"chmod 600 {path}" for path in files if path.stat().st_mode & 0o077]


def keep(path: Path, content: Struct) -> None:
    """Replace a private file, whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(content))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def kept(path: Path, kind: type[Kept]) -> Kept | None:
    """What :func:`keep` wrote; None if there is nothing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise Declined(f"{path} cannot be read.", "Restore it from a backup of the home.") from None
