"""A tenant with something of everything, and what of it is personal."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import Database, TenantTx
from controlplane.db.partitions import Partitions
from controlplane.domain import (
    api_keys,
    assignments,
    commands,
    consumers,
    domains,
    exports,
    groups,
    idempotency,
    invitations,
    people,
    projects,
    quotas,
    roles,
    runtime_keys,
    scim_tokens,
    users,
)
from controlplane.domain.audit import Actor, Personal, checkpoints, retention, streams
from controlplane.domain.budgets import definitions, leasing, notices
from controlplane.domain.budgets.definitions import NewBudget
from controlplane.domain.configs import advancing, documents, effective
from controlplane.domain.configs.documents import Edit, Scope
from controlplane.domain.content import chunks, policies
from controlplane.domain.content.policies import Wish
from controlplane.domain.directory import people as announced
from controlplane.domain.exports import Due
from controlplane.domain.holdings import Holder
from controlplane.domain.idempotency import Answer, Claim
from controlplane.domain.impersonation import requests
from controlplane.domain.impersonation.requests import Wanted
from controlplane.domain.letters import Letterhead
from controlplane.domain.people import Account
from controlplane.domain.scim_tokens import SyncError
from controlplane.domain.sso import connections, identities
from controlplane.domain.sso.connections import NewConnection
from controlplane.domain.sync import cursors, log, recovery
from controlplane.domain.tenants import Tenant
from controlplane.domain.vault import disclosures
from controlplane.domain.vault.disclosures import Who
from controlplane.domain.webhooks import deliveries, endpoints
from controlplane.kit.ids import RuntimeId, new_id, text_id
from controlplane.kit.openid.tokens import Identity
from controlplane.kit.secret import Secret
from runtime_agent.wire import chain
from runtime_agent.wire.budgets import Ask
from runtime_agent.wire.content import Chunk, Content
from runtime_agent.wire.sync import Hello
from tests.conftest import KEYRING
from tests.domain.vault import begun
from tests.logs import Log, checkpoint, run, session
from tests.make import SHELL, Make
from tests.rows import Rows
from tests.runtimes import Joined, join

PEOPLE = ("Annelise Quandt", "Zbigniew Oyelaran")
ANNOUNCED = "Perpetua Lindqvist"
"""By the directory; she has not come in yet."""

MARK = "quandtware"
"""Stands in everything that the tenant has written: slug, project, agent, errors."""

LETTERHEAD = Letterhead(public_url="http://test", pepper=KEYRING.pepper)


class Holdings(Struct, frozen=True):
    tenant: Tenant
    runtime: Joined
    people: list[Account]
    secrets: list[str]

    @property
    def personal(self) -> list[str]:
        """What must not be anywhere any more once the tenant is purged."""
        names = [part for person in (*PEOPLE, ANNOUNCED) for part in person.split()]
        return [MARK, *names, *(person.email for person in self.people), *self.secrets]


async def fill(db: Database, make: Make, slug: str = MARK) -> Holdings:
    """A tenant with rows in every table, whoever of it has written them."""
    tenant = await make.tenant(slug)
    accounts, secrets = await _people(db, tenant), [await make.join_token(tenant, uses=3)]
    boss = Actor(kind="account", id=text_id("acc", accounts[0].id), personal=Personal(email=accounts[0].email))
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.create(tx, SHELL, f"{slug}-dev", f"{slug} dev", "dev")
        _, secret = await api_keys.for_automation(tx, SHELL, KEYRING.pepper, f"key of {slug}")
        await quotas.agree(tx, SHELL, None, {"runtimes": 50})
    secrets += [secret, *await _directory(db, tenant, boss)]
    runtime = await join(db, tenant.tenant_id, project.id)
    async with db.tenant(tenant.tenant_id) as tx:
        _, secret = await runtime_keys.create(tx, boss, KEYRING.pepper, runtime.id)
    secrets.append(secret)
    await _report(db, runtime, slug)
    async with db.tenant(tenant.tenant_id) as tx:
        await policies.decide(tx, SHELL, project.id, Wish(policy="plain"))
        await chunks.check(tx, [Chunk(sha256="ab" * 32, size=5)])
    await _signs_on(db, tenant, boss, accounts[0])
    await _worked_as(db, make, tenant, boss)
    secrets.append(await _listens(db, tenant, boss))
    async with db.tenant(tenant.tenant_id) as tx:
        await begun.fill(tx, slug, runtime.id)
        await _discloses(tx, boss, accounts[0], slug)
        await commands.create(tx, boss, commands.Wanted(kind="rescan", runtime_id=runtime.id, comment=slug))
    await _configures(db, boss, runtime, slug)
    await _budgets(db, boss, runtime, slug)
    await _keeps(db, tenant, boss)
    await _exports(db, tenant, boss)
    return Holdings(tenant, runtime, accounts, secrets)


async def _configures(db: Database, boss: Actor, runtime: Joined, mark: str) -> None:
    """A document with a prompt, which its runtime has been told of."""
    edit = Edit(document={"prompts": {"greeting": {"text": f"We are {mark}"}}}, note=f"for {mark}")
    async with db.tenant(runtime.tenant_id) as tx:
        await documents.create(tx, boss, Scope(), edit)
    async with db.tenant(runtime.tenant_id) as tx:
        await advancing.advance(tx)
    async with db.tenant(runtime.tenant_id) as tx:
        await effective.news(tx, runtime.id)


async def _budgets(db: Database, boss: Actor, runtime: Joined, mark: str) -> None:
    """A budget of which something was leased and used, and a warning."""
    async with db.tenant(runtime.tenant_id) as tx:
        made = await definitions.create(tx, boss, NewBudget(name=f"of {mark}", amount=100, period="day"))
        await leasing.lease(tx, KEYRING, runtime.id, Ask())
        await notices.warn(tx, made, made.current(tx.now), 60)


async def _people(db: Database, tenant: Tenant) -> list[Account]:
    """An owner, and somebody in a group that holds a role of the tenant's own."""
    accounts = []
    for number, name in enumerate(PEOPLE):
        async with db.platform() as platform:
            email = f"{name.lower().replace(' ', '.')}.{tenant.slug}@example.org"
            account = await people.create_account(platform, SHELL, email, name=name)
        accounts.append(account)
        async with db.tenant(tenant.tenant_id) as tx:
            user = await people.add_user(tx, SHELL, account, "viewer" if number else "owner")
    async with db.tenant(tenant.tenant_id) as tx:
        role = await roles.create(tx, SHELL, f"{tenant.slug}-role", ["run:read"], f"of {tenant.slug}")
        group = await groups.create(tx, SHELL, f"{tenant.slug} people", f"of {tenant.slug}")
        await groups.add_member(tx, SHELL, group.id, user.id)
        await assignments.assign(tx, SHELL, Holder("group", group.id), role)
        letter = f"invited.{tenant.slug}@example.org"
        await invitations.create(tx, SHELL, LETTERHEAD, letter, "viewer")
    return accounts


