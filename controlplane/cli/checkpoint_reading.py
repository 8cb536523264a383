"""What ``controlplane checkpoint`` reads, and asks for: the same as the API does, in the same audit log."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from controlplane.cli.options import instant
from controlplane.cli.problems import Declined
from controlplane.cli.reach import settings_of, with_database
from controlplane.cli.shell import every, parsed, shell, tenant_id, within
from controlplane.db.database import Database, TenantTx
from controlplane.domain import checkpoints, commands, sessions
from controlplane.domain.checkpoints import Checkpoint
from controlplane.domain.commands import Command, Wanted
from controlplane.domain.content import comparing, reading
from controlplane.domain.content.differences import Difference
from controlplane.domain.content.reading import Manifest, Part
from controlplane.domain.keys import Keyring
from controlplane.kit.blobs import Blobs
from controlplane.kit.ids import TenantId, text_id

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


def listed(home: Path, tenant: str, session: str, node: str) -> list[dict[str, object]]:
    """All of a session, newest first."""

    async def work(tx: TenantTx, _: Keyring) -> list[dict[str, object]]:
        its = (await sessions.get(tx, parsed("ses", session))).id

        def page(*, after: UUID | None, limit: int) -> Awaitable[list[Checkpoint]]:
            wanted = checkpoints.Filters(session_id=its, node=node or None)
            return checkpoints.listing(tx, wanted, before=after, limit=limit)

        rows = await every(page, lambda row: row.id)
        found = await reading.standings(tx, tx.tenant_id, [row.id for row in rows])
        return [_row(row, found[row.id].state if row.id in found else None) for row in rows]

    return within(home, tenant, work)


def asked(home: Path, tenant: str, identity: str, kind: str, **said: Any) -> Command:
    """A command of *kind* to the runtime whose session the checkpoint is of.

    Args:
        said: More of what is :class:`Wanted`.
    """

    async def work(tx: TenantTx, _: Keyring) -> Command:
        found = await checkpoints.get(tx, parsed("cp", identity))
        wanted = Wanted(kind=kind, session_id=found.session_id, checkpoint_id=found.id, **said)
        return await commands.create(tx, shell(), wanted)

    return within(home, tenant, work)


def _row(row: Checkpoint, content: str | None) -> dict[str, object]:
    return {
        "id": text_id("cp", row.id),
        "source": row.source_id,
        "kind": row.type,
        "node": row.node,
        "next_node": row.next_node,
        "created_at": instant(row.created_at),
        "content": content,
    }


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
