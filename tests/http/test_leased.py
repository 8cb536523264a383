"""Leases later: renewed, superseded, revoked, given back; listed and ended by the tenant, and who could have one."""

from datetime import timedelta

import msgspec
import pytest

from controlplane.domain.audit import reads
from controlplane.domain.vault import leased, policies, statics
from controlplane.domain.vault.deciding import Conditions, Connections, Subject
from controlplane.kit.ids import text_id
from controlplane.kit.secret import Secret
from runtime_agent.wire.heartbeat import Pulse
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


# -------------------------------------------------------------------------------------- how a runtime finds them


async def test_a_connection_is_found_by_its_name_where_only_one_fits(db, tenant, lessee, connection, allowed):
    reply = await lessee.post(LEASES, {"select": {"name": "hush", "provider": "secret"}})
    assert reply.status_code == 200, reply.text

    await typed(db, tenant, "another")
    assert code(await lessee.post(LEASES, {"select": {"name": "hush"}})) == (409, "connection-ambiguous")
    assert code(await lessee.post(LEASES, {"select": {"name": "none"}})) == (404, "not-found")


async def test_what_a_runtime_may_know_of_is_listed(db, tenant, lessee, connection):
    headers = {"authorization": f"Bearer {lessee.agent.token}"}
    path = "/v1/runtime/credentials"
    assert (await lessee.agent.client.get(path, headers=headers)).json() == {"connections": []}

    await policy(db, tenant, modes=["metadata"])
    [row] = (await lessee.agent.client.get(path, headers=headers)).json()["connections"]
    assert (row["name"], row["modes"]) == ("hush", ["metadata"])
    assert code(await lessee.ask(connection)) == (403, "lease-denied")


async def test_only_some_agents_for_some_purposes_of_some_providers(db, tenant, lessee, connection):
    await policy(
        db,
        tenant,
        subject=Subject(agents=["invoice*"]),
        connections=Connections(providers=["secret"]),
        conditions=Conditions(purposes=["billing"]),
    )

    assert (await lessee.ask(connection, agent="invoice_review", purpose="billing")).status_code == 200
    assert code(await lessee.ask(connection, agent="other", purpose="billing")) == (404, "not-found")
    assert code(await lessee.ask(connection, agent="invoice_review")) == (404, "not-found")


# ------------------------------------------------------------------------------------------ what becomes of it later


async def test_a_renewed_lease_has_the_credential_as_it_is_now(db, tenant, lessee, connection, allowed, clock):
    held = await lessee.lease(connection)
    async with db.tenant(tenant.tenant_id) as tx:
        await statics.replace(tx, SHELL, SECRET, connection.id, {"value": Secret("another")})
    clock.forward(timedelta(minutes=9))

    path = f"{LEASES}/{held.lease.bound.lease}/renew"
    reply = await lessee.post(path, {}, nonce="4" * 32)
    renewed = lessee.open(reply, "4" * 32)

    assert (renewed.contents.fields, renewed.lease.superseded) == ({"value": "another"}, True)
    assert renewed.lease.bound.lease == held.lease.bound.lease
    assert renewed.expires_at == clock() + timedelta(minutes=15)
    assert [read.act for read in await recorded(db, tenant)] == ["renew", "lease"]


async def test_a_revoked_lease_is_not_renewed_and_the_runtime_hears_of_it(db, tenant, lessee, connection, allowed):
    held, other = await lessee.lease(connection), await lessee.lease(connection)
    async with db.tenant(tenant.tenant_id) as tx:
        [first, _] = sorted(await leased.listing(tx, limit=9), key=lambda row: text_id("lea", row.id))
        await leased.revoke(tx, SHELL, first.id)
        await leased.revoke(tx, SHELL, first.id)

    revoked = text_id("lea", first.id)
    assert code(await lessee.post(f"{LEASES}/{revoked}/renew", {})) == (409, "lease-revoked")
    pulse = await lessee.agent.post("/v1/runtime/heartbeat", lessee.agent.beat())
    notices = msgspec.json.decode(pulse.content, type=Pulse).leases
    assert [(notice.lease, notice.state) for notice in notices] == [(revoked, "revoked")]
    assert revoked in {held.lease.bound.lease, other.lease.bound.lease}


async def test_a_runtime_hears_of_another_credential_with_hello_and_heartbeat(db, tenant, lessee, connection, allowed):
    held = await lessee.lease(connection)
    async with db.tenant(tenant.tenant_id) as tx:
        await statics.replace(tx, SHELL, SECRET, connection.id, {"value": Secret("another")})

    [notice] = (await lessee.agent.hello()).leases

    assert (notice.lease, notice.state) == (held.lease.bound.lease, "superseded")


async def test_another_runtimes_lease_is_not_there(lessee, stranger, connection, allowed):
    held = await lessee.lease(connection)

    for act in ("renew", "return"):
        assert code(await stranger.post(f"{LEASES}/{held.lease.bound.lease}/{act}", {})) == (404, "not-found")


async def test_a_lease_is_given_back(db, tenant, lessee, connection, allowed):
    held = await lessee.lease(connection)
    path = f"{LEASES}/{held.lease.bound.lease}"

    assert (await lessee.post(f"{path}/return", {})).json() == {"lease": held.lease.bound.lease}
    assert code(await lessee.post(f"{path}/renew", {})) == (409, "lease-revoked")


# ----------------------------------------------------------------------------------------------- what the tenant sees


