"""/v1/credentials as the existing client calls it: the recorded exchange, what it takes badly, and what it never gets."""

from datetime import datetime, timedelta

import pytest

from controlplane.db import schema as t
from controlplane.domain import runtime_keys, runtimes, tenants
from controlplane.domain.audit import reads
from controlplane.domain.runtime_keys import RuntimeKeyUnfit
from controlplane.domain.vault import confirming, leaving, policies
from controlplane.http import limits
from controlplane.kit import tokens
from controlplane.kit.ids import text_id
from controlplane.kit.limiter import Rate
from tests.conftest import KEYRING
from tests.domain.vault import begun
from tests.http.agents import Agent
from tests.http.lessees import policy, typed
from tests.make import SHELL
from tests.refreshing.rig import Rig
from tests.refreshing.strict import serving

LIST = "/v1/credentials"
TOKENS = ("at-of-ada", "rt-of-ada")


class Client:
    """As the existing client: its headers, what it makes of statuses, and no more."""

    def __init__(self, http, key, tenant=None):
        self.http = http
        self.headers = {
            "authorization": f"Bearer {key}",
            "content-type": "application/json",
            "user-agent": "hive-credential-store/1.0",
            **({"x-tenant-id": tenant} if tenant else {}),
        }
        self.bodies = []

    async def call(self, method, path, **given):
        reply = await self.http.request(method, path, headers=self.headers | given.pop("headers", {}), **given)
        self.bodies.append(reply.content)
        assert reply.status_code in {200, 304, 400, 401, 403, 404, 429}, reply.text
        if reply.status_code == 429:
            int(reply.headers["retry-after"])
        if reply.status_code in {400, 403}:
            assert reply.json()["message"]
        return reply

    async def list(self):
        return (await self.call("GET", LIST)).json()["integrations"]

    async def get(self, integration, what="", method="GET", **given):
        return await self.call(method, f"{LIST}/{integration}{what}", **given)

    async def sync_all(self):
        """Lists, skips what is not active, and fetches the rest one by one."""
        return {
            each["integration_id"]: (await self.get(each["integration_id"])).json()
            for each in await self.list()
            if each["status"] == "active"
        }


@pytest.fixture
async def tenant(make, db):
    made = await make.tenant()
    async with db.tenant(made.tenant_id) as tx:
        await tenants.allow_unsealed_reads(tx, SHELL, True)
    return made


@pytest.fixture
async def runtime(client, clock, make, tenant):
    agent = Agent(client, clock)
    assert (await agent.enroll(await make.join_token(tenant))).status_code == 201
    return agent.answer.runtime_id


@pytest.fixture
async def key(db, tenant, runtime):
    async with db.tenant(tenant.tenant_id) as tx:
        made, secret = await runtime_keys.create(tx, SHELL, KEYRING.pepper, runtime)
    return made, secret


@pytest.fixture
def old(client, key):
    return Client(client, key[1])


@pytest.fixture
async def mail(db, tenant):
    """An account that was connected, with a refresh token, and an hour to go."""
    await policy(db, tenant)
    async with db.tenant(tenant.tenant_id) as tx:
        session, _ = await begun.begin(tx, name="Mail of Ada")
        pending = await begun.arrive(tx, session, access_exp=tx.now + timedelta(hours=1))
        return await confirming.confirm(tx, SHELL, pending.id, owner_ref="u-7")


def shown(connection):
    return text_id("con", connection.id)


