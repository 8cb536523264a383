"""The spool: new tokens that the database would not take, sealed on disk until it does.

Each file has a key of its own, which stands in it sealed with the tenant's: whoever has the disk has nothing.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import keys
from controlplane.domain.vault.asking import Question, spooled
from controlplane.domain.vault.intents import Intent
from controlplane.domain.vault.keeping import Got
from controlplane.kit import envelope
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.secret import Secret

FOLDER: Final = "refresh-spool"
SUFFIX: Final = ".sealed"


class Parcel(Struct, frozen=True, kw_only=True):
    """One file."""

    tenant_id: TenantId
    intent: Intent
    """Without what it has sealed."""
    key: bytes
    box: bytes


class _Inside(Struct, frozen=True, kw_only=True):
    """As :class:`~controlplane.domain.vault.keeping.Got`, readable."""

    access: str
    scheme: str
    refresh: str | None
    access_exp: datetime | None
    refresh_exp: datetime | None
    scopes: list[str]
    facts: dict[str, str]


class NoSpool(Exception):
    """There is no home to put anything."""


class Spool:
    """In one process's home. Processes that share a home share it, and a file that two read is kept once."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def put(self, tenant_id: TenantId, intent: Intent, question: Question, new: Got) -> Path:
        """Have it on disk when this returns.

        Raises:
            NoSpool, OSError: If it cannot be.
        """
        if self._folder is None:
            raise NoSpool
        place = _place(tenant_id, intent)
        box = envelope.seal(_NO_ID, question.spool_key, place, msgspec.json.encode(_readable(new)))
        bare = msgspec.structs.replace(intent, access_blob=None, refresh_blob=None)
        parcel = Parcel(tenant_id=tenant_id, intent=bare, key=question.spool_key_blob, box=box)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{text_id('con', intent.id)}-{intent.cred_version}-{intent.fence}{SUFFIX}"
        return _written(self._folder / name, msgspec.json.encode(parcel))

    def holds(self, intent: Intent) -> bool:
        """Whether what follows the intent's version is here already, and only has to be kept."""
        if self._folder is None:
            return False
        return any(self._folder.glob(f"{text_id('con', intent.id)}-{intent.cred_version}-*{SUFFIX}"))

    def waiting(self) -> list[Path]:
        """The oldest first."""
        if self._folder is None:
            return []
        return sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda file: (file.stat().st_mtime_ns, file.name))


def read(file: Path) -> Parcel:
    return msgspec.json.decode(file.read_bytes(), type=Parcel)


async def opened(tx: TenantTx, parcel: Parcel) -> Got:
    """
    Raises:
        NotOpened: If it is not what was put there.
        Shredded: If the tenant's key was destroyed.
    """
    context = spooled(parcel.intent.id, parcel.intent.cred_version)
    key = await keys.unseal(tx, "refresh", parcel.key, context)
    plain = envelope.unseal(key, _place(parcel.tenant_id, parcel.intent), parcel.box)
    inside = msgspec.json.decode(plain, type=_Inside)
    secrets = {"access": Secret(inside.access), "refresh": Secret(inside.refresh) if inside.refresh else None}
    return Got(**{**msgspec.structs.asdict(inside), **secrets})


_NO_ID: Final = UUID(int=0)
"""The key stands beside it."""


def _readable(new: Got) -> _Inside:
    return _Inside(
        access=new.access.reveal(),
        scheme=new.scheme,
        refresh=new.refresh.reveal() if new.refresh else None,
        access_exp=new.access_exp,
        refresh_exp=new.refresh_exp,
        scopes=list(new.scopes),
        facts=dict(new.facts),
    )


def _place(tenant_id: TenantId, intent: Intent) -> tuple[str, ...]:
    return (FOLDER, text_id("ten", tenant_id), text_id("con", intent.id), str(intent.cred_version), str(intent.fence))


def _written(file: Path, content: bytes) -> Path:
    draft = file.with_name(f".{file.name}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened_draft:
        opened_draft.write(content)
        opened_draft.flush()
        os.fsync(descriptor)
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file
