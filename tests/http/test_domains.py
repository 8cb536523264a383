"""Which tenant a mail domain belongs to: proved in a real DNS, looked at again, and let go when the proof is gone."""

import dns.rcode
import pytest

from controlplane.chores.check_domains import check_domains
from controlplane.domain import domains
from controlplane.domain.domains import CHECKED_EVERY, FAILED_AGAIN_AFTER, MOST_FAILED
from controlplane.kit.txt_records import TxtRecords
from tests.http.sso import Api


@pytest.fixture
async def api(client, make):
    tenant = await make.tenant()
    return Api(client, tenant, await make.api_key(tenant))


@pytest.fixture
async def other(client, make):
    """Another tenant's."""
    tenant = await make.tenant()
    return Api(client, tenant, await make.api_key(tenant))


@pytest.fixture
def claim(api):
    async def claim(name="acme.example", by=api):
        return await by("POST", "/domains", json={"name": name})

    return claim


@pytest.fixture
def verify(api):
    async def verify(domain, by=api):
        return await by("POST", f"/domains/{domain['id']}/verify")

    return verify


@pytest.fixture
def look(db, names):
    host, _, port = names.place.partition(":")
    return lambda: check_domains(db, TxtRecords([(host, int(port))]))


async def test_a_domain_is_the_tenants_once_its_record_is_in_the_dns(claim, verify, names, api):
    made = (await claim("ACME.example.")).json()
    assert (made["name"], made["status"], made["finding"]) == ("acme.example", "pending", "")
    assert made["record"]["name"] == "_engine-cloud.acme.example"

    before = (await verify(made)).json()
    names.records["_engine-cloud.acme.example"] = ["v=spf1 -all", made["record"]["value"]]
    after = (await verify(made)).json()

    assert (before["status"], before["finding"]) == ("pending", "no-record")
    assert (after["status"], after["finding"]) == ("verified", "found")
    shown = (await api("GET", f"/domains/{made['id']}")).json()
    assert shown["verified_at"]
    events = (await api("GET", "/audit-events")).json()["data"]
    assert {"domain.created", "domain.verified"} <= {event["action"] for event in events}


async def test_another_value_is_named_as_such_and_proves_nothing(claim, verify, names):
    made = (await claim()).json()
    names.records["_engine-cloud.acme.example"] = ["engine-cloud-domain=somebody-elses", made["record"]["value"][:-1]]
    answer = (await verify(made)).json()
    names.records["_engine-cloud.acme.example"] = [made["record"]["value"].partition("=")[2]]
    without_its_beginning = (await verify(made)).json()

    assert (answer["status"], answer["finding"]) == ("pending", "other-value")
    assert without_its_beginning["finding"] == "other-value"


async def test_a_dns_that_does_not_answer_proves_nothing_either_way(claim, verify, names):
    made = (await claim()).json()
    names.trouble = dns.rcode.REFUSED

    answer = (await verify(made)).json()

    assert (answer["status"], answer["finding"]) == ("pending", "not-answered")


@pytest.mark.parametrize("name", ["gmail.com", "GoogleMail.com", "outlook.com", "qq.com"])
async def test_where_everybody_can_have_an_address_is_nobodys(claim, name):
    answer = await claim(name)

    assert (answer.status_code, answer.json()["code"]) == (400, "domain-for-everybody")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "localhost",
        "a@acme.example",
        "acme..example",
        "-acme.example",
        "10.0.0.1",
        "acme example",
        "x" * 70 + ".de",
        "\u00e4.de",
    ],
)
async def test_what_is_no_domain_is_refused(claim, name):
    answer = await claim(name)

    assert (answer.status_code, answer.json()["code"]) == (400, "domain-invalid")


async def test_a_tenant_has_so_many_domains_and_no_more(claim, monkeypatch):
    monkeypatch.setattr(domains, "MOST", 1)
    await claim()

    answer = await claim("two.example")

    assert (answer.status_code, answer.json()["code"]) == (409, "domains-too-many")


async def test_a_tenant_claims_a_domain_once(claim):
    await claim()

    assert (await claim()).json()["code"] == "domain-exists"


async def test_a_domain_belongs_to_one_tenant_and_only_who_proves_it_learns_that(claim, verify, names, other):
    made = (await claim()).json()
    names.records["_engine-cloud.acme.example"] = [made["record"]["value"]]
    await verify(made)

    theirs = await claim(by=other)
    assert theirs.status_code == 201
    assert (await verify(theirs.json(), by=other)).json()["finding"] == "other-value"
    names.records["_engine-cloud.acme.example"].append(theirs.json()["record"]["value"])
    answer = await verify(theirs.json(), by=other)

    assert (answer.status_code, answer.json()["code"]) == (409, "domain-taken")


async def test_a_domain_that_is_deleted_is_free_for_others(api, claim, verify, names, other):
    made = (await claim()).json()
    names.records["_engine-cloud.acme.example"] = [made["record"]["value"]]
    await verify(made)

    assert (await api("DELETE", f"/domains/{made['id']}")).status_code == 204

    theirs = (await claim(by=other)).json()
    names.records["_engine-cloud.acme.example"] = [theirs["record"]["value"]]
    assert (await verify(theirs, by=other)).json()["status"] == "verified"


async def test_records_are_looked_for_every_week_and_a_domain_without_is_let_go(db, clock, claim, verify, names, look):
    made = (await claim()).json()
    names.records["_engine-cloud.acme.example"] = [made["record"]["value"]]
    await verify(made)
    assert await look() == 0
    clock.forward(CHECKED_EVERY)
    assert await look() == 1
    assert await look() == 0

    names.records.clear()
    clock.forward(CHECKED_EVERY)
    for _ in range(MOST_FAILED - 1):
        assert await look() == 1
        assert await db.tenant_of(domains.ROUTE, b"acme.example") is not None
        clock.forward(FAILED_AGAIN_AFTER)
    assert await look() == 1

    assert await db.tenant_of(domains.ROUTE, b"acme.example") is None
    clock.forward(CHECKED_EVERY)
    assert await look() == 0


async def test_a_dns_that_is_away_takes_no_domain_away(db, clock, claim, verify, names, look):
    made = (await claim()).json()
    names.records["_engine-cloud.acme.example"] = [made["record"]["value"]]
    await verify(made)
    names.trouble = dns.rcode.REFUSED
    clock.forward(CHECKED_EVERY)

    for _ in range(MOST_FAILED + 2):
        assert await look() == 1
        clock.forward(FAILED_AGAIN_AFTER)

    assert await db.tenant_of(domains.ROUTE, b"acme.example") is not None


async def test_a_lapsed_domain_comes_back_with_its_record(clock, claim, verify, names, look, api):
    made = (await claim()).json()
    value = made["record"]["value"]
    names.records["_engine-cloud.acme.example"] = [value]
    await verify(made)
    names.records.clear()
    clock.forward(CHECKED_EVERY)
    for _ in range(MOST_FAILED):
        await look()
        clock.forward(FAILED_AGAIN_AFTER)
    assert (await api("GET", f"/domains/{made['id']}")).json()["status"] == "lapsed"

    names.records["_engine-cloud.acme.example"] = [value]

    assert (await verify(made)).json()["status"] == "verified"
