import asyncio
from datetime import timedelta

import msgspec
import pytest

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import audit, keys, mails, recovery, rotations, tenants, totp
from controlplane.domain.keys import Context, Keyring, Shredded, masters
from controlplane.domain.letters import Letter
from controlplane.domain.rotations import RotationOpen, resealing
from controlplane.domain.sso import connections, entries
from controlplane.domain.vault import apps, intents, keeping, sealed
from controlplane.domain.vault.apps import NewApp
from controlplane.domain.vault.keeping import Got, Rules
from controlplane.domain.vault.pace import Pace
from controlplane.domain.vault.sealed import Proof
from controlplane.domain.webhooks import endpoints
from controlplane.kit import envelope
from controlplane.kit.envelope import NotOpened
from controlplane.kit.oauth.dialect import Refreshing
from controlplane.kit.secret import Secret
from tests.conftest import KEYRING
from tests.domain.vault import begun
from tests.make import SHELL
from tests.waiting import until_it_waits

BOTH = Keyring(current="test", keys={**KEYRING.keys, "new": bytes([7] * 32)}, pepper=KEYRING.pepper, wrapping="new")
ONLY_NEW = Keyring(current="new", keys={"new": bytes([7] * 32)}, pepper=KEYRING.pepper)
REST = timedelta(minutes=1)
URL = "https://hooks.example.com/in"


@pytest.fixture
async def rotating(app_url, clock):
    """A replica whose keyring has a new key that is to wrap."""
    db = Database(app_url, clock, sealing=keys.sealing(BOTH))
    yield db
    await db.close()


@pytest.fixture
async def holder(db, make, clock):
    """A tenant with a webhook, made before anybody asks for a rotation."""
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await endpoints.create(tx, SHELL, URL)
    clock.forward(timedelta(seconds=1))
    return tenant, made


async def asked(db, kind, tenant=None, due_at=None):
    async with db.scoped(tenant.tenant_id if tenant else None) as tx:
        return (await rotations.ask(tx, SHELL, kind, due_at)).id


async def go_on(db, rotation_id, rest=REST):
    """Until it ends or rests; the steps it went through."""
    return [each.step async for each in rotations.go_on(db, db.sealing, SHELL, rotation_id, rest)]


async def to_the_end(db, clock, rotation_id):
    await go_on(db, rotation_id)
    clock.forward(REST)
    await go_on(db, rotation_id)
    async with db.platform() as tx:
        return await rotations.get(tx, rotation_id)


