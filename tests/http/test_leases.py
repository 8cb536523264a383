"""Leases: sealed to the runtime that asked, signed, on record; and every way in which they are not to be had."""

from datetime import timedelta

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.domain import audit, projects, runtimes
from controlplane.domain.audit import reads
from controlplane.domain.vault import connections, leased, policies, sealed, statics
from controlplane.domain.vault.deciding import Conditions, Subject
from controlplane.domain.vault.sealed import Access
from controlplane.kit.ids import text_id
from controlplane.kit.secret import Secret
from runtime_agent import identity as identities
from runtime_agent.leases import LeaseForged, opened, trusted
from runtime_agent.wire.leases import Bound, Lease, LeaseKeys
from tests.domain.vault.begun import SECRET
from tests.http.agents import Agent, code
from tests.http.lessees import LEASES, Lessee, policy, typed
from tests.make import SHELL


@pytest.fixture
async def lessee(agent):
    return Lessee(agent)


@pytest.fixture
async def connection(db, tenant):
    return await typed(db, tenant)


@pytest.fixture
async def allowed(db, tenant):
    return await policy(db, tenant)


@pytest.fixture
async def stranger(client, clock, make, tenant):
    """Another runtime of the same tenant."""
    agent = Agent(client, clock)
    assert (await agent.enroll(await make.join_token(tenant), name="vpc-2")).status_code == 201
    return Lessee(agent)


