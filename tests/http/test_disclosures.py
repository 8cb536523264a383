"""Credentials that people read: by two of them or not at all, once, soon, and with both names on record."""

import re
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from controlplane.db import schema as t
from controlplane.domain import audit
from controlplane.domain.vault import leaving
from controlplane.kit.ids import text_id
from tests.http.agents import code
from tests.http.lessees import typed
from tests.make import SHELL


class Both:
    """Two owners, and what they do."""

    def __init__(self, client, tenant, ada, bob):
        self.client, self.tenant, self.ada, self.bob = client, tenant, ada, bob

    async def ask(self, connection, who=None, reason="the provider wants it in a call"):
        said = {"connection": text_id("con", connection.id), "reason": reason}
        headers = (who or self.ada).headers
        return await self.client.post(f"/v1/tenants/{self.tenant.slug}/disclosures", headers=headers, json=said)

    async def do(self, act, made, who):
        address = f"/v1/tenants/{self.tenant.slug}/disclosures/{made.json()['id']}/{act}"
        return await self.client.post(address, headers=who.headers)

    async def policy(self, policy, headers=None):
        headers = {"If-Match": "*", **(headers or self.ada.headers)}
        address = f"/v1/tenants/{self.tenant.slug}/settings"
        return await self.client.patch(address, headers=headers, json={"disclosure_policy": policy})


@pytest.fixture
async def both(client, make, tenant):
    both = Both(client, tenant, await make.person(tenant), await make.person(tenant))
    assert (await both.policy("two_people")).status_code == 200
    return both


@pytest.fixture
async def connection(db, tenant):
    return await typed(db, tenant)


@pytest.fixture
def told(db, tenant):
    """The tenant's events about it, oldest first."""

    async def told():
        async with db.tenant(tenant.tenant_id) as tx:
            return [event for event in await audit.after(tx, 0, 200) if event.action.startswith("disclosure.")]

    return told


async def test_one_asks_another_agrees_and_the_first_reads_it_once(both, connection, told):
    made = await both.ask(connection)
    agreed = await both.do("approve", made, both.bob)
    read = await both.do("read", made, both.ada)

    assert (made.status_code, agreed.json()["state"]) == (201, "approved")
    assert read.json()["values"] == {"value": "s3cret-of-acme"}
    assert read.headers["cache-control"] == "no-store"
    assert code(await both.do("read", made, both.ada)) == (409, "disclosure-state-conflict")
    ada, bob = (text_id("acc", each.account.id) for each in (both.ada, both.bob))
    events = await told()
    assert [(event.action, event.actor_id) for event in events] == [
        ("disclosure.requested", ada),
        ("disclosure.approved", bob),
        ("disclosure.read", ada),
    ]
    assert all(event.facts["requested_by"] == ada for event in events)
    assert [event.facts["approved_by"] for event in events] == [None, bob, bob]
    assert len(events[-1].facts["fingerprints"][0]) == 32


async def test_one_person_alone_never_does_it(client, db, make, tenant, both, connection):
    made = await both.ask(connection)

    assert code(await both.do("read", made, both.ada)) == (409, "disclosure-state-conflict")
    assert code(await both.do("approve", made, both.ada)) == (403, "disclosure-own-request")
    again = await make.signed_in(both.ada.account)
    assert code(await both.do("approve", made, again)) == (403, "disclosure-own-request")
    assert code(await both.ask(connection)) == (409, "disclosure-asked")
    key = await make.api_key(tenant)
    said = {"connection": text_id("con", connection.id), "reason": "r"}
    for path, body in (("", said), (f"/{made.json()['id']}/approve", None), (f"/{made.json()['id']}/read", None)):
        answer = await client.post(f"/v1/tenants/{tenant.slug}/disclosures{path}", headers=key, json=body)
        assert code(answer) == (403, "disclosure-for-people"), path

    async def past_the_code():
        async with db.tenant(tenant.tenant_id) as tx:
            await tx.run(tx.update(t.disclosures).values(approved_by=both.ada.account.id, approved_at=tx.now))

    with pytest.raises(IntegrityError, match="two_people"):
        await past_the_code()


async def test_whoever_agreed_does_not_read_it_and_nobody_agrees_for_somebody_who_may_not_ask(
    make, tenant, both, connection
):
    made = await both.ask(connection)
    await both.do("approve", made, both.bob)

    assert code(await both.do("read", made, both.bob)) == (403, "disclosure-not-yours")
    developer = await make.person(tenant, "developer")
    assert code(await both.ask(connection, developer)) == (403, "permission-denied")
    assert code(await both.do("approve", made, developer)) == (403, "permission-denied")


