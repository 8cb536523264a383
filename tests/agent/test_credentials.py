"""Credentials in the agent: kept in memory, renewed in time, given up when told, and only what is the control plane's."""

import asyncio
from datetime import timedelta

import pytest

from controlplane.domain import audit
from controlplane.domain.vault import leased, statics
from controlplane.kit.secret import Secret
from runtime_agent import home
from runtime_agent import identity as identities
from runtime_agent.credentials import Asked, Credentials, NoCredential
from runtime_agent.http import Http, Unreachable
from runtime_agent.leases import LeaseForged
from runtime_agent.tokens import Tokens
from runtime_agent.wire.leases import Notice
from tests.agent.wires import Wire, joined
from tests.domain.vault.begun import SECRET
from tests.http.lessees import policy, typed
from tests.make import SHELL

HUSH = Asked(name="hush")


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def wire(app):
    return Wire(app)


@pytest.fixture
async def credentials(client, clock, make, tenant, tmp_path, wire):
    known = await joined(client, clock, await make.join_token(tenant), tmp_path)
    async with Http("http://test", clock, wire) as http:
        yield Credentials(http, Tokens(http, tmp_path, known, clock), clock)


@pytest.fixture
async def connection(db, tenant):
    await policy(db, tenant)
    return await typed(db, tenant)


async def replaced(db, tenant, connection):
    async with db.tenant(tenant.tenant_id) as tx:
        await statics.replace(tx, SHELL, SECRET, connection.id, {"value": Secret("another")})


async def test_what_is_held_is_not_asked_for_again_and_is_renewed_after_two_thirds(
    credentials, connection, wire, clock
):
    first = await credentials.get(HUSH)
    both = await asyncio.gather(credentials.get(HUSH), credentials.get(HUSH))
    clock.forward(timedelta(minutes=10))
    renewed = await credentials.get(HUSH)

    assert both == [first, first]
    assert wire.leased() == ["leases", "renew"]
    assert renewed.expires_at == first.expires_at + timedelta(minutes=10)


async def test_what_is_due_is_renewed_and_what_has_ended_is_forgotten(credentials, connection, wire, clock):
    await credentials.get(HUSH)
    assert await credentials.renew_due() == 0
    clock.forward(timedelta(minutes=11))
    assert await credentials.renew_due() == 1
    clock.forward(timedelta(minutes=16))
    assert await credentials.renew_due() == 0

    await credentials.get(HUSH)
    assert wire.leased() == ["leases", "renew", "leases"]


async def test_a_revoked_lease_is_given_up_and_a_superseded_one_renewed(credentials, connection, wire, db, tenant):
    held = await credentials.get(HUSH)
    await replaced(db, tenant, connection)
    credentials.heed([Notice(lease=held.lease.bound.lease, state="superseded")])
    assert (await credentials.get(HUSH)).contents.fields == {"value": "another"}

    async with db.tenant(tenant.tenant_id) as tx:
        [row] = await leased.listing(tx, limit=9)
        await leased.revoke(tx, SHELL, row.id)
    credentials.heed([Notice(lease=held.lease.bound.lease, state="revoked")])
    assert (await credentials.get(HUSH)).lease.bound.lease != held.lease.bound.lease
    assert wire.leased() == ["leases", "renew", "leases"]


async def test_when_nobody_answers_what_is_held_serves_until_it_ends(credentials, connection, wire, clock):
    held = await credentials.get(HUSH)
    clock.forward(timedelta(minutes=11))
    wire.twist = lambda body: b"<html>"
    assert await credentials.get(HUSH) is held

    clock.forward(timedelta(minutes=5))
    with pytest.raises(Unreachable):
        await credentials.get(HUSH)


async def test_what_dies_at_its_provider_is_not_used_after_that_though_nobody_answers(
    credentials, connection, wire, clock
):
    held = await credentials.get(HUSH)
    wire.twist = lambda body: b"<html>"
    dies_at = clock() + timedelta(minutes=1)
    credentials.heed([Notice(lease=held.lease.bound.lease, state="superseded", dies_at=dies_at)])
    assert (await credentials.get(HUSH)).contents == held.contents

    clock.forward(timedelta(minutes=1))
    with pytest.raises(Unreachable):
        await credentials.get(HUSH)


async def test_what_somebody_put_in_its_place_is_not_taken(credentials, connection, wire):
    wire.twist = lambda body: body.replace(b'"cred_version":1', b'"cred_version":2')

    with pytest.raises(LeaseForged):
        await credentials.get(HUSH)


async def test_what_there_is_none_of_is_said_so(credentials, tenant, db):
    with pytest.raises(NoCredential):
        await credentials.get(HUSH)
    await policy(db, tenant, modes=["metadata"])
    await typed(db, tenant)

    with pytest.raises(NoCredential, match="policy"):
        await credentials.get(HUSH)
    assert [each.modes for each in await credentials.listing()] == [["metadata"]]


async def test_a_runtime_that_joined_before_there_were_leases_learns_their_keys(credentials, connection, tmp_path):
    await credentials._tokens.keep(lease_keys={})

    assert (await credentials.get(HUSH)).contents.fields
    assert identities.load(tmp_path).lease_keys.keys() == {"test"}


async def test_nothing_of_it_is_on_the_disk(credentials, connection, tmp_path):
    await credentials.get(HUSH)

    assert {path.name for path in tmp_path.iterdir()} <= {home.IDENTITY, identities.LOCK}
    assert all(b"s3cret" not in path.read_bytes() for path in tmp_path.iterdir())


async def test_a_command_beside_the_daemon_does_not_look_like_a_second_copy(
    credentials, connection, tmp_path, wire, db, tenant
):
    await credentials.get(HUSH)
    async with Http("http://test", db.clock, wire) as http:
        beside = Credentials(http, Tokens(http, tmp_path, identities.load(tmp_path), db.clock), db.clock)
        await beside.get(HUSH)
    credentials._tokens.discard(await credentials._tokens.current())
    await credentials.listing()

    async with db.tenant(tenant.tenant_id) as tx:
        actions = [event.action for event in await audit.listing(tx, limit=50)]
    assert "runtime.join-state-conflict" not in actions


async def test_a_token_that_is_good_no_more_is_replaced(credentials, connection):
    credentials._tokens._token, credentials._tokens._good_until = "nonsense", float("inf")

    assert (await credentials.get(HUSH)).contents.fields