async def recorded(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return await reads.listing(tx, limit=50)


async def expires(db, tenant, connection, at, version=1):
    """Make of what was typed in something that expires."""
    async with db.tenant(tenant.tenant_id) as tx:
        blob = await sealed.seal_access(tx, connection.id, version, Access(token=Secret(f"at-{version}")))
        values = {"access_blob": blob, "cred_version": version, "access_exp": at, "refreshed_at": tx.now}
        await connections.write(tx, connection.id, values)
        audit.record(tx, SHELL, "connection.replaced", connections.target(connection.id), cred_version=version)


# ------------------------------------------------------------------------------------------------------- what is had


async def test_a_lease_opens_for_the_runtime_that_asked_and_stands_on_record(db, tenant, lessee, connection, allowed):
    held = await lessee.lease(connection, agent="invoices", run="r-1", tool="mail", purpose="send")

    assert held.contents.fields == {"value": "s3cret-of-acme"}
    assert held.lease.bound.runtime == lessee.identity.runtime
    [read] = await recorded(db, tenant)
    assert (read.act, read.outcome, read.rule) == ("lease", "success", text_id("pol", allowed.id))
    assert (read.agent, read.run, read.tool, read.purpose) == ("invoices", "r-1", "mail", "send")
    assert (text_id("lea", read.lease_id), read.kid) == (held.lease.bound.lease, held.lease.bound.kid)
    async with db.tenant(tenant.tenant_id) as tx:
        [row] = await leased.listing(tx, limit=9)
    assert (row.agent, row.cred_version, row.state(tx.now)) == ("invoices", 1, "active")


async def test_nothing_of_the_secret_is_in_the_answer_or_in_the_database(admin_url, lessee, connection, allowed):
    reply = await lessee.ask(connection)

    assert b"s3cret" not in reply.content
    superuser = await asyncpg.connect(admin_url)
    for table in ("vault_reads", "leases", "credential_prints", "audit_events", "connections"):
        rows = await superuser.fetchval(f"SELECT string_agg(x::text, '') FROM {table} x")
        assert rows is None or ("s3cret" not in rows and b"s3cret".hex() not in rows), table
    await superuser.close()


async def test_a_lease_lasts_a_quarter_of_an_hour_and_is_renewed_after_two_thirds(lessee, connection, allowed, clock):
    held = await lessee.lease(connection)

    assert held.expires_at == clock() + timedelta(minutes=15)
    assert held.lease.renew_after == clock() + timedelta(minutes=10)


async def test_a_policy_makes_it_shorter_and_so_does_the_tokens_end(db, tenant, lessee, connection, clock):
    await policy(db, tenant, conditions=Conditions(max_ttl_s=60))
    assert (await lessee.lease(connection)).expires_at == clock() + timedelta(seconds=60)

    await expires(db, tenant, connection, clock() + timedelta(seconds=50), 2)
    assert (await lessee.lease(connection)).expires_at == clock() + timedelta(seconds=45)

    await policy(db, tenant)
    await expires(db, tenant, connection, clock() + timedelta(seconds=600), 3)
    held = await lessee.lease(connection)
    assert held.expires_at == clock() + timedelta(seconds=540)
    assert held.contents.access_token == "at-3"


async def test_a_dry_run_decides_and_hands_nothing_out(db, tenant, lessee, connection, allowed):
    reply = await lessee.ask(connection, dry_run=True)

    assert reply.json()["rule"] == text_id("pol", allowed.id)
    assert "sealed" not in reply.text
    [read] = await recorded(db, tenant)
    assert (read.act, read.outcome, read.lease_id) == ("dry-run", "success", None)


# ---------------------------------------------------------------------------------------------------- who may have it


async def test_without_a_policy_nobody_has_anything_and_nobody_knows_of_it(db, tenant, lessee, connection):
    reply = await lessee.ask(connection)

    assert code(reply) == (404, "not-found")
    [read] = await recorded(db, tenant)
    assert (read.outcome, read.rule) == ("denied", "default")


async def test_who_is_refused_all_the_time_is_summed_up(app, db, clock, tenant, lessee, connection):
    for _ in range(13):
        assert code(await lessee.ask(connection)) == (404, "not-found")
    clock.forward(timedelta(minutes=1))
    await app.state.denials.sum_up()

    assert [read.outcome for read in await recorded(db, tenant)] == ["denied"] * 10
    async with db.tenant(tenant.tenant_id) as tx:
        [summed] = [event for event in await audit.after(tx, 0, 200) if event.action == "lease.denied"]
    assert (summed.outcome, summed.facts["times"], summed.facts["rule"]) == ("denied", 3, "default")
    assert summed.target_id == text_id("con", connection.id)


async def test_a_change_of_policy_holds_with_the_very_next_request(db, tenant, lessee, connection, allowed):
    await lessee.lease(connection)
    denying = await policy(db, tenant, effect="deny", subject=Subject(runtimes=[lessee.identity.runtime]))

    assert code(await lessee.ask(connection)) == (403, "lease-denied")

    async with db.tenant(tenant.tenant_id) as tx:
        await policies.delete(tx, SHELL, denying.id)
    await lessee.lease(connection)


async def test_another_tenants_connection_is_as_absent_as_none(db, make, tenant, lessee, allowed):
    theirs = await typed(db, await make.tenant())

    reply = await lessee.ask(theirs)
    absent = await lessee.post(LEASES, {"connection": "con_" + "0" * 26})

    assert code(reply) == (404, "not-found")
    assert {**reply.json(), "request_id": ""} == {**absent.json(), "request_id": ""}


async def test_another_projects_connection_is_not_there(db, tenant, lessee, make):
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.create(tx, SHELL, "other", "Other", "prod")
    theirs = await typed(db, tenant, project_id=project.id)
    await policy(db, tenant)

    assert code(await lessee.ask(theirs)) == (404, "not-found")
    [read] = await recorded(db, tenant)
    assert read.rule == "project"


async def test_what_is_disabled_is_not_leased(db, tenant, lessee, connection, allowed):
    await lessee.lease(connection)
    async with db.tenant(tenant.tenant_id) as tx:
        its = await connections.get(tx, connection.id)
        await connections.turned(tx, SHELL, its, "disabled", "lunch", "connection.disabled")

    reply = await lessee.ask(connection)

    assert code(reply) == (409, "connection-not-served")
    assert reply.json()["state"] == "disabled"


async def test_a_revoked_runtime_gets_nothing_however_fresh_its_token_is(db, tenant, lessee, connection, allowed):
    await lessee.lease(connection)
    async with db.tenant(tenant.tenant_id) as tx:
        await runtimes.revoke(tx, SHELL, lessee.agent.answer.runtime_id)

    assert code(await lessee.ask(connection)) == (403, "revoked")


# -------------------------------------------------------------------------------------------------- who has asked it


async def test_a_request_that_comes_again_is_refused_and_recorded_once(db, app, tenant, lessee, connection, allowed):
    nonce = "0" * 32
    first = await lessee.ask(connection, nonce)
    again = await lessee.ask(connection, nonce)
    app.state.limiter._free_at.clear()  # whatever forgets: the table does not
    later = await lessee.ask(connection, nonce)

    assert first.status_code == 200
    assert code(again) == code(later) == (409, "nonce-used")
    assert len(await recorded(db, tenant)) == 1


async def test_a_refused_request_uses_up_its_nonce_as_well(app, lessee, connection):
    nonce = "1" * 32
    assert code(await lessee.ask(connection, nonce)) == (404, "not-found")
    app.state.limiter._free_at.clear()

    assert code(await lessee.ask(connection, nonce)) == (409, "nonce-used")


async def test_the_token_without_the_key_leases_nothing(db, tenant, lessee, connection, allowed):
    said = {"connection": text_id("con", connection.id)}
    stranger = replace(identities.fresh("http://test"), runtime=lessee.identity.runtime)

    bare = await lessee.agent.post(LEASES, said)
    forged = await lessee.post(LEASES, said, signed_as=stranger)

    assert code(bare) == code(forged) == (401, "signature-invalid")
    assert await recorded(db, tenant) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"content-digest": "sha-256=:AAAA:"},
        {"signature": "sig1=:" + "A" * 86 + "==:"},
        {"signature": "sig1=:?:"},
        {"signature": ""},
        {"signature-input": 'sig1=("@method");created=1;nonce="x"'},
    ],
)
async def test_whatever_is_not_as_it_was_signed_is_refused(lessee, connection, allowed, changed):
    said = {"connection": text_id("con", connection.id)}

    assert code(await lessee.post(LEASES, said, **changed)) == (401, "signature-invalid")


