"""The audit log through the API: what was done, by whom, what was turned down, and the proof of it all."""

import json
import re
from datetime import timedelta

import asyncpg
import pytest

from controlplane.chores import audit_logs
from controlplane.domain import audit, keys
from controlplane.domain.audit import checkpoints, exports
from controlplane.domain.audit.denials import ONE_BY_ONE
from controlplane.kit import tokens
from tests.conftest import KEYRING
from tests.make import bearer

BROWSER = {"user-agent": "Netscape 4"}


@pytest.fixture
async def tenant(make):
    return await make.tenant("acme")


@pytest.fixture
async def owner(make, tenant):
    return await make.person(tenant)


@pytest.fixture
def log(client, owner):
    async def log(**filters):
        answer = await client.get("/v1/tenants/acme/audit-events", headers=owner.headers, params=filters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return log


async def change(client, owner):
    answer = await client.post(
        "/v1/tenants/acme/api-keys", headers={**owner.headers, **BROWSER}, json={"name": "x", "role": "viewer"}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_event_says_who_it_was_from_where_and_with_what(client, owner, log):
    made = await change(client, owner)

    [event, *_] = await log()

    assert event["action"] == "api-key.created"
    assert event["target"] == {"kind": "api-key", "id": made["id"]}
    assert event["person"] == {
        "address": "127.0.0.1",
        "client": "Netscape 4",
        "name": owner.account.name,
        "email": owner.account.email,
    }
    assert event["erased"] is False
    alone = await client.get(f"/v1/tenants/acme/audit-events/{event['id']}", headers=owner.headers)
    assert alone.json() == event


async def test_whoever_reads_the_log_is_on_record_once_an_hour(client, make, owner, tenant, log, clock):
    key = await make.api_key(tenant)
    await client.get("/v1/tenants/acme/audit-events", headers=key)
    await log()
    await log(limit=1)
    await client.get(f"/v1/tenants/acme/audit-events/{(await log())[0]['id']}", headers=owner.headers)

    read = await log(action="audit.read")
    clock.forward(timedelta(hours=1, seconds=1))
    late = await make.signed_in(owner.account)
    page = await client.get("/console/t/acme/audit", headers=late.headers)
    again = (await client.get("/v1/tenants/acme/audit-events?action=audit.read", headers=late.headers)).json()

    assert [each["actor"]["kind"] for each in read] == ["account", "api-key"]
    assert read[0]["person"]["email"] == owner.account.email
    assert page.status_code == 200
    assert [each["actor"]["kind"] for each in again["data"]] == ["account", "account", "api-key"]


async def test_no_person_stands_in_the_database_in_clear(client, owner, log, db, tenant):
    await change(client, owner)

    async with db.tenant(tenant.tenant_id) as tx:
        raw = b"".join(audit.line(tenant.tenant_id, event) for event in await audit.after(tx, 0, 100))

    for known in (owner.account.email, "Netscape", "127.0.0.1"):
        assert known.encode() not in raw


async def test_the_log_is_narrowed(client, owner, log):
    made = [await change(client, owner) for _ in range(3)]
    mine = (await log())[0]["actor"]["id"]

    created = await log(action="api-key.created")
    assert [event["target"]["id"] for event in created] == [key["id"] for key in reversed(made)]
    assert {event["action"].partition(".")[0] for event in await log(action="api-key.")} == {"api-key"}
    assert [event["target"]["id"] for event in await log(target=made[1]["id"])] == [made[1]["id"]]
    assert {event["actor"]["id"] for event in await log(actor=mine, outcome="success")} == {mine}
    assert await log(outcome="denied") == []
    assert await log(since="2199-01-01T00:00:00Z") == []


async def test_the_log_is_read_in_pages(client, owner, log):
    for _ in range(3):
        await change(client, owner)
    await log()  # after which it is on record that they read it
    seen, cursor = [], None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = await client.get("/v1/tenants/acme/audit-events", headers=owner.headers, params=params)
        seen += [event["seq"] for event in answer.json()["data"]]
        cursor = answer.json()["page"]["next_cursor"]
        if cursor is None:
            break

    assert seen == list(range(len(await log()), 0, -1))


async def test_what_the_api_gives_verifies_with_nothing_else(client, owner, tmp_path):
    for _ in range(3):
        await change(client, owner)
    lines, last = b"", 0
    while True:
        answer = await client.get("/v1/tenants/acme/audit-events/export", headers=owner.headers, params={"after": last})
        assert answer.headers["content-type"].startswith("application/jsonl")
        if not answer.content:
            break
        lines += answer.content
        last = json.loads(lines.splitlines()[-1])["seq"]
    checkpoint = (await client.get("/v1/tenants/acme/audit-events/checkpoint", headers=owner.headers)).json()
    (tmp_path / "e").write_bytes(lines)
    (tmp_path / "c").write_text(checkpoint["note"])
    (tmp_path / "k").write_text("\n".join(checkpoint["public_keys"]))

    verdict = exports.verify(tmp_path / "e", tmp_path / "c", tmp_path / "k")

    assert verdict.unbroken
    assert verdict.signed_through == checkpoint["size"] == verdict.last_seq
    assert json.loads(lines.splitlines()[-1])["action"] == "audit.exported"


async def test_verification_says_how_far_it_is(client, owner, db):
    address = "/v1/tenants/acme/audit-events/verification"
    before = (await client.get(address, headers=owner.headers)).json()
    assert (before["verified_through"], before["signed_through"], before["whole_at"]) == (0, 0, None)

    await audit_logs.sign(db, KEYRING, None)

    after = (await client.get(address, headers=owner.headers)).json()
    assert after["verified_through"] == after["signed_through"] == before["last_seq"]
    assert after["damages"] == []
    assert after["kept_days"] == 400


async def test_a_denial_is_on_record_with_the_permission_that_was_missing(client, make, tenant, log):
    viewer = await make.person(tenant, "viewer")

    answer = await client.post("/v1/tenants/acme/api-keys", headers=viewer.headers, json={"name": "x"})
    assert answer.status_code == 403

    [event, *_] = await log()
    assert (event["action"], event["outcome"]) == ("access.denied", "denied")
    assert event["target"] == {"kind": "permission", "id": "api-key:create"}
    assert event["person"]["email"] == viewer.account.email
    assert event["facts"] == {
        "code": "permission-denied",
        "method": "POST",
        "path": "/v1/tenants/{tenant}/api-keys",
    }


async def test_many_denials_of_one_caller_do_not_flood_the_log(client, make, tenant, log):
    viewer = await make.person(tenant, "viewer")

    for _ in range(ONE_BY_ONE + 20):
        await client.get("/v1/tenants/acme/audit-events", headers=viewer.headers)

    assert len(await log(outcome="denied", limit="100")) == ONE_BY_ONE


async def test_a_revoked_key_is_on_record_in_its_own_tenant(client, owner, log):
    made = await change(client, owner)
    await client.delete(f"/v1/tenants/acme/api-keys/{made['id']}", headers=owner.headers)

    answer = await client.get("/v1/tenants/acme", headers=bearer(made["key"]))
    assert answer.json()["code"] == "api-key-revoked"

    [event, *_] = await log()
    assert event["action"] == "authentication.refused"
    assert event["facts"]["code"] == "api-key-revoked"
    assert event["actor"] == {"kind": "nobody", "id": "", "impersonator": None}


async def test_a_key_of_nobody_is_on_record_on_the_platform(client, db, log):
    await client.get("/v1/tenants/acme", headers=bearer(tokens.mint("sk")))

    assert await log(outcome="denied") == []
    async with db.platform() as tx:
        [event] = [each for each in await _platform(tx) if each.action == "authentication.refused"]
    assert event.facts["code"] == "api-key-unknown"


async def test_somebody_at_a_foreign_tenants_door_is_on_record_at_home(client, make, db, log, tenant):
    other = await make.tenant("birch")
    key, person = await make.api_key(other), await make.person(other)

    for headers in (key, person.headers):
        assert (await client.get("/v1/tenants/acme", headers=headers)).status_code == 404

    assert await log(outcome="denied") == []
    async with db.tenant(other.tenant_id) as tx:
        [event, *_] = await audit.listing(tx, limit=1)
    assert (event.action, event.target_kind, event.target_id) == ("access.denied", "tenant", "acme")
    async with db.platform() as tx:
        [event] = [each for each in await _platform(tx) if each.action == "access.denied"]
    assert (event.target_kind, event.target_id) == ("tenant", "acme")


async def test_what_is_simply_not_there_is_no_denial(client, owner, log):
    await client.get("/v1/tenants/acme/api-keys/key_nothing", headers=owner.headers)

    assert await log(outcome="denied") == []


async def _platform(tx):
    return await checkpoints.behind(tx, 0)


@pytest.fixture
async def page(client, owner, db):
    async def page(address="/console/t/acme/audit", **params):
        return await client.get(address, headers=owner.headers, params=params)

    return page


async def test_the_page_says_whether_the_log_is_what_was_written(client, owner, page, db):
    assert "Not verified yet" in (await page()).text

    done = await client.post("/console/t/acme/audit/verify", headers=owner.headers)

    assert (done.status_code, done.headers["location"]) == (303, "/console/t/acme/audit")
    assert "The log is unbroken" in (await page()).text


async def test_the_page_names_damage(page, db, admin_url):
    connection = await asyncpg.connect(admin_url)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("UPDATE audit_events SET action = 'nothing.happened' WHERE seq = 2")
    await connection.close()
    await audit_logs.verify(db, KEYRING)

    text = (await page()).text

    assert "The log is damaged" in text
    assert "event 2 is not what was written" in text


async def test_the_page_shows_who_did_what_and_can_be_narrowed(client, owner, page):
    made = await change(client, owner)

    assert made["id"] in (await page()).text
    assert made["id"] in (await page(action="api-key.")).text
    assert "No event matches" in (await page(action="session.")).text
    assert "No event matches" in (await page(actor="acc_nobody", outcome="denied", period="24h")).text


async def test_the_page_goes_on_to_older_events(client, owner, page, db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        for number in range(60):
            audit.record(tx, audit.Actor(kind="account", id="acc_x"), "test.happened", ("thing", f"thing_{number}"))

    first = (await page()).text
    assert "thing_59" in first
    assert "thing_10" in first
    assert "thing_9" not in first
    assert "thing_9" in (await page(before=re.search(r"before=(\d+)", first)[1])).text


async def test_the_page_is_for_those_who_may_read_the_log(client, make, tenant):
    viewer = await make.person(tenant, "viewer")

    assert (await client.get("/console/t/acme/audit", headers=viewer.headers)).status_code == 403
    assert "/audit" not in (await client.get("/console/t/acme/", headers=viewer.headers)).text


async def test_an_erased_person_is_shown_as_erased(client, owner, page, log, db, tenant):
    await change(client, owner)
    [event, *_] = await log()
    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, audit.Actor(kind="shell", id="x"), "person.erased", ("account", event["actor"]["id"]))
        await keys.shred(tx, subject=event["actor"]["id"])

    [_, event, *_] = await log()
    assert (event["person"], event["erased"]) == (None, True)
    assert "name erased" in (await page()).text
