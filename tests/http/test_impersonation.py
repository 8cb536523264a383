"""Working as somebody: asked for, agreed to, begun, on record with both names, and over."""

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from controlplane.chores.impersonations import end_impersonations
from controlplane.db import schema as t
from controlplane.domain import audit, keys, people
from controlplane.domain.audit import Event, exports, stored
from controlplane.kit.ids import text_id
from tests.conftest import KEYRING
from tests.http.masked import Doing, case
from tests.make import SHELL


@pytest.fixture
async def doing(client, db, make):
    return Doing(client, await case(db, make))


@pytest.fixture
def look(client, doing):
    """As whoever sends *headers*, at something of the tenant."""

    async def look(headers, what="runs"):
        return await client.get(f"/v1/tenants/{doing.case.tenant.slug}/{what}", headers=headers)

    return look


@pytest.fixture
def chain(db, doing):
    """The tenant's events about impersonation and from within it, oldest first."""

    async def chain():
        async with db.tenant(doing.case.tenant.tenant_id) as tx:
            return [
                event for event in await audit.after(tx, 0, 200) if "imperson" in event.action or event.impersonator
            ]

    return chain


def code(answer):
    return answer.status_code, answer.json()["code"]


async def test_asked_for_it_waits_for_an_owner_and_nobody_works_as_anybody(doing, letters):
    asked = await doing.ask()

    assert asked.status_code == 201
    assert asked.json()["state"] == "requested"
    assert code(await doing.operator("start", asked.json()["id"])) == (409, "impersonation-state-conflict")
    box = await letters()
    [letter] = [each.text for each in box.messages if each.to == doing.case.owner.account.email]
    assert "a run that hangs" in letter
    assert f"http://test/console/t/{doing.case.tenant.slug}/impersonations" in letter


async def test_agreed_to_the_operator_sees_what_that_person_sees_and_is_named_in_every_answer(doing, look):
    _, worn = await doing.wear()

    runs, keys, users = await look(worn), await look(worn, "api-keys"), await look(worn, "users")

    assert runs.status_code == 200
    assert runs.headers["impersonated-by"] == text_id("acc", doing.case.operator.account.id)
    assert code(keys) == code(users) == (403, "permission-denied"), "a developer sees neither"
    assert keys.headers["impersonated-by"] == text_id("acc", doing.case.operator.account.id)
    assert "impersonated-by" not in (await look(doing.case.subject.headers)).headers


async def test_the_operators_own_session_goes_on_and_stopping_leads_back_to_it(client, doing, look):
    made, worn = await doing.wear()

    assert (await client.get("/v1/operator/tenants", headers=doing.case.operator.headers)).status_code == 200
    ended = await doing.operator("end", made, worn)

    assert (ended.json()["state"], ended.json()["outcome"]) == ("ended", "operator")
    assert "impersonation=" in ended.headers["set-cookie"]
    assert "Max-Age=0" in ended.headers["set-cookie"]
    assert code(await look(worn)) == (401, "impersonation-over")
    assert (await client.get("/v1/operator/tenants", headers=doing.case.operator.headers)).status_code == 200


async def test_every_event_has_both_names(client, db, doing, chain):
    made, worn = await doing.wear(mode="full")
    address = f"/v1/tenants/{doing.case.tenant.slug}/audit-events"
    exported = await client.get(f"{address}/export", headers=worn)
    assert exported.status_code == 403, "a developer reads no audit log"
    async with db.tenant(doing.case.tenant.tenant_id) as tx:
        people = await audit.people(tx, events := await audit.listing(tx, limit=50))
    await doing.operator("end", made, worn)

    [denied, *_] = events
    operator, subject = doing.case.operator.account, doing.case.subject.account
    assert (denied.action, denied.actor_kind) == ("access.denied", "account")
    assert (denied.actor_id, denied.impersonator) == (text_id("acc", subject.id), text_id("acc", operator.id))
    assert people[denied.seq].email == operator.email, "sealed is who really sent it"
    acts = [event.action for event in await chain()]
    assert acts == [
        "impersonation.requested",
        "impersonation.consented",
        "impersonation.started",
        "access.denied",
        "impersonation.ended",
    ]


async def test_the_audit_log_shows_both(client, db, make, doing):
    doing = Doing(doing.client, await case(db, make, role="admin"))
    _, worn = await doing.wear(mode="full")
    base = f"/v1/tenants/{doing.case.tenant.slug}"
    made = await client.post(f"{base}/projects", headers=worn, json={"slug": "fresh", "name": "Fresh"})
    assert made.status_code == 201, made.text

    [event, *_] = (await client.get(f"{base}/audit-events", headers=doing.case.owner.headers)).json()["data"]
    page = (await client.get(f"/console/t/{doing.case.tenant.slug}/audit", headers=doing.case.owner.headers)).text

    operator, subject = doing.case.operator.account, doing.case.subject.account
    assert event["action"] == "project.created"
    assert event["actor"] == {
        "kind": "account",
        "id": text_id("acc", subject.id),
        "impersonator": text_id("acc", operator.id),
    }
    assert event["person"]["email"] == operator.email
    assert f'>{operator.name}</bdi> <span class="dim">as</span> <bdi class="name">{subject.name}<' in page