async def test_a_signature_counts_for_its_path_and_for_two_minutes(lessee, connection, allowed):
    held = await lessee.lease(connection)
    body = {"connection": text_id("con", connection.id)}
    captured = await lessee.post(f"{LEASES}/{held.lease.bound.lease}/renew", body, method="POST")
    assert captured.status_code == 200

    elsewhere = await lessee.post("/v1/runtime/elsewhere", body)
    assert elsewhere.status_code == 404
    signed = dict(elsewhere.request.headers)
    moved = await lessee.agent.client.post(LEASES, content=elsewhere.request.content, headers=signed)
    assert code(moved) == (401, "signature-invalid")
    for skew_s in (-121, 121):
        late = await lessee.post(LEASES, body, skew_s=skew_s)
        assert code(late) == (401, "clock-skewed")
    assert late.json()["server_ms"] == int(lessee.clock().timestamp() * 1000)


# -------------------------------------------------------------------------------------------- what the runtime trusts


async def answered(lessee, connection):
    reply = await lessee.ask(connection, "2" * 32)
    return msgspec.json.decode(reply.content, type=Lease)


async def test_a_flipped_signature_another_nonce_and_another_time_are_refused(lessee, connection, allowed, clock):
    lease = await answered(lessee, connection)
    flipped = replace(lease, signature=("B" if lease.signature[0] == "A" else "A") + lease.signature[1:])

    for wrong, nonce, now in (
        (flipped, "2" * 32, clock()),
        (replace(lease, sealed=lease.sealed[:-4] + "AAAA"), "2" * 32, clock()),
        (replace(lease, key="nobody's"), "2" * 32, clock()),
        (lease, "3" * 32, clock()),
        (lease, "2" * 32, clock() + timedelta(hours=1)),
        (lease, "2" * 32, clock() - timedelta(hours=1)),
    ):
        with pytest.raises(LeaseForged):
            opened(lessee.identity, wrong, nonce, now)
    assert opened(lessee.identity, lease, "2" * 32, clock()).contents.fields


@pytest.mark.parametrize("field", [name for name in Bound.__struct_fields__ if name != "suite"])
async def test_not_a_word_that_a_lease_is_bound_to_can_be_another(lessee, connection, allowed, field, app):
    lease = await answered(lessee, connection)
    other = 7 if field == "cred_version" else "2026-01-01T00:00:01.000Z" if field.endswith("_at") else "other"
    bound = replace(lease.bound, **{field: other})
    signed = app.state.leasing._signs.sign(bound.signed(identities.decoded(lease.sealed)))
    resigned = replace(lease, bound=bound, signature=identities.encoded(signed))

    with pytest.raises(LeaseForged):
        opened(lessee.identity, resigned, "2" * 32, lessee.clock())