async def letter(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await mails.write(tx, "greeting", Letter(to="ann@example.com"))
        tx.audited = True


async def rows(db, table, tenant=None):
    async with db.scoped(tenant.tenant_id if tenant else None) as tx:
        return await tx.rows(tx.select(table))


async def states(db, tenant, kind="webhook"):
    async with db.tenant(tenant.tenant_id) as tx:
        found = await tx.rows(tx.select(t.data_keys).where(t.data_keys.c.kind == kind).order_by(t.data_keys.c.id))
    return [row["state"] for row in found]


async def secret(db, tenant, webhook_id):
    async with db.tenant(tenant.tenant_id) as tx:
        return (await endpoints.secrets_of(tx, [webhook_id]))[webhook_id]


async def actions(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        found = await tx.rows(tx.select(t.audit_events).order_by(t.audit_events.c.seq))
    return [row["action"] for row in found if row["action"].startswith("keys.")]


async def test_data_keys_are_wrapped_under_the_new_master_key_and_the_old_one_retires(db, rotating, holder, app_url):
    tenant, (webhook, plain) = holder
    async with db.platform() as tx:
        await mails.write(tx, "greeting", Letter(to="ann@example.com"))
        tx.audited = True

    rotation_id = await asked(rotating, "master")
    steps = await go_on(rotating, rotation_id)

    assert steps[-1] == "done"
    async with db.operator() as look:
        assert {row.master for row in await masters.named_in(look)} == {"new"}
    async with db.platform() as tx:
        assert {master.name: master.state for master in await masters.listing(tx)} == {
            "new": "current",
            "test": "retired",
        }
        assert (await rotations.get(tx, rotation_id)).percent == 100
    only_new = Database(app_url, sealing=keys.sealing(ONLY_NEW))
    assert await secret(only_new, tenant, webhook.id) == [plain]
    await only_new.close()
    assert await actions(db, tenant) == ["keys.rewrapped"]


async def test_a_master_key_that_is_not_at_hand_stops_it_and_nothing_is_lost(db, rotating, holder, app_url, clock):
    tenant, (webhook, plain) = holder
    rotation_id = await asked(db, "master")
    lacking = Database(app_url, clock, sealing=keys.sealing(ONLY_NEW))

    with pytest.raises(NotOpened, match="no master key 'test'"):
        await go_on(lacking, rotation_id)
    await lacking.close()

    assert (await go_on(rotating, rotation_id))[-1] == "done"
    assert await secret(rotating, tenant, webhook.id) == [plain]


async def test_a_new_data_key_takes_over_everything_and_the_old_one_is_destroyed_after_a_rest(db, clock, holder):
    tenant, (webhook, plain) = holder
    [before] = await rows(db, t.webhooks, tenant)

    rotation_id = await asked(db, "data", tenant)
    assert (await go_on(db, rotation_id))[-1] == "resting"
    [after] = await rows(db, t.webhooks, tenant)
    assert envelope.key_id_of(before["secret"]) != envelope.key_id_of(after["secret"])
    assert await states(db, tenant) == ["decrypt", "primary"]
    assert await go_on(db, rotation_id) == []
    clock.forward(REST)
    assert (await go_on(db, rotation_id))[-1] == "done"

    assert await states(db, tenant) == ["destroyed", "primary"]
    assert await secret(db, tenant, webhook.id) == [plain]
    assert await actions(db, tenant) == ["keys.rotation-asked", "keys.replaced", "keys.destroyed", "keys.rotated"]
    with pytest.raises(Shredded):
        async with db.tenant(tenant.tenant_id) as tx:
            await keys.unseal(tx, "webhook-secret", before["secret"], Context("webhooks", str(webhook.id), 1))


async def test_an_envelope_that_is_changed_meanwhile_is_not_overwritten(db, clock, holder, monkeypatch):
    tenant, (webhook, _) = holder
    rotation_id, seal_anew, newest = await asked(db, "data", tenant), resealing._sealed, []

    async def slowly(tx, column, found, old):
        """Between what was read and what is written, somebody else writes."""
        anew = await seal_anew(tx, column, found, old)
        if column.column == "secret" and not newest:
            async with db.tenant(tenant.tenant_id) as other:
                newest.append((await endpoints.rotate(other, SHELL, webhook.id))[1])
        return anew

    monkeypatch.setattr(resealing, "_sealed", slowly)
    await to_the_end(db, clock, rotation_id)

    assert (await secret(db, tenant, webhook.id))[0] == newest[0]


async def test_what_is_being_sealed_with_the_old_key_is_waited_for(db, clock, holder):
    tenant, _ = holder
    await letter(db, tenant)
    clock.forward(timedelta(seconds=1))
    rotation_id = await asked(db, "data", tenant)
    async with db.tenant(tenant.tenant_id) as tx:
        await mails.write(tx, "greeting", Letter(to="ann@example.com"))  # with the old key, and not committed
        steps = asyncio.create_task(go_on(db, rotation_id, timedelta(0)))
        await until_it_waits(db, steps)
        assert not steps.done()

    assert (await steps)[-1] == "done"
    assert await states(db, tenant, "mail") == ["destroyed", "primary"]
    async with db.tenant(tenant.tenant_id) as tx:
        for row in await tx.rows(tx.select(t.mails)):
            assert b"ann@example.com" in await keys.unseal(tx, "mail", row["sealed"], mails.SEALED[0].place(row))


async def test_every_column_is_sealed_anew_and_read_by_its_own_room(db, clock, make, everything):
    before = await everything.read(db)
    for tenant in (None, everything.tenant):
        rotation = await to_the_end(db, clock, await asked(db, "data", tenant))
        assert rotation.done == rotation.total > 0

    assert await everything.read(db) == before
    async with db.operator() as look:
        old = look.select(t.data_keys).where(t.data_keys.c.state == "decrypt")
        assert await look.rows(old.with_only_columns(t.data_keys.c.id)) == []


async def test_the_personal_part_of_an_audit_log_is_never_sealed_anew(db, clock, holder, make):
    tenant, _ = holder
    async with db.tenant(tenant.tenant_id) as tx:
        actor = audit.Actor(kind="human", id="acc_x", personal=audit.Personal(address="192.0.2.1"))
        await tenants.rename(tx, actor, "Acme again")
    before = await rows(db, t.audit_events, tenant)
    clock.forward(timedelta(seconds=1))

    await to_the_end(db, clock, await asked(db, "data", tenant))

    after = await rows(db, t.audit_events, tenant)
    assert all(row in after for row in before)
    assert await states(db, tenant, "personal") == ["primary"]


async def test_a_suspended_tenants_keys_are_rotated_too(db, clock, holder):
    tenant, (webhook, plain) = holder
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "unpaid")

    rotation = await to_the_end(db, clock, await asked(db, "data", tenant))

    assert rotation.step == "done"
    assert await secret(db, tenant, webhook.id) == [plain]


async def test_an_emergency_is_new_keys_for_everybody_by_a_deadline(db, rotating, clock, make, everything, holder):
    tenant, (webhook, plain) = holder
    before = await everything.read(db)

    rotation_id = await asked(rotating, "emergency", due_at=clock() + timedelta(seconds=30))
    rotation = await to_the_end(rotating, clock, rotation_id)

    assert rotation.step == "done"
    assert rotation.is_late(clock()), "it has rested for a minute"
    assert await everything.read(rotating) == before
    assert await secret(rotating, tenant, webhook.id) == [plain]
    async with db.operator() as look:
        living = look.select(t.data_keys).where(t.data_keys.c.state != "destroyed", t.data_keys.c.kind != "personal")
        found = await look.rows(living.with_only_columns(t.data_keys.c.master, t.data_keys.c.created_at))
    assert {row["master"] for row in found} == {"new"}
    assert all(row["created_at"] >= rotation.asked_at for row in found)


async def test_of_two_who_ask_the_second_is_told_of_the_first(db, holder):
    tenant, _ = holder
    rotation_id = await asked(db, "data", tenant)

    with pytest.raises(RotationOpen) as told:
        await asked(db, "data", tenant)
    assert told.value.facts() == {"rotation": rotations.shown(rotation_id)}
    await asked(db, "rewrap")


async def test_an_old_key_is_kept_while_another_rotation_of_the_same_owner_rests(db, clock, holder):
    tenant, _ = holder
    one = await asked(db, "data", tenant)
    await go_on(db, one)
    clock.forward(REST - timedelta(seconds=1))
    two = await asked(db, "emergency")
    await go_on(db, two)
    clock.forward(timedelta(seconds=1))

    async for each in rotations.go_on(db, db.sealing, SHELL, one, REST):
        if each.step == "destroying":
            break

    assert await states(db, tenant) == ["decrypt", "decrypt", "primary"]
    clock.forward(REST)
    await go_on(db, two)
    assert await states(db, tenant) == ["destroyed", "destroyed", "primary"]


class Everything:
    """A tenant and the platform with something in every column that is sealed."""

    def __init__(self, tenant, account_id, session, webhook_id, connection_id):
        self.tenant, self.account_id, self.session = tenant, account_id, session
        self.webhook_id, self.connection_id = webhook_id, connection_id

    async def read(self, db):
        async with db.tenant(self.tenant.tenant_id) as tx:
            of_tenant = [
                (await endpoints.secrets_of(tx, [self.webhook_id]))[self.webhook_id],
                (await connections.secret(tx, self.connection_id)).reveal(),
                await opened(tx, mails.SEALED[0]),
                *[await opened(tx, column) for column in sealed.SEALED if column.table.name not in t.PLATFORM],
            ]
        async with db.platform() as tx:
            return [
                *of_tenant,
                await totp.pending(tx, self.account_id),
                (await entries.way_of(tx, self.session)).id_token,
                await opened(tx, mails.SEALED[1]),
                await opened(tx, recovery.SEALED),
                *[await opened(tx, column) for column in sealed.SEALED if column.table.name in t.PLATFORM],
            ]


async def opened(tx, column):
    there = tx.select(column.table).where(column.table.c[column.column].is_not(None))
    rows = await tx.rows(there.order_by(*column.table.primary_key))
    assert rows, f"nothing in {column.table.name}.{column.column}"
    return [await keys.unseal(tx, column.purpose, row[column.column], column.place(row)) for row in rows]


async def refreshed(tx):
    """A connection at its second version, and what somebody brought who lost the race to it."""
    made = await begun.connected(tx)
    intent = await intents.claim(tx, made.id, 1, intents.Wanted(me="me", deadline=timedelta(seconds=20)))
    rules = Rules(refreshing=Refreshing(), pace=Pace(), roll=0.0)
    new = Got(access=Secret("at-2"), refresh=Secret("rt-2"), access_exp=None, refresh_exp=None, scopes=[])
    assert await keeping.keep(tx, intent, new, rules) == "kept"
    assert await keeping.keep(tx, msgspec.structs.replace(intent, fence=0), new, rules) == "orphaned"


@pytest.fixture
async def everything(db, make, clock):
    human = await make.person()
    async with db.operator() as look:
        [row] = await look.rows(look.select(t.tenants))
    async with db.tenant(row["tenant_id"]) as tx:
        tenant = await tenants.get(tx)
        webhook, _ = await endpoints.create(tx, SHELL, URL)
        await endpoints.rotate(tx, SHELL, webhook.id)
        new = connections.NewConnection(name="x", issuer="https://x", client_id="x", client_secret=Secret("hush"))
        connection = await connections.create(tx, SHELL, new)
        await mails.write(tx, "greeting", Letter(to="ann@example.com"))
        await begun.fill(tx, "acme")
        await refreshed(tx)
    async with db.platform() as tx:
        proof = Proof(secret=Secret("hush"))
        await apps.create(tx, SHELL, NewApp(provider="generic-oauth2", name="All", client_id="x", proof=proof))
        [session] = await tx.rows(tx.select(t.browser_sessions))
        await totp.enroll(tx, SHELL, human.account.id)
        await recovery.ask(tx, SHELL, "ann@example.com")
        await mails.write(tx, "greeting", Letter(to="ann@example.com"))
        entry = entries.Entry(
            tenant_id=tenant.tenant_id, connection_id=connection.id, sub="ann", sid=None, id_token="e30.e30."
        )
        await entries.enter(tx, KEYRING.pepper, session["id"], entry)
    clock.forward(timedelta(seconds=1))
    return Everything(tenant, human.account.id, session["id"], webhook.id, connection.id)
