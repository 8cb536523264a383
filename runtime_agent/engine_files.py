"""EngineX's own credential files, ``credentials/credentials/<id>.enc``: what stands in one, whose it is, replacing it.

Each is one Fernet token over the JSON of a credential. Whether a file is ours stands inside it, under the runtime's own
key, so that no crash between two writes can make it unclear.
"""

import errno
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from msgspec import Struct

from runtime_agent.clock import EPOCH
from runtime_agent.leases import Held
from runtime_agent.problems import BadSetting

KEY_VARIABLES: Final = ("ENGINE_CREDENTIAL_KEY", "HIVE_CREDENTIAL_KEY")
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\.[A-Za-z0-9_-]{1,50}){0,5}")
"""What the runtime writes into a file's name as it is."""

OURS: Final = "_runtime_agent"
"""Among the credential's keys, with the runtime's id: this file was written by its agent."""

LEASE: Final = f"{OURS}_lease"
VERSION: Final = f"{OURS}_version"

LARGEST_BYTES: Final = 1 << 20


class KeyUnfit(Exception):
    """The runtime's key is not there, or none."""


class Standing(Struct, frozen=True, kw_only=True):
    """What a file holds, as far as it is ours."""

    lease: str
    version: str
    expires_at: str

    def ends(self) -> datetime:
        """What does not say when it ends has ended."""
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(self.expires_at).astimezone(UTC)
        return EPOCH


NOTHING: Final = Standing(lease="", version="", expires_at="")
"""There is no file."""


def wanted(specs: Sequence[str], root: Path | None) -> dict[Path, str]:
    """Which connection goes into which file, of ``CONNECTION`` or ``CONNECTION=FILE`` each.

    Args:
        root: The runtime's home; None: none is read.

    Raises:
        BadSetting: If one is neither, two would be one file, or there is nowhere to put them.
    """
    found: dict[Path, str] = {}
    for spec in specs:
        name, _, file = spec.rpartition("=") if "=" in spec else (spec, "", spec)
        if root is None:
            raise BadSetting("credential_files: there is no runtime to write for", hint="Add a source engine:PATH.")
        if not name or not ID.fullmatch(file):
            raise BadSetting(f"credential_files: {spec[:200]!r} names no file", hint="Give CONNECTION=FILE.")
        path = path_of(root, file)
        if path in found:
            raise BadSetting(f"credential_files: two of them are the file {file!r}")
        found[path] = name
    return found


class _Key(Struct):
    value: str
    expires_at: str | None = None


class _Credential(Struct):
    keys: dict[str, _Key]


def path_of(root: Path, id_: str) -> Path:
    """Of the credential *id_* in the home *root*."""
    return root / "credentials" / "credentials" / f"{id_}.enc"


def key_of(path: Path, given: str) -> Fernet:
    """The key of the runtime whose file *path* is, from where it looks for it itself. None is ever made here.

    Args:
        given: What stands in its environment: that counts before its file.

    Raises:
        KeyUnfit: If there is none, or it is none.
    """
    try:
        return Fernet((given or (path.parents[2] / "secrets" / "credential_key").read_text(encoding="ascii")).strip())
    except OSError as error:
        raise KeyUnfit(f"the runtime's credential key cannot be read: {error.strerror}") from error
    except ValueError:
        raise KeyUnfit("the runtime's credential key is no Fernet key") from None


def composed(held: Held, id_: str, now: datetime) -> dict[str, Any]:
    """The credential of *held* as the runtime writes it down, with the lease's end as its own.

    Never asked to refresh itself: nobody there could.
    """
    its, bound, at = held.contents, held.lease.bound, _instant(now)
    ends = _instant(held.expires_at)
    secrets = {**({"access_token": its.access_token} if its.access_token else {}), **its.fields}
    facts = {
        "_integration_type": held.lease.provider,
        "_alias": held.lease.name,
        "_identity_account_id": bound.account or "",
        "scope": " ".join(its.scopes),
        OURS: bound.runtime,
        LEASE: bound.lease,
        VERSION: str(bound.cred_version),
    }
    return {
        "id": id_,
        "credential_type": "oauth2" if its.access_token else "api_key",
        "keys": {
            **{name: _key(name, value, ends) for name, value in secrets.items()},
            **{name: _key(name, value, None) for name, value in facts.items() if value},
        },
        "provider_id": None,
        "last_refreshed": at,
        "auto_refresh": False,
        "last_used": None,
        "use_count": 0,
        "description": held.lease.name,
        "tags": ["runtime-agent"],
        "created_at": at,
        "updated_at": at,
    }


def standing_of(held: Held) -> Standing:
    """What a file of *held* says of itself."""
    bound = held.lease.bound
    return Standing(lease=bound.lease, version=str(bound.cred_version), expires_at=_instant(held.expires_at))


def read(path: Path, key: Fernet, runtime: str) -> Standing | None:
    """What stands in a file that the agent of *runtime* wrote; None: it is somebody else's, or cannot be opened.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If it cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    with open(handle, "rb") as file:
        sealed = file.read(LARGEST_BYTES)
    try:
        keys = msgspec.json.decode(key.decrypt(sealed), type=_Credential).keys
    except (InvalidToken, msgspec.MsgspecError):
        return None
    values = {name: each.value for name, each in keys.items()}
    if values.get(OURS) != runtime:
        return None
    ends = next((each.expires_at for each in keys.values() if each.expires_at), "")
    return Standing(lease=values.get(LEASE, ""), version=values.get(VERSION, ""), expires_at=ends)


def write(path: Path, key: Fernet, credential: dict[str, Any]) -> None:
    """Replace *path*, mode 600; a crash leaves the old or the new file, whole.

    Written by root, it is the folder's owner's.

    Raises:
        OSError: If it cannot be.
    """
    sealed, beside = key.encrypt(msgspec.json.encode(credential)), _beside(path)
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(handle, "wb") as file:
        file.write(sealed)
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(handle)
    beside.replace(path)
    _sync(path.parent)


def remove(path: Path) -> None:
    """
    Raises:
        OSError: If it cannot be.
    """
    _beside(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    _sync(path.parent)


def _beside(path: Path) -> Path:
    """Where the next one is written. One name, so that what a crash leaves is found and replaced."""
    return path.with_name(f".{path.name}.runtime-agent")


def _sync(folder: Path) -> None:
    with suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _key(name: str, value: str, expires_at: str | None) -> dict[str, Any]:
    return {"name": name, "value": value, "expires_at": expires_at, "metadata": {}}


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