async def test_another_runtimes_key_does_not_open_it(clock, lessee, stranger, connection, allowed):
    lease = await answered(lessee, connection)
    disguised = replace(stranger.identity, runtime=lessee.identity.runtime)
    same_signing = replace(lessee.identity, sealing_key=stranger.identity.sealing_key)

    for identity in (stranger.identity, disguised, same_signing):
        with pytest.raises(LeaseForged):
            opened(identity, lease, "2" * 32, clock())


async def test_a_new_key_of_the_control_plane_is_trusted_if_a_pinned_one_vouches_for_it(lessee):
    headers = {"authorization": f"Bearer {lessee.agent.token}"}
    told = msgspec.json.decode(
        (await lessee.agent.client.get("/v1/runtime/lease-keys", headers=headers)).content, type=LeaseKeys
    )
    [only] = told.keys
    assert lessee.identity.lease_keys == {only.key: only.public_key} == trusted({}, told)

    stranger = replace(only, key="k9", public_key=identities.fresh("x").public_key(), vouched={"test": only.public_key})
    assert trusted(lessee.identity.lease_keys, LeaseKeys(keys=[only, stranger])) == lessee.identity.lease_keys


async def test_another_sealing_key_is_pinned_by_a_signed_request_and_the_hybrid_one_too(
    db, tenant, lessee, connection, allowed
):
    fresh = identities.fresh("http://test")
    said = {"suite": 1, "public_key": fresh.public_sealing_key()}
    path = "/v1/runtime/sealing-key"

    bare = await lessee.agent.client.put(path, json=said, headers={"authorization": f"Bearer {lessee.agent.token}"})
    assert code(bare) == (401, "signature-invalid")
    unusable = await lessee.post(path, {**said, "public_key": "A" * 43}, method="PUT")
    assert code(unusable) == (400, "sealing-key-invalid")
    assert (await lessee.post(path, said, method="PUT")).status_code == 200
    lessee.identity = replace(lessee.identity, sealing_key=fresh.sealing_key)
    assert (await lessee.lease(connection)).contents.fields == {"value": "s3cret-of-acme"}


# --------------------------------------------------------------------------------------------------- when it is amiss


async def test_where_the_read_cannot_be_written_down_nothing_is_handed_out(admin_url, db, lessee, connection, allowed):
    await lessee.lease(connection)
    superuser = await asyncpg.connect(admin_url)
    await superuser.execute("ALTER TABLE vault_reads ADD CONSTRAINT none CHECK (false) NOT VALID")

    reply = await lessee.ask(connection)

    assert reply.status_code == 500
    assert b"sealed" not in reply.content
    assert await superuser.fetchval("SELECT count(*) FROM leases") == 1
    await superuser.close()


async def test_an_envelope_of_an_older_version_does_not_open_in_its_place(db, tenant, lessee, connection, allowed):
    async with db.tenant(tenant.tenant_id) as tx:
        old = await tx.scalar(tx.select(t.connections).with_only_columns(t.connections.c.access_blob))
        await statics.replace(tx, SHELL, SECRET, connection.id, {"value": Secret("another")})
    await lessee.lease(connection)
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.load(text("UPDATE connections SET access_blob = :old WHERE tenant_id = :tenant_id"), old=old)

    reply = await lessee.ask(connection)

    assert reply.status_code == 500
    assert b"sealed" not in reply.content


async def test_what_has_changed_between_looking_and_reading_is_looked_at_again(
    app, db, tenant, lessee, connection, allowed
):
    await lessee.lease(connection)
    async with db.tenant(tenant.tenant_id) as tx:
        await statics.replace(tx, SHELL, SECRET, connection.id, {"value": Secret("another")})

    held = await lessee.lease(connection)

    assert (held.contents.fields, held.lease.bound.cred_version) == ({"value": "another"}, 2)