async def test_the_chain_with_them_holds_here_and_far_away_and_shows_when_one_name_is_left_out(
    client, db, doing, look, tmp_path
):
    _, worn = await doing.wear()
    await look(worn, "api-keys")
    base = f"/v1/tenants/{doing.case.tenant.slug}/audit-events"
    checkpoint = (await client.get(f"{base}/checkpoint", headers=doing.case.owner.headers)).json()
    lines = (await client.get(f"{base}/export", headers=doing.case.owner.headers)).content
    for name, content in (("c", checkpoint["note"]), ("k", "\n".join(checkpoint["public_keys"]))):
        (tmp_path / name).write_text(content)

    def verdict(events):
        (tmp_path / "e").write_bytes(events)
        return exports.verify(tmp_path / "e", tmp_path / "c", tmp_path / "k")

    behind = f'"impersonator":"{text_id("acc", doing.case.operator.account.id)}",'.encode()
    assert (await stored.verify(db, KEYRING, doing.case.tenant.tenant_id)).unbroken
    assert [each["seq"] for each in map(json.loads, lines.splitlines()) if each["schema"] == 2]
    assert verdict(lines).unbroken
    assert behind in lines
    assert [each.kind for each in verdict(lines.replace(behind, b"", 1)).damages] == ["content"]


async def test_what_is_told_outside_has_both_as_well(client, db, make, doing):
    doing = Doing(client, await case(db, make, role="admin"))
    _, worn = await doing.wear(mode="full")
    base = f"/v1/tenants/{doing.case.tenant.slug}"
    await client.post(f"{base}/projects", headers=worn, json={"slug": "fresh", "name": "Fresh"})

    told = (await client.get(f"{base}/events", headers=doing.case.owner.headers)).json()["data"]

    by_type = {event["type"]: event["data"] for event in told}
    assert by_type["project.created"]["actor"]["impersonator"] == text_id("acc", doing.case.operator.account.id)
    assert by_type["impersonation.requested"]["mode"] == "full"
    assert "a run that hangs" not in str(told), "the reason stays where it is read with a permission"
    assert {"impersonation.requested", "impersonation.consented", "impersonation.started"} <= by_type.keys()


async def test_both_chains_know_of_it_and_the_platforms_without_the_reason(db, doing):
    made, _ = await doing.wear()
    await doing.owner("end", made)

    async with db.platform() as tx:
        its = t.platform_audit_events.c
        events = await tx.all(Event, tx.select(t.platform_audit_events).where(its.target_id == made).order_by(its.seq))

    assert [event.action.partition(".")[2] for event in events] == ["requested", "consented", "started", "ended"]
    assert all(event.facts["tenant"] == text_id("ten", doing.case.tenant.tenant_id) for event in events)
    assert "reason" not in events[0].facts
    assert events[0].facts["ticket"] == "T-1"


async def test_what_an_operator_does_as_somebody_stands_in_the_platforms_chain_too(client, db, make, doing):
    doing = Doing(client, await case(db, make, role="admin"))
    _, worn = await doing.wear(mode="full")
    base = f"/v1/tenants/{doing.case.tenant.slug}"
    await client.post(f"{base}/projects", headers=worn, json={"slug": "fresh", "name": "Fresh"})

    async with db.platform() as tx:
        its = t.platform_audit_events.c
        [outside] = await tx.all(
            Event,
            tx.select(t.platform_audit_events).where(its.action == "project.created", its.impersonator.is_not(None)),
        )

    assert outside.impersonator == text_id("acc", doing.case.operator.account.id)
    assert outside.facts["tenant"] == text_id("ten", doing.case.tenant.tenant_id)
    assert (await stored.verify(db, KEYRING, None)).unbroken


async def test_who_is_behind_it_goes_with_the_operators_key_and_not_with_the_persons(db, doing, look):
    _, worn = await doing.wear()
    await look(worn, "api-keys")
    left = []
    for account in (doing.case.subject.account, doing.case.operator.account):
        async with db.tenant(doing.case.tenant.tenant_id) as tx:
            audit.record(tx, SHELL, "person.erased", ("account", text_id("acc", account.id)))
            await keys.shred(tx, subject=text_id("acc", account.id))
        async with db.tenant(doing.case.tenant.tenant_id) as tx:
            [event] = [each for each in await audit.after(tx, 0, 100) if each.impersonator is not None]
            left.append((await audit.people(tx, [event]))[event.seq])

    assert left[0] is not None
    assert left[1] is None


