"""Tombstones: what keeps a purged tenant away when a backup from before its purge is restored.

A certificate is kept in the database and, because a restore takes that back as well, in a folder beside it. Before a
server answers anybody, both are made equal: a tenant that came back with a backup is purged again.
"""

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import Database, TenantTx
from controlplane.domain import audit, certificates, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.certificates import Certificate, CertificateInvalid
from controlplane.domain.keys import Keyring
from controlplane.kit.ids import TenantId, parse_id
from controlplane.kit.problems import NotFound

FOLDER: Final = "tombstones"
"""In the home."""


class _Stone(Struct, frozen=True):
    certificate: dict[str, object]


async def known(db: Database) -> list[Certificate]:
    """Those in the database."""
    async with db.platform() as tx:
        stones = await tx.all(_Stone, tx.select(t.tombstones).order_by(t.tombstones.c.tenant))
    return [msgspec.convert(stone.certificate, Certificate) for stone in stones]


def kept(folder: Path) -> list[Certificate]:
    """Those in *folder*; none if there is no such folder.

    Raises:
        CertificateInvalid: If a file there is no certificate, by its name.
    """
    return [read(path) for path in sorted(folder.glob("ten_*.json"))]


def read(path: Path) -> Certificate:
    """
    Raises:
        CertificateInvalid: If there is no certificate in it, by its name.
    """
    try:
        return certificates.parse(path.read_bytes())
    except OSError as error:
        raise CertificateInvalid(f"{path}: {error.strerror}") from error
    except CertificateInvalid as invalid:
        raise CertificateInvalid(f"{path}: {invalid.detail}") from invalid


def keep(folder: Path, stones: Iterable[Certificate]) -> int:
    """Write what *folder* does not have yet, each whole or not at all. Returns how many."""
    written = 0
    for stone in stones:
        path = folder / f"{stone.facts.tenant}.json"
        if path.exists():
            continue
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(stone.encoded())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        written += 1
    return written


async def apply(db: Database, keyring: Keyring, actor: Actor, stones: Iterable[Certificate]) -> list[TenantId]:
    """Have every tenant purged again that one of *stones* says was purged. Returns those that had come back.

    From then on nobody is served there; the purge itself is the chore's.

    Raises:
        CertificateInvalid: If one of them was not signed by us; then none of them counts.
    """
    stones = list(stones)
    for stone in stones:
        certificates.check_ours(stone, keyring)
    returned = []
    for stone in stones:
        identity = parse_id("ten", stone.facts.tenant)
        assert identity is not None, "we have signed it"
        tenant_id = TenantId(identity)
        await _remember(db, actor, tenant_id, stone)
        async with db.tenant(tenant_id) as tx:
            if await _condemn(tx, actor):
                returned.append(tenant_id)
    return returned


async def _remember(db: Database, actor: Actor, tenant_id: TenantId, stone: Certificate) -> None:
    async with db.platform() as tx:
        if await tx.first(_Stone, tx.select(t.tombstones).where(t.tombstones.c.tenant == tenant_id)):
            return
        row = {"tenant": tenant_id, "purged_at": tx.now, "certificate": msgspec.to_builtins(stone)}
        if await tx.run(tx.insert(t.tombstones).values(**row).on_conflict_do_nothing(index_elements=["tenant"])):
            audit.record(tx, actor, "tombstone.restored", ("tenant", stone.facts.tenant))


async def _condemn(tx: TenantTx, actor: Actor) -> bool:
    try:
        tenant = await tenants.get(tx)
    except NotFound:
        return False
    if tenant.status in tenants.GONE:
        return False
    if tenant.status == "pending_deletion":
        await tenants.undelete(tx, actor)
    await tenants.delete(tx, actor, timedelta())
    await tenants.begin_purge(tx, actor)
    return True
