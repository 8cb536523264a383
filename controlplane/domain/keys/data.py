"""Data keys: what personal data and secrets in the database are sealed with, per tenant, kind and subject.

They are random, kept wrapped under a master key, and made when first needed. Destroying one makes everything sealed
with it unreadable, in the tables as in every log and chain that holds its ciphertext.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Table

from controlplane.db import schema as t
from controlplane.db.database import ScopedTx, TenantTx
from controlplane.domain.keys import masters
from controlplane.kit import envelope
from controlplane.kit.ids import new_id
from controlplane.kit.problems import Refusal
from controlplane.kit.sealing import DataKey, KeeperDown, Place, Sealing

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


FIXED: Final = frozenset({"personal"})
"""Kinds whose envelopes are hashed where they stand: their data keys are wrapped anew, and never replaced."""

HELD: Final = frozenset({"access", "refresh"})
"""Kinds that are not unwrapped while their tenant is suspended: what opens doors outside."""


EVICTION: Final = "keys"
"""Nudged when something should not be remembered any more; who misses it looks by itself."""


class Context(Struct, frozen=True):
    """Where the sealed bytes stand: they open nowhere else, and not as an earlier version of the same row."""

    table: str
    row: str
    version: int = 0


class Shredded(LookupError):
    """The key was destroyed on purpose; what was sealed with it is gone for good."""


class TenantSealed(Refusal):
    """The tenant is suspended: its credentials are not unwrapped by anybody until it is resumed."""

    code, status, title = "tenant-sealed", 403, "The credentials of a suspended tenant stay sealed"
    hint = "They open again when an operator resumes the tenant. Nothing of them is lost."


async def seal(tx: ScopedTx, purpose: Purpose, plaintext: bytes, context: Context, *, subject: str = "") -> bytes:
    """*plaintext*, sealed for this place in the tenant of *tx*, or on the platform.

    Args:
        subject: The person it is about, as shown (``acc_…``), whose data can then be destroyed alone; "" for nobody's.
    """
    key = await primary(tx, KINDS[purpose], subject)
    step = STEPS.get(purpose, envelope.STEP)
    return envelope.seal(key.id, key.material, _place(tx, purpose, context), plaintext, step=step)


async def unseal(tx: ScopedTx, purpose: Purpose, sealed: bytes, context: Context) -> bytes:
    """
    Raises:
        Shredded: If its key was destroyed.
        NotOpened: If it was not sealed for this purpose, here.
        TenantSealed: If it is a credential of a suspended tenant.
        KeeperDown: If the master keys cannot be used now.
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
    keys = await by_id(tx, {envelope.key_id_of(sealed) for sealed, _ in items})
    opened: list[bytes | None] = []
    for sealed, context in items:
        key = keys[envelope.key_id_of(sealed)]
        opened.append(envelope.unseal(key.material, _place(tx, purpose, context), sealed) if key else None)
    return opened


def unseal_at_hand(
    sealing: Sealing, tenant_id: UUID, purpose: Purpose, sealed: bytes, context: Context, now: datetime
) -> bytes | None:
    """As :func:`unseal`, with what this process remembers and without a transaction; None: it does not know the key.

    Raises:
        NotOpened: If it was not sealed for this purpose, here.
    """
    key = sealing.known(str(tenant_id), envelope.key_id_of(sealed), now)
    if key is None:
        return None
    place = (str(tenant_id), context.table, context.row, str(context.version), purpose)
    return envelope.unseal(key.material, place, sealed)


def reseal(tx: ScopedTx, purpose: Purpose, sealed: bytes, context: Context, old: DataKey, new: DataKey) -> bytes:
    """What is in *sealed*, in an envelope under another key. Nobody gets to see it.

    Raises:
        NotOpened: If it was not sealed for this purpose, here, with *old*.
    """
    place = _place(tx, purpose, context)
    step = STEPS.get(purpose, envelope.STEP)
    return envelope.seal(new.id, new.material, place, envelope.unseal(old.material, place, sealed), step=step)


async def shred(tx: ScopedTx, *, subject: str | None = None) -> int:
    """Destroy the data keys of *subject*, or all that the tenant of *tx* has, and return how many there were.

    This process forgets them at once, others within :data:`controlplane.kit.sealing.REMEMBERED`. A backup still has
    them, under the master key of its time.
    """
    keys = table_of(tx)
    living = tx.update(keys).where(keys.c.state != "destroyed")
    if subject is not None:
        living = living.where(keys.c.subject == subject)
    destroyed = await tx.run(living.values(state="destroyed", wrapped=None, destroyed_at=tx.now))
    sealing_of(tx).forget(owner_of(tx))
    return destroyed


class _Wrapped(Struct, frozen=True):
    id: UUID
    kind: str
    subject: str
    master: str
    wrapped: bytes | None


