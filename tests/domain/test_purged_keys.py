"""What a purged tenant has sealed: whoever kept a copy of it opens it with nothing that is there afterwards."""

from contextlib import suppress

import asyncpg
import pytest

from controlplane.db import schema as t
from controlplane.domain import keys
from controlplane.domain.vault import statics
from controlplane.domain.vault.statics import NewStatic
from controlplane.kit import envelope
from controlplane.kit.envelope import NotOpened
from controlplane.kit.ids import text_id
from controlplane.kit.sealing import Place
from controlplane.kit.secret import Secret
from tests.conftest import KEYRING
from tests.domain.test_purges import condemn, purged
from tests.domain.vault.begun import SECRET
from tests.make import SHELL

HUSH = "what the tenant has typed in"

KEYS = """
    SELECT tenant_id::text AS owner, id, kind, subject, master, wrapped FROM data_keys WHERE wrapped IS NOT NULL
    UNION ALL
    SELECT 'platform', id, kind, subject, master, wrapped FROM platform_data_keys WHERE wrapped IS NOT NULL
"""


@pytest.fixture
def typed(db, make):
    async def typed():
        tenant = await make.tenant()
        async with db.tenant(tenant.tenant_id) as tx:
            made = await statics.create(tx, SHELL, SECRET, NewStatic(name="hush", fields={"value": Secret(HUSH)}))
            [row] = await tx.rows(tx.select(t.connections).where(t.connections.c.id == made.id))
        return tenant, row

    return typed


async def materials(admin_url):
    """Every key that can be had of the whole database and of the keyring: data keys, master keys, what signs."""
    connection = await asyncpg.connect(admin_url)
    rows = await connection.fetch(KEYS)
    await connection.close()
    sealing = keys.sealing(KEYRING)
    found = [*KEYRING.keys.values(), KEYRING.pepper]
    for row in rows:
        place = Place(row["owner"], str(row["id"]), row["kind"], row["subject"])
        found.append(await sealing.unwrap(row["master"], place, row["wrapped"]))
    return found


async def opened(admin_url, tenant, row):
    """What they make of a connection's envelope, at its very place."""
    place = (str(tenant.tenant_id), "connections", text_id("con", row["id"]), str(row["cred_version"]), "access")
    found = []
    for material in await materials(admin_url):
        with suppress(NotOpened):
            found.append(envelope.unseal(material, place, row["access_blob"]).decode())
    return found


async def test_what_was_copied_before_is_opened_by_nothing_that_is_there_after(db, typed, admin_url):
    (gone, taken), (stays, others) = await typed(), await typed()
    [before] = await opened(admin_url, gone, taken)
    assert HUSH in before
    await condemn(db, gone)

    await purged(db, gone)

    assert await opened(admin_url, gone, taken) == []
    [still] = await opened(admin_url, stays, others)
    assert HUSH in still