async def _directory(db: Database, tenant: Tenant, boss: Actor) -> list[str]:
    """A directory that has announced somebody, and was refused something. Returns its token."""
    async with db.tenant(tenant.tenant_id) as tx:
        token, secret = await scim_tokens.create(tx, boss, KEYRING.pepper, f"directory of {tenant.slug}")
        actor = Actor(kind="scim-token", id=text_id("scm", token.id))
        address = f"perpetua.{tenant.slug}@example.org"
        whole = {"schemas": [announced.USER], "userName": address, "displayName": ANNOUNCED, "externalId": tenant.slug}
        await announced.announce(tx, actor, whole)
        refused = SyncError(
            id=new_id(tx.now),
            connection_id=token.connection_id,
            occurred_at=tx.now,
            method="POST",
            path="/Users",
            status=409,
            scim_type="uniqueness",
            detail=f"{ANNOUNCED} is there",
            request_id="req_1",
        )
        await scim_tokens.note_error(tx, refused)
    return [secret]


async def _signs_on(db: Database, tenant: Tenant, boss: Actor, account: Account) -> None:
    """A domain, a provider, and somebody who is known there."""
    new = NewConnection(name="x", issuer="https://idp.example", client_id="x", client_secret=Secret("x"))
    async with db.tenant(tenant.tenant_id) as tx:
        await domains.create(tx, boss, f"{tenant.slug}.example")
        connection = await connections.create(tx, boss, new)
        await identities.link(tx, boss, connection, Identity(sub=f"sub-{tenant.slug}"), account.id)


