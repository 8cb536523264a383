"""Data keys: what personal data and secrets in the database are sealed with, per tenant, kind and subject.

They are random, kept wrapped under a master key, and made when first needed. Destroying one makes everything sealed
with it unreadable, in the tables as in every log and chain that holds its ciphertext.
"""

import secrets
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Table

from controlplane.db import schema as t
from controlplane.db.database import ScopedTx, TenantTx
from controlplane.kit import envelope
from controlplane.kit.envelope import NotOpened
from controlplane.kit.ids import new_id
from controlplane.kit.sealing import DataKey, Sealing

Purpose: TypeAlias = Literal[
    "access",
    "audit-personal",
    "client_secret",
    "id-token",
    "mail",
    "pkce",
    "refresh",
    "sso-secret",
    "totp-seed",
    "webhook-secret",
]
"""What sealed bytes are for. An envelope of one purpose does not open for another."""

KINDS: Final[Mapping[Purpose, str]] = MappingProxyType(
    {
        "access": "access",
        "audit-personal": "personal",
        "client_secret": "refresh",
        "id-token": "session",
        "mail": "mail",
        "pkce": "refresh",
        "refresh": "refresh",
        "sso-secret": "sso",
        "totp-seed": "factor",
        "webhook-secret": "webhook",
    }
)
"""Which kind of data key serves a purpose: what is destroyed, or one day held, apart from the rest."""

STEPS: Final[Mapping[Purpose, int]] = MappingProxyType({"audit-personal": 64})
"""What plaintext is padded to, where it is not the 256 bytes of a secret."""


class Context(Struct, frozen=True):
    """Where the sealed bytes stand: they open nowhere else, and not as an earlier version of the same row."""

    table: str
    row: str
    version: int = 0


class Shredded(LookupError):
    """The key was destroyed on purpose; what was sealed with it is gone for good."""


async def seal(tx: ScopedTx, purpose: Purpose, plaintext: bytes, context: Context, *, subject: str = "") -> bytes:
    """*plaintext*, sealed for this place in the tenant of *tx*, or on the platform.

    Args:
        subject: The person it is about, as shown (``acc_…``), whose data can then be destroyed alone; "" for nobody's.
    """
    key = await _primary(tx, KINDS[purpose], subject)
    step = STEPS.get(purpose, envelope.STEP)
    return envelope.seal(key.id, key.material, _place(tx, purpose, context), plaintext, step=step)


async def unseal(tx: ScopedTx, purpose: Purpose, sealed: bytes, context: Context) -> bytes:
    """
    Raises:
        Shredded: If its key was destroyed.
        NotOpened: If it was not sealed for this purpose, here.
    """
    [plaintext] = await unseal_all(tx, purpose, [(sealed, context)])
    if plaintext is None:
        raise Shredded
    return plaintext


async def unseal_all(tx: ScopedTx, purpose: Purpose, items: Sequence[tuple[bytes, Context]]) -> list[bytes | None]:
    """Many at once, with one question for the keys that are not known; None for what was shredded.

    Raises:
        NotOpened: If one of them was not sealed for this purpose, here.
    """
    keys = await _by_id(tx, {envelope.key_id_of(sealed) for sealed, _ in items})
    opened: list[bytes | None] = []
    for sealed, context in items:
        key = keys[envelope.key_id_of(sealed)]
        opened.append(envelope.unseal(key.material, _place(tx, purpose, context), sealed) if key else None)
    return opened


async def shred(tx: ScopedTx, *, subject: str | None = None) -> int:
    """Destroy the data keys of *subject*, or all that the tenant of *tx* has, and return how many there were.

    This process forgets them at once, others within :data:`controlplane.kit.sealing.REMEMBERED`. A backup still has
    them, under the master key of its time.
    """
    keys = _table(tx)
    living = tx.update(keys).where(keys.c.state != "destroyed")
    if subject is not None:
        living = living.where(keys.c.subject == subject)
    destroyed = await tx.run(living.values(state="destroyed", wrapped=None, destroyed_at=tx.now))
    _sealing(tx).forget(_owner(tx))
    return destroyed


class _Wrapped(Struct, frozen=True):
    id: UUID
    kind: str
    subject: str
    master: str
    wrapped: bytes | None


async def _primary(tx: ScopedTx, kind: str, subject: str) -> DataKey:
    """The key that new data of this *kind* about *subject* is sealed with; made now if there is none."""
    sealing, owner = _sealing(tx), _owner(tx)
    if known := sealing.known(owner, (kind, subject), tx.now):
        return known
    keys = _table(tx)
    wanted = tx.select(keys).where(keys.c.kind == kind, keys.c.subject == subject, keys.c.state == "primary")
    row = await tx.first(_Wrapped, wanted)
    if row is None:
        if made := await _make(tx, kind, subject):
            return made  # not remembered: this transaction may yet fail
        row = await tx.first(_Wrapped, wanted)  # somebody was quicker, and the insert has waited for their commit
        assert row is not None
    key = _unwrapped(tx, row)
    assert key is not None, "a primary key is not destroyed"
    sealing.remember(owner, (kind, subject), key, tx.now)
    return key


async def _make(tx: ScopedTx, kind: str, subject: str) -> DataKey | None:
    keys, sealing = _table(tx), _sealing(tx)
    key = DataKey(new_id(tx.now), secrets.token_bytes(envelope.KEY_BYTES))
    made = await tx.run(
        tx.insert(keys)
        .values(
            id=key.id,
            kind=kind,
            subject=subject,
            master=sealing.current,
            wrapped=sealing.wrap(key, (_owner(tx), str(key.id), kind, subject)),
            state="primary",
            created_at=tx.now,
        )
        .on_conflict_do_nothing()
    )
    return key if made else None


async def _by_id(tx: ScopedTx, wanted: set[UUID]) -> dict[UUID, DataKey | None]:
    """Each of *wanted*; None where it was destroyed, or never was this tenant's."""
    sealing, owner = _sealing(tx), _owner(tx)
    found: dict[UUID, DataKey | None] = {key_id: sealing.known(owner, key_id, tx.now) for key_id in wanted}
    unknown = [key_id for key_id, key in found.items() if key is None]
    if unknown:
        keys = _table(tx)
        for row in await tx.all(_Wrapped, tx.select(keys).where(keys.c.id.in_(unknown)).limit(len(unknown))):
            if key := _unwrapped(tx, row):
                found[key.id] = key
                sealing.remember(owner, key.id, key, tx.now)
    return found


def _unwrapped(tx: ScopedTx, row: _Wrapped) -> DataKey | None:
    if row.wrapped is None:
        return None
    place = (_owner(tx), str(row.id), row.kind, row.subject)
    key = _sealing(tx).unwrap(row.master, place, row.wrapped)
    if key.id != row.id:
        raise NotOpened("wrapped for another row")
    return key


def _place(tx: ScopedTx, purpose: Purpose, context: Context) -> tuple[str, ...]:
    return (_owner(tx), context.table, context.row, str(context.version), purpose)


def _owner(tx: ScopedTx) -> str:
    return str(tx.tenant_id) if isinstance(tx, TenantTx) else "platform"


def _table(tx: ScopedTx) -> Table:
    return t.data_keys if isinstance(tx, TenantTx) else t.platform_data_keys


def _sealing(tx: ScopedTx) -> Sealing:
    assert tx.sealing is not None, "this Database was made without master keys"
    return tx.sealing