async def recorded(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return await reads.listing(tx, limit=50)


async def test_the_recorded_exchange(old, mail, clock):
    integration = shown(mail)

    listed = await old.call("GET", LIST)
    got = await old.get(integration)
    refreshed = await old.get(integration, "/refresh", "POST")
    valid = await old.get(integration, "/validate")
    said = {"operation": "api_call", "status": "success", "timestamp": "2026-02-20T12:00:00Z", "metadata": {"n": 1}}
    used = await old.get(integration, "/usage", "POST", json=said)
    health = await old.call("GET", "/health")

    assert [reply.status_code for reply in (listed, got, refreshed, valid, used, health)] == [200] * 6
    assert {reply.headers["content-type"] for reply in (listed, got, refreshed, valid, used, health)} == {
        "application/json"
    }
    ends = (clock() + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = (
        f'{{"integration_id":"{integration}","provider":"generic-oauth2","alias":"Mail of Ada","status":"active",'
        f'"email":"ada@example.com","expires_at":"{ends}"}}'
    )
    assert listed.text == f'{{"integrations":[{entry}],"tombstones":[]}}'
    body = got.json()
    assert list(body)[:6] == ["access_token", "token_type", "expires_at", "provider", "alias", "email"]
    assert (body["access_token"], body["token_type"], body["provider"]) == (TOKENS[0], "Bearer", "generic-oauth2")
    assert datetime.fromisoformat(body["expires_at"].replace("Z", "+00:00")) == clock() + timedelta(minutes=15)
    assert (body["alias"], body["email"], body["metadata"]["email"]) == ("Mail of Ada", *["ada@example.com"] * 2)
    assert refreshed.json() == body
    assert list(valid.json())[:4] == ["valid", "status", "expires_at", "error"]
    assert (valid.json()["valid"], valid.json()["status"], valid.json()["error"]) == (True, "active", None)
    assert used.json() == {"received": True}
    assert health.json().keys() == {"status", "version", "timestamp"}
    assert TOKENS[1].encode() not in b"".join(old.bodies)


async def test_each_read_is_on_record_as_unsealed_and_is_a_lease(old, mail, db, tenant, client, make):
    await old.sync_all()
    await old.get("con_00000000000000000000000000")
    await old.get(shown(mail), "/usage", "POST", json={"operation": "api_call", "status": "error"})

    assert [(read.act, read.outcome, read.purpose, read.kid) for read in await recorded(db, tenant)] == [
        ("usage", "success", "api_call", ""),
        ("unsealed", "denied", "unsealed", ""),
        ("unsealed", "success", "unsealed", ""),
    ]
    admin = await make.api_key(tenant)
    [lease] = (await client.get(f"/v1/tenants/{tenant.slug}/leases", headers=admin)).json()["data"]
    assert (lease["unsealed"], lease["connection"]) == (True, shown(mail))
    found = await client.post(
        f"/v1/tenants/{tenant.slug}/vault-reads/search", headers=admin, json={"secret": TOKENS[0]}
    )
    assert [read["act"] for read in found.json()["data"]] == ["unsealed"]


async def test_policies_decide_as_of_any_lease(old, mail, db, tenant):
    await policy(db, tenant, name="sealed only", effect="deny", conditions=policies.Conditions(purposes=["unsealed"]))

    assert await old.list() == []
    refused = await old.get(shown(mail))
    assert (refused.status_code, refused.json()["code"]) == (403, "lease-denied")
    assert [read.outcome for read in await recorded(db, tenant)] == ["denied"]


async def test_a_typed_secret_is_a_token_where_it_is_one(old, db, tenant):
    await policy(db, tenant)
    secret = await typed(db, tenant)

    assert (await old.sync_all())[shown(secret)]["access_token"] == "s3cret-of-acme"


async def test_what_is_gone_is_named_beside_what_there_is_and_the_list_has_an_etag(old, mail, db, tenant):
    await old.sync_all()
    first = await old.call("GET", LIST)
    same = await old.call("GET", LIST, headers={"if-none-match": first.headers["etag"]})
    async with db.tenant(tenant.tenant_id) as tx:
        await leaving.delete(tx, SHELL, mail.id, "")
    then = await old.call("GET", LIST, headers={"if-none-match": first.headers["etag"]})

    assert (same.status_code, same.content) == (304, b"")
    assert then.json() == {"integrations": [], "tombstones": [{"integration_id": shown(mail)}]}
    assert (await old.get(shown(mail))).status_code == 404


async def test_what_needs_a_person_says_so(old, mail, db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        tx.audited = True
        await tx.run(tx.update(t.connections).where(t.connections.c.id == mail.id).values(state="needs_reauth"))

    [entry] = await old.list()
    refused = await old.get(shown(mail), "/refresh", "POST")
    valid = (await old.get(shown(mail), "/validate")).json()

    assert entry["status"] == "requires_reauth"
    assert refused.status_code == 400
    assert {name: refused.json()[name] for name in ("error", "requires_reauthorization", "reauthorization_url")} == {
        "error": "refresh_failed",
        "requires_reauthorization": True,
        "reauthorization_url": "http://test/console",
    }
    assert (valid["valid"], valid["status"]) == (False, "requires_reauth")
    assert valid["error"]


async def test_a_tenant_that_has_not_said_so_lets_nobody_in(old, mail, db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.allow_unsealed_reads(tx, SHELL, False)

    refused = await old.call("GET", LIST)

    assert (refused.status_code, refused.json()["code"]) == (403, "unsealed-reads-off")
    assert await recorded(db, tenant) == []


async def test_a_key_opens_nothing_once_it_or_its_runtime_is_revoked_or_it_is_over(client, old, key, db, tenant, clock):
    assert (await old.call("GET", LIST)).status_code == 200
    async with db.tenant(tenant.tenant_id) as tx:
        made, secret = await runtime_keys.rotate(tx, SHELL, KEYRING.pepper, key[0].id, overlap=timedelta(minutes=1))
    assert (await old.call("GET", LIST)).status_code == 200  # for a minute, both
    newer = Client(client, secret)
    clock.forward(timedelta(minutes=1))
    assert [(await each.call("GET", LIST)).status_code for each in (old, newer)] == [401, 200]

    async with db.tenant(tenant.tenant_id) as tx:
        await runtimes.revoke(tx, SHELL, made.runtime_id)
    refused = await newer.call("GET", LIST)
    assert (refused.status_code, refused.json()["code"]) == (401, "runtime-key-over")


async def test_the_tenant_is_the_keys_whatever_the_header_says(client, key, mail, tenant):
    assert (await Client(client, key[1], tenant.slug).call("GET", LIST)).status_code == 200
    for stranger in (Client(client, key[1], "globex"), Client(client, tokens.mint("rk"))):
        refused = await stranger.call("GET", LIST)
        assert (refused.status_code, refused.json()["code"]) == (401, "runtime-key-unknown")


async def test_another_tenants_connection_is_absent(old, mail, make, db):
    other = await make.tenant()
    await policy(db, other)
    theirs = await typed(db, other)

    refused = await old.get(shown(theirs))

    assert refused.status_code == 404
    assert "s3cret" not in refused.text


async def test_it_is_asked_to_wait_in_whole_seconds(old, mail, monkeypatch):
    monkeypatch.setattr(limits, "UNSEALED_REFRESH", Rate(burst=1, every=timedelta(seconds=90.5)))

    replies = [await old.get(shown(mail), "/refresh", "POST") for _ in range(2)]

    assert [reply.status_code for reply in replies] == [200, 429]
    assert replies[1].headers["retry-after"].isdigit()


async def test_near_its_end_the_next_token_is_got_once_and_then_it_is_the_same(old, db, make, tenant, clock):
    await policy(db, tenant)
    async with serving() as strict:
        rig = await Rig(db, make, strict, replay="generic-oauth2").connect(tenant=tenant)
        first = (await old.get(shown(rig))).json()
        clock.forward(timedelta(minutes=56))
        again = [(await old.get(shown(rig), "/refresh", "POST")).json() for _ in range(3)]

        assert strict.calls == 1
        assert {each["access_token"] for each in again} != {first["access_token"]}
        assert len({each["access_token"] for each in again}) == 1
        assert rig.grant.refresh.encode() not in b"".join(old.bodies)
        await rig.close()


async def test_a_token_that_its_successor_kills_is_kept_while_it_lasts(old, db, make, tenant, clock):
    await policy(db, tenant)
    async with serving() as strict:
        rig = await Rig(db, make, strict, replay="atlassian").connect(tenant=tenant)
        first = (await old.get(shown(rig))).json()
        clock.forward(timedelta(minutes=56))
        again = (await old.get(shown(rig), "/refresh", "POST")).json()

        assert (again["access_token"], strict.calls) == (first["access_token"], 0)
        await rig.close()


class TestKeys:
    async def test_they_are_shown_once_and_two_work_at_the_same_time(self, client, make, tenant, runtime):
        admin = await make.api_key(tenant)
        keys = f"/v1/tenants/{tenant.slug}/runtimes/{text_id('rt', runtime)}/keys"

        made = await client.post(keys, headers=admin, json={})
        rotated = await client.post(f"{keys}/{made.json()['id']}/rotate", headers=admin, json={"overlap": 60})
        third = await client.post(keys, headers=admin, json={})
        gone = await client.delete(f"{keys}/{made.json()['id']}", headers=admin)
        listed = (await client.get(keys, headers=admin)).json()["data"]

        again = await client.post(f"{keys}/{made.json()['id']}/rotate", headers=admin, json={})

        assert (again.status_code, again.json()["code"]) == (409, "runtime-key-ended")
        assert [reply.status_code for reply in (made, rotated, third, gone)] == [201, 201, 409, 204]
        assert made.json()["key"].startswith("ec_rk_")
        assert third.json()["code"] == "runtime-key-two-work"
        assert {(each["rotated_from"], bool(each["revoked_at"])) for each in listed} == {
            (made.json()["id"], False),
            (None, True),
        }
        assert "ec_rk_" not in "".join(str(each.get("key")) for each in listed)

    async def test_none_lives_too_briefly_or_overlaps_too_long(self, db, tenant, runtime):
        async with db.tenant(tenant.tenant_id) as tx:
            with pytest.raises(RuntimeKeyUnfit):
                await runtime_keys.create(tx, SHELL, KEYRING.pepper, runtime, lifetime=timedelta(seconds=1))
            key, _ = await runtime_keys.create(tx, SHELL, KEYRING.pepper, runtime)
            with pytest.raises(RuntimeKeyUnfit):
                await runtime_keys.rotate(tx, SHELL, KEYRING.pepper, key.id, overlap=timedelta(days=31))

    async def test_the_switch_is_the_owners(self, client, make, tenant):
        settings = f"/v1/tenants/{tenant.slug}/settings"
        admin, owner = await make.api_key(tenant, role="admin"), await make.api_key(tenant)
        etag = {"if-match": (await client.get(settings, headers=owner)).headers["etag"]}

        refused = await client.patch(settings, headers=admin | etag, json={"unsealed_reads": False})
        changed = await client.patch(settings, headers=owner | etag, json={"unsealed_reads": False})

        assert refused.status_code == 403
        assert (changed.status_code, changed.json()["unsealed_reads"]) == (200, False)