async def test_it_is_read_within_fifteen_minutes_and_agreed_to_within_a_day(clock, make, both, connection):
    late, later = await both.ask(connection), await both.ask(connection, both.bob)
    await both.do("approve", late, both.bob)
    clock.forward(timedelta(minutes=15))
    assert code(await both.do("read", late, await make.signed_in(both.ada.account))) == (
        409,
        "disclosure-state-conflict",
    )

    clock.forward(timedelta(hours=24))
    refused = await both.do("approve", later, await make.signed_in(both.ada.account))
    assert refused.json()["state"] == "expired"


async def test_it_takes_a_fresh_proof(clock, both, connection):
    made = await both.ask(connection)
    clock.forward(timedelta(minutes=20))

    for answer in (
        await both.ask(connection),
        await both.do("approve", made, both.bob),
        await both.do("read", made, both.ada),
    ):
        assert code(answer) == (403, "reauthentication-required")


async def test_it_can_be_refused_withdrawn_and_shut_for_everybody(both, connection):
    refused, withdrawn = await both.ask(connection), await both.ask(connection, both.bob)
    await both.do("approve", refused, both.bob)
    assert (await both.do("refuse", refused, both.bob)).json()["state"] == "refused"
    assert (await both.do("refuse", withdrawn, both.bob)).json()["state"] == "withdrawn"
    assert code(await both.do("read", refused, both.ada)) == (409, "disclosure-state-conflict")

    shut = await both.ask(connection)
    await both.do("approve", shut, both.bob)
    assert (await both.policy("never")).json()["disclosure_policy"] == "never"
    for answer in (await both.ask(connection), await both.do("read", shut, both.ada)):
        assert code(answer) == (403, "disclosure-never")
    await both.policy("two_people")
    assert code(await both.do("read", shut, both.ada)) == (409, "disclosure-state-conflict")


async def test_it_is_shut_until_an_owner_opens_it(client, make, tenant, connection):
    both = Both(client, tenant, await make.person(tenant), await make.person(tenant, "admin"))

    assert code(await both.ask(connection)) == (403, "disclosure-never")
    assert code(await both.policy("two_people", both.bob.headers)) == (403, "permission-denied")


async def test_every_owner_gets_a_letter_each_time(both, connection, letters):
    made = await both.ask(connection)
    await both.do("approve", made, both.bob)
    await both.do("read", made, both.ada)

    box = await letters()

    for owner in (both.ada, both.bob):
        asked, agreed, read = [each.text for each in box.messages if each.to == owner.account.email]
        assert "the provider wants it in a call" in asked
        assert "has agreed" in agreed
        assert "has read" in read
        assert "s3cret" not in asked + agreed + read


async def test_another_tenants_is_not_there_and_what_is_disabled_is_not_read(db, make, both, connection, tenant):
    theirs = await typed(db, await make.tenant())
    assert code(await both.ask(theirs)) == (404, "not-found")

    made = await both.ask(connection)
    await both.do("approve", made, both.bob)
    async with db.tenant(tenant.tenant_id) as tx:
        await leaving.disable(tx, SHELL, connection.id)
    assert code(await both.do("read", made, both.ada)) == (409, "connection-not-served")
    shown = await both.client.get(f"/v1/tenants/{tenant.slug}/disclosures", headers=both.ada.headers)
    assert [row["state"] for row in shown.json()["data"]] == ["approved"]


async def test_on_the_connections_page_two_people_do_it(client, both, tenant, connection):
    here = f"/console/t/{tenant.slug}/connections/{text_id('con', connection.id)}"

    async def at(who, path="", **form):
        method = "POST" if path else "GET"
        return await client.request(
            method, f"{here}{path}", headers={**who.headers, "origin": "http://test"}, data=form
        )

    assert (await at(both.ada, "/disclosures", reason=" ")).status_code == 400
    assert (await at(both.ada, "/disclosures", reason="a call")).status_code == 303
    page = await at(both.bob)
    assert "a call" in page.text
    [there] = set(re.findall(rf"{here}(/disclosures/dis_\w+)/approve", page.text))
    assert f"{there}/approve" not in (await at(both.ada)).text

    assert "Somebody else has to agree" in (await at(both.ada, f"{there}/approve")).text
    assert (await at(both.bob, f"{there}/approve")).status_code == 303
    read = await at(both.ada, f"{there}/read")
    assert "s3cret-of-acme" in read.text
    assert read.headers["cache-control"] == "no-store"
    assert "s3cret-of-acme" not in (await at(both.ada, f"{there}/read")).text
