"""What ``controlplane checkpoint`` reads: the same as the API does, in the same audit log."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from controlplane.cli.problems import Declined
from controlplane.cli.reach import settings_of, with_database
from controlplane.cli.shell import parsed, shell, tenant_id
from controlplane.db.database import Database
from controlplane.domain import checkpoints
from controlplane.domain.content import comparing, reading
from controlplane.domain.content.differences import Difference
from controlplane.domain.content.reading import Manifest, Part
from controlplane.domain.keys import Keyring
from controlplane.kit.blobs import Blobs
from controlplane.kit.ids import TenantId

Result = TypeVar("Result")


def exported(home: Path, tenant: str, identity: str) -> bytes:
    """The checkpoint's file, or its sealed parts."""

    async def work(db: Database, blobs: Blobs) -> bytes:
        chain = await tenant_id(db, tenant)
        name, manifest, parts = await _found(db, chain, identity)
        if manifest.policy == "sealed":
            return await reading.sealed(blobs, chain, manifest, parts, name)
        return await reading.document(blobs, chain, manifest, parts)

    return _with_blobs(home, work)


def compared(home: Path, tenant: str, before: str, after: str) -> list[Difference]:
    """The first thousand differences."""

    async def work(db: Database, blobs: Blobs) -> list[Difference]:
        chain = await tenant_id(db, tenant)
        async with db.tenant(chain) as tx:
            first, second = [(await checkpoints.get(tx, parsed("cp", each))).id for each in (before, after)]
            both = await comparing.pair(tx, shell(), first, second)
        return list((await comparing.compared(blobs, chain, both)).differences)

    return _with_blobs(home, work)


def write_new(path: Path, content: bytes) -> None:
    """
    Raises:
        Declined: If something is there, or it cannot be written.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise Declined(f"{path}: {error.strerror}.", "Name a file that is not there yet.") from None


async def _found(db: Database, chain: TenantId, identity: str) -> tuple[str, Manifest, list[Part]]:
    """The source's own name of it, and what it is made of."""
    async with db.tenant(chain) as tx:
        found = await checkpoints.get(tx, parsed("cp", identity))
        manifest, parts = await reading.taken_out(tx, shell(), found.id)
    return found.source_id, manifest, parts


def _with_blobs(home: Path, work: Callable[[Database, Blobs], Awaitable[Result]]) -> Result:
    async def run(db: Database, _: Keyring) -> Result:
        return await work(db, Blobs(settings_of(home).blob_url, os.environ))

    return with_database(home, run)