async def test_where_the_tenant_allows_it_it_begins_at_once_and_owners_hear_of_it(doing, letters):
    assert (await doing.policy("allow")).status_code == 200

    asked = (await doing.ask()).json()
    began = await doing.operator("start", asked["id"])

    assert (asked["state"], asked["consented_by"]) == ("consented", "policy")
    assert began.status_code == 200
    told = [each.to for each in (await letters()).messages]
    assert told.count(doing.case.owner.account.email) == 2, "that it may be, and that it is"
    assert doing.case.subject.account.email in told


async def test_where_the_tenant_lets_nobody_it_is_refused_on_record_and_owners_hear_of_it(doing, letters, chain):
    await doing.policy("never")

    refused = await doing.ask()

    assert code(refused) == (403, "impersonation-never")
    assert [(event.action, event.outcome) for event in await chain()][1:] == [("impersonation.requested", "denied")]
    [letter] = (await letters()).messages
    assert letter.to == doing.case.owner.account.email


async def test_an_owner_can_refuse_and_then_there_is_nothing_to_begin(doing):
    made = (await doing.ask()).json()["id"]

    refused = await doing.owner("refuse", made)

    assert (refused.json()["state"], refused.json()["outcome"]) == ("refused", "refused")
    assert code(await doing.operator("start", made)) == (409, "impersonation-state-conflict")
    assert code(await doing.owner("consent", made)) == (409, "impersonation-state-conflict")


async def test_nobody_agrees_to_what_they_asked_for_themselves(db, doing, make):
    async with db.tenant(doing.case.tenant.tenant_id) as tx:
        await people.add_user(tx, SHELL, doing.case.operator.account, "owner")
    made = (await doing.ask()).json()["id"]

    own = await doing.owner("consent", made, doing.case.operator.headers)

    assert code(own) == (403, "impersonation-own-request")


async def test_a_request_that_nobody_answers_expires_and_so_does_a_consent_that_nobody_uses(db, doing, clock, make):
    made = (await doing.ask()).json()["id"]
    clock.forward(timedelta(hours=24))
    late = await doing.owner("consent", made, await make.api_key(doing.case.tenant))
    await end_impersonations(db)
    again = Doing(doing.client, await case(db, make))
    other = (await again.ask()).json()["id"]
    await again.owner("consent", other)
    clock.forward(timedelta(hours=8))
    operator = await make.signed_in(again.case.operator.account)

    assert code(late) == (409, "impersonation-state-conflict")
    assert code(await again.operator("start", other, operator.headers)) == (409, "impersonation-state-conflict")


async def test_one_asks_once(doing):
    first = (await doing.ask()).json()["id"]

    assert code(await doing.ask()) == (409, "impersonation-asked")
    await doing.operator("end", first)
    assert (await doing.ask()).status_code == 201


async def test_who_never_came_in_or_was_deactivated_cannot_be_worked_as(client, doing):
    base = f"/v1/tenants/{doing.case.tenant.slug}/users/{doing.case.user}"
    await client.patch(base, headers=doing.case.owner.headers, json={"status": "disabled"})

    assert code(await doing.ask()) == (409, "impersonation-of-nobody")


async def test_a_key_asks_and_does_not_begin_and_another_operator_neither(doing, make):
    made = (await doing.ask()).json()["id"]
    await doing.owner("consent", made)

    key, other = await make.operator_key(doing.case.operator), await make.operator()

    assert code(await doing.operator("start", made, key)) == (403, "impersonation-needs-session")
    assert code(await doing.operator("start", made, other.headers)) == (404, "not-found")


async def test_asking_agreeing_beginning_and_the_policy_take_a_fresh_proof(client, doing, clock):
    made = (await doing.ask()).json()["id"]
    clock.forward(timedelta(minutes=6))

    refused = [
        await doing.ask(),
        await doing.owner("consent", made),
        await doing.operator("start", made),
        await doing.policy("allow"),
    ]

    assert {code(each) for each in refused} == {(403, "reauthentication-required")}
    assert (await doing.owner("refuse", made)).status_code == 200, "stopping takes none"


async def test_only_owners_decide_the_policy(doing, make):
    admin = await make.person(doing.case.tenant, "admin")

    assert code(await doing.policy("allow", admin.headers)) == (403, "permission-denied")
    assert (await doing.policy("never")).json()["impersonation_policy"] == "never"


async def test_in_one_session_one_works_as_one(db, doing, make):
    await doing.policy("allow")
    first = (await doing.ask()).json()["id"]
    await doing.operator("start", first)
    other = await case(db, make)
    second = Doing(doing.client, replace(other, operator=doing.case.operator))
    await second.policy("allow")
    made = (await second.ask()).json()["id"]

    assert code(await second.operator("start", made)) == (409, "impersonation-under-way")
