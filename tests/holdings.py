"""A tenant with something of everything, and what of it is personal."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import api_keys, domains, exports, people, projects
from controlplane.domain.people import Account
from controlplane.domain.sso import connections, identities
from controlplane.domain.sso.connections import NewConnection
from controlplane.domain.sync import cursors, log, recovery
from controlplane.domain.tenants import Tenant
from controlplane.kit.ids import RuntimeId
from controlplane.kit.openid.tokens import Identity
from controlplane.kit.secret import Secret
from runtime_agent.wire import chain
from runtime_agent.wire.sync import Hello
from tests.logs import Log, checkpoint, run, session
from tests.make import SHELL, Make
from tests.rows import Rows
from tests.runtimes import Joined, join

PEOPLE = ("Annelise Quandt", "Zbigniew Oyelaran")
MARK = "quandtware"
"""Stands in everything that the tenant has written: slug, project, agent, errors."""


class Holdings(Struct, frozen=True):
    tenant: Tenant
    runtime: Joined
    people: list[Account]
    secrets: list[str]

    @property
    def personal(self) -> list[str]:
        """What must not be anywhere any more once the tenant is purged."""
        names = [part for person in PEOPLE for part in person.split()]
        return [MARK, *names, *(person.email for person in self.people), *self.secrets]


async def fill(db: Database, make: Make, slug: str = MARK) -> Holdings:
    """A tenant with rows in every table that is filled by what this release does."""
    tenant = await make.tenant(slug)
    accounts, secrets = [], [await make.join_token(tenant, uses=3)]
    for number, name in enumerate(PEOPLE):
        async with db.platform() as platform:
            email = f"{name.lower().replace(' ', '.')}.{slug}@example.org"
            account = await people.create_account(platform, SHELL, email, name=name)
        accounts.append(account)
        async with db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, account, "viewer" if number else "owner")
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.create(tx, SHELL, f"{slug}-dev", f"{slug} dev", "dev")
        _, secret = await api_keys.create(tx, SHELL, bytes(32), f"key of {slug}")
    secrets.append(secret)
    runtime = await join(db, tenant.tenant_id, project.id)
    await _report(db, runtime, slug)
    async with db.tenant(tenant.tenant_id) as tx:
        await exports.discard(tx, SHELL, (await exports.request(tx, SHELL)).id)
    await _signs_on(db, tenant, accounts[0])
    return Holdings(tenant, runtime, accounts, secrets)


async def _signs_on(db: Database, tenant: Tenant, account: Account) -> None:
    """A domain, a provider, and somebody who is known there."""
    new = NewConnection(name="x", issuer="https://idp.example", client_id="x", client_secret=Secret("x"))
    async with db.tenant(tenant.tenant_id) as tx:
        await domains.create(tx, SHELL, f"{tenant.slug}.example")
        connection = await connections.create(tx, SHELL, new)
        await identities.link(tx, SHELL, connection, Identity(sub=f"sub-{tenant.slug}"), account.id)


async def _report(db: Database, runtime: Joined, mark: str) -> None:
    """What a runtime has sent: batches as they came, and rows that stand for what older ones brought."""
    rows = Rows(db)
    await Partitions(db).make_ahead()
    for number in range(7):
        started = db.clock() + timedelta(minutes=number)
        identity = await rows.session(runtime, started, agent=mark, error_line=f"{mark} failed\nat once")
        await rows.run(runtime, identity, started, agent=mark)
        await rows.checkpoint(runtime, identity, started, node=mark)
        await rows.cost(runtime, identity)
    await rows.agent(runtime, mark)
    await rows.report(runtime, 4, records=1)
    await rows.loss(runtime)
    writing = await _hello(db, runtime)
    writing.write(session(1), run(1), checkpoint(1))
    place, body = writing.batch(1, 3)
    partitions = Partitions(db)
    known: set[tuple[str, datetime]] = set()
    while True:
        try:
            async with db.tenant(runtime.tenant_id) as tx:
                cursor = await cursors.lock(tx, RuntimeId(runtime.id))
                assert cursor is not None
                await log.append(tx, runtime.id, cursor, place, body, known)
            return
        except log.PartitionsWanted as wanted:
            await partitions.see_to(wanted.births)
            known |= wanted.births


async def _hello(db: Database, runtime: Joined) -> Log:
    head = chain.origin(runtime.id, 0).hex()
    said = Hello(epoch=0, first_retained=1, last_seq=0, acked=0, head=head, boot_id=UUID(int=1))
    async with db.tenant(runtime.tenant_id) as tx:
        cursor = await cursors.lock(tx, runtime.id)
        assert cursor is not None
        welcome = await recovery.hello(tx, runtime.id, cursor, said, None)
    return Log(runtime.id, welcome.store_id, welcome.epoch)


async def counted(admin_url: str, tenant: Tenant) -> dict[str, int]:
    """How many rows of the tenant each table has, seen by somebody whom nothing is hidden from."""
    connection = await asyncpg.connect(admin_url)
    try:
        return {
            table.name: await connection.fetchval(
                f"SELECT count(*) FROM {table.name} WHERE tenant_id = $1", tenant.tenant_id
            )
            for table in t.TENANTS
        }
    finally:
        await connection.close()


async def dumped(admin_url: str) -> str:
    """Every row of every table of the database, as text: what a stolen dump would show."""
    connection = await asyncpg.connect(admin_url)
    try:
        names = await connection.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class c "
            "WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition"
        )
        rows = [await connection.fetch(f"SELECT to_jsonb(r)::text FROM {row['name']} r") for row in names]
        return "\n".join(record[0] for table in rows for record in table)
    finally:
        await connection.close()