async def _worked_as(db: Database, make: Make, tenant: Tenant, boss: Actor) -> None:
    """An operator who wanted to work as its owner, with a reason that names things."""
    operator = await make.operator()
    asking = Actor(kind="operator", id=text_id("acc", operator.account.id))
    async with db.tenant(tenant.tenant_id) as tx:
        [owner, *_] = await users.suggested(tx, 1)
        wanted = Wanted(user_id=owner.id, reason=f"what hangs at {tenant.slug}?")
        made = await requests.request(tx, asking, operator.account.id, LETTERHEAD.public_url, wanted)
        assert made is not None
        await requests.refuse(tx, boss, made.id)


async def _listens(db: Database, tenant: Tenant, boss: Actor) -> str:
    """A consumer of events, and a webhook with deliveries. Returns the webhook's secret."""
    async with db.tenant(tenant.tenant_id) as tx:
        await consumers.create(tx, boss, f"{tenant.slug}-warehouse", [], after=None)
        webhook, secret = await endpoints.create(tx, boss, f"https://{tenant.slug}.invalid/", description=tenant.slug)
    async with db.tenant(tenant.tenant_id) as tx:
        await deliveries.test(tx, boss, webhook.id)
        await deliveries.fan_out(tx)
    return secret


async def _discloses(tx: TenantTx, boss: Actor, asks: Account, slug: str) -> None:
    """Somebody who wants to read a credential, and says why."""
    who = Who(account_id=asks.id, name=asks.name, public_url=LETTERHEAD.public_url)
    await disclosures.set_policy(tx, boss, "two_people")
    await disclosures.request(tx, boss, who, (await begun.connected(tx)).id, f"{slug} is locked out")


async def _keeps(db: Database, tenant: Tenant, boss: Actor) -> None:
    """An answer to be given again, and what stands beside the audit log: a hold, a signature, a listener."""
    asked = {"principal": f"account {boss.id}", "operation": "POST /v1/x", "key": tenant.slug}
    async with db.tenant(tenant.tenant_id) as tx:
        answer = Answer(status=201, headers={"location": f"/{tenant.slug}"}, body=tenant.slug.encode())
        await idempotency.keep(tx, Claim(**asked, fingerprint=bytes(32)), answer)
        await retention.hold(tx, SHELL, f"{tenant.slug} is in court")
    async with db.tenant(tenant.tenant_id) as tx:
        assert await checkpoints.make(tx, KEYRING)
        await streams.sent(tx, "tls://sink.example:6514", 1)


async def _exports(db: Database, tenant: Tenant, boss: Actor) -> None:
    """An archive that can be fetched: of everything so far."""
    async with db.tenant(tenant.tenant_id) as tx:
        export = await exports.request(tx, boss)
    await exports.write(db, Due(tenant.tenant_id, export.id, export.requested_by))


async def _report(db: Database, runtime: Joined, mark: str) -> None:
    """What a runtime has sent: batches as they came, and rows that stand for what older ones brought."""
    rows = Rows(db)
    await Partitions(db).make_ahead()
    for number in range(3):
        started = db.clock() + timedelta(minutes=number)
        identity = await rows.session(runtime, started, agent=mark, error_line=f"{mark} failed\nat once")
        await rows.run(runtime, identity, started, agent=mark)
        await rows.checkpoint(runtime, identity, started, node=mark)
        await rows.cost(runtime, identity)
        await rows.tail(runtime, identity, mark)
    await rows.agent(runtime, mark)
    await rows.report(runtime, 4, records=1)
    await rows.loss(runtime)
    await rows.refill(runtime)
    writing = await _hello(db, runtime)
    chunk = Chunk(sha256="ab" * 32, size=5)
    content = Content(policy="plain", size=5, digest="cd" * 32, chunks=[chunk])
    writing.write(session(1), run(1), checkpoint(1, content=content))
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