class _Tenant(Struct, frozen=True):
    status: str


async def make(tx: ScopedTx, kind: str, subject: str) -> DataKey | None:
    """A new primary key of this *kind* about *subject*; None if there is one already."""
    table, sealing = table_of(tx), sealing_of(tx)
    key = DataKey(new_id(tx.now), secrets.token_bytes(envelope.KEY_BYTES))
    master = await masters.wrapping(tx, sealing)
    wrapped = await sealing.wrap(master, Place(owner_of(tx), str(key.id), kind, subject), key.material)
    made = await tx.run(
        tx.insert(table)
        .values(
            id=key.id,
            kind=kind,
            subject=subject,
            master=master,
            wrapped=wrapped,
            state="primary",
            created_at=tx.now,
        )
        .on_conflict_do_nothing()
    )
    return key if made else None


async def by_id(tx: ScopedTx, wanted: set[UUID], *, though_suspended: bool = False) -> dict[UUID, DataKey | None]:
    """Each of *wanted*; None where it was destroyed, or never was this tenant's.

    Args:
        though_suspended: For who only seals anew, and shows nobody what is inside.

    Raises:
        TenantSealed: If one of them is held, and the tenant suspended.
    """
    sealing, owner = sealing_of(tx), owner_of(tx)
    found: dict[UUID, DataKey | None] = {key_id: sealing.known(owner, key_id, tx.now) for key_id in wanted}
    unknown = [key_id for key_id, key in found.items() if key is None]
    if unknown:
        table = table_of(tx)
        for row in await tx.all(_Wrapped, tx.select(table).where(table.c.id.in_(unknown)).limit(len(unknown))):
            if row.wrapped is not None:
                found[row.id] = await _unwrapped(tx, row, though_suspended)
    return found


async def primary(tx: ScopedTx, kind: str, subject: str, *, though_suspended: bool = False) -> DataKey:
    """The key that new data of this *kind* about *subject* is sealed with; made now if there is none.

    Its row is locked against being destroyed until *tx* has ended: what was sealed and is not committed yet cannot be
    seen by whoever looks whether anything still names it. Fixed kinds are not destroyed that way, and are remembered.
    """
    sealing, owner = sealing_of(tx), owner_of(tx)
    if kind in FIXED and (known := sealing.known(owner, (kind, subject), tx.now)):
        return known
    table = table_of(tx)
    wanted = tx.select(table).where(table.c.kind == kind, table.c.subject == subject, table.c.state == "primary")
    if kind not in FIXED:
        wanted = wanted.with_for_update(read=True, key_share=True)
    row = await tx.first(_Wrapped, wanted)
    if row is None:
        if made := await make(tx, kind, subject):
            return made  # not remembered: this transaction may yet fail
        row = await tx.first(_Wrapped, wanted)  # somebody was quicker, and the insert has waited for their commit
        assert row is not None
    key = sealing.known(owner, row.id, tx.now) or await _unwrapped(tx, row, though_suspended)
    if kind in FIXED:
        sealing.remember(owner, (kind, subject), key, tx.now, kind)
    return key


async def _unwrapped(tx: ScopedTx, row: _Wrapped, though_suspended: bool) -> DataKey:
    """The key of *row*, and remembered; an older memory of it serves while its keeper does not answer."""
    assert row.wrapped is not None, "asked by the caller"
    if row.kind in HELD and not though_suspended:
        await _refuse_suspended(tx)
    sealing, owner = sealing_of(tx), owner_of(tx)
    place = Place(owner, str(row.id), row.kind, row.subject)
    try:
        key = DataKey(row.id, await sealing.unwrap(row.master, place, row.wrapped))
    except KeeperDown:
        if remembered := sealing.known(owner, row.id, tx.now, grace=True):
            return remembered
        raise
    sealing.remember(owner, row.id, key, tx.now, row.kind)
    return key


async def _refuse_suspended(tx: ScopedTx) -> None:
    if not isinstance(tx, TenantTx):
        return
    tenant = await tx.first(_Tenant, tx.select(t.tenants))
    if tenant is not None and tenant.status == "suspended":
        raise TenantSealed


def _place(tx: ScopedTx, purpose: Purpose, context: Context) -> tuple[str, ...]:
    return (owner_of(tx), context.table, context.row, str(context.version), purpose)


def owner_of(tx: ScopedTx) -> str:
    """Whose data keys *tx* has: the tenant's UUID, or ``platform``."""
    return str(tx.tenant_id) if isinstance(tx, TenantTx) else "platform"


def table_of(tx: ScopedTx) -> Table:
    """Where they are kept."""
    return t.data_keys if isinstance(tx, TenantTx) else t.platform_data_keys


def sealing_of(tx: ScopedTx) -> Sealing:
    assert tx.sealing is not None, "this Database was made without master keys"
    return tx.sealing