@pytest.fixture
async def api(client, make, tenant):
    key = await make.api_key(tenant)

    async def api(method, path, **given):
        headers = {**key, "If-Match": "*"} if method in ("PATCH", "DELETE") else key
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=headers, **given)

    return api


async def test_policies_are_made_changed_and_deleted(api):
    new = {"name": "p", "effect": "allow", "modes": ["lease"], "subject": {"agents": ["a*"]}}
    made = (await api("POST", "/policies", json=new)).json()
    changed = (await api("PATCH", f"/policies/{made['id']}", json={"enabled": False})).json()

    assert (made["subject"]["agents"], made["conditions"]["max_ttl_s"], made["version"]) == (["a*"], None, 1)
    assert (changed["enabled"], changed["version"]) == (False, 2)
    assert (await api("GET", "/policies")).json()["data"] == [changed]
    assert (await api("GET", f"/policies/{made['id']}")).json() == changed
    assert (await api("DELETE", f"/policies/{made['id']}")).status_code == 204
    assert code(await api("PATCH", f"/policies/{made['id']}", json={"enabled": True})) == (404, "not-found")
    assert (await api("POST", "/policies", json={**new, "modes": ["everything"]})).status_code == 400


async def test_who_could_use_a_connection_is_said_with_the_policy_that_decides(
    api, db, tenant, lessee, stranger, connection
):
    yes = await policy(db, tenant, name="yes", conditions=Conditions(purposes=["x"], max_ttl_s=60))
    no = await policy(db, tenant, name="no", effect="deny", subject=Subject(runtimes=[stranger.identity.runtime]))
    await policy(db, tenant, name="bots", modes=["proxy"], subject=Subject(agents=["bot*"]))

    rows = (await api("GET", f"/connections/{text_id('con', connection.id)}/access")).json()["data"]

    by = {(row["runtime"], row["agent"]): row for row in rows}
    mine = by[lessee.identity.runtime, None]
    assert (mine["lease"]["allowed"], mine["lease"]["rule"]) == (True, text_id("pol", yes.id))
    assert (mine["lease"]["conditions"]["purposes"], mine["proxy"]["rule"]) == (["x"], "default")
    assert by[lessee.identity.runtime, "bot*"]["proxy"]["allowed"]
    theirs = by[stranger.identity.runtime, None]["lease"]
    assert (theirs["allowed"], theirs["rule"], theirs["policy"]) == (False, text_id("pol", no.id), "no")


async def test_leases_are_listed_and_ended_by_what_they_have_in_common(api, lessee, connection, allowed):
    held = await lessee.lease(connection, agent="a")
    await lessee.lease(connection, agent="b")

    assert len((await api("GET", "/leases?state=active")).json()["data"]) == 2
    [row] = (await api("GET", "/leases?agent=a")).json()["data"]
    assert row == (await api("GET", f"/leases/{held.lease.bound.lease}")).json()
    assert (await api("POST", "/leases/revoke", json={"agent": "a"})).json() == {"leases": 1}
    assert (await api("POST", "/leases/revoke", json={"all": True})).json() == {"leases": 1}
    assert (await api("GET", "/leases?state=active")).json()["data"] == []
    assert (await api("POST", "/leases/revoke", json={})).json()["code"] == "leases-unnamed"
    assert (await api("DELETE", f"/leases/{held.lease.bound.lease}")).status_code == 204


async def test_the_tenant_finds_out_who_had_a_secret(api, lessee, connection, allowed):
    held = await lessee.lease(connection)

    [found] = (await api("POST", "/vault-reads/search", json={"secret": "s3cret-of-acme"})).json()["data"]
    [same] = (await api("POST", "/vault-reads/search", json={"fingerprint": found["fingerprints"][0]})).json()["data"]

    assert (found["lease"], found["runtime"]) == (held.lease.bound.lease, lessee.identity.runtime)
    assert [found] == [same] == (await api("GET", "/vault-reads")).json()["data"]
    assert (await api("POST", "/vault-reads/search", json={"secret": "another"})).json() == {"data": []}
    assert (await api("POST", "/vault-reads/search", json={})).json()["code"] == "secret-unnamed"


async def test_a_runtime_that_is_told_to_go_loses_its_leases(api, lessee, connection, allowed):
    await lessee.lease(connection)

    assert (await api("DELETE", f"/runtimes/{lessee.identity.runtime}")).status_code == 204

    [row] = (await api("GET", "/leases")).json()["data"]
    assert row["state"] == "revoked"


async def test_what_lasts_no_longer_is_said_by_its_own_code(db, tenant, lessee, connection, clock):
    await policy(db, tenant, conditions=Conditions(max_ttl_s=60))
    held = await lessee.lease(connection)

    assert code(await lessee.ask(connection, min_ttl_s=61)) == (409, "lease-too-short")
    clock.forward(timedelta(seconds=61))
    assert code(await lessee.post(f"{LEASES}/{held.lease.bound.lease}/renew", {})) == (409, "lease-over")


async def test_what_is_changed_all_the_time_is_asked_for_again(app, monkeypatch, lessee, connection, allowed):
    async def changed(*_):
        return None

    monkeypatch.setattr(app.state.leasing, "_take", changed)

    assert code(await lessee.ask(connection)) == (503, "lease-busy")


async def test_there_are_no_more_policies_than_may_be(api, monkeypatch):
    monkeypatch.setattr(policies, "MOST", 1)
    new = {"name": "p", "effect": "allow", "modes": ["lease"]}
    await api("POST", "/policies", json=new)

    assert code(await api("POST", "/policies", json=new)) == (409, "policy-limit")
