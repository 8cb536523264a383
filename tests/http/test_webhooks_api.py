"""Webhooks over the API and in the console: made, tested, looked at, turned off; the events feed beside it."""

import asyncio
from urllib.parse import urlencode

import pytest

from controlplane.domain import audit, projects
from tests.hooks import receiving
from tests.make import SHELL

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def api(client, make, tenant):
    key = await make.api_key(tenant)

    async def api(method, path, **given):
        """Changes are of whichever state there is."""
        headers = {**key, "If-Match": "*"} if method in ("PATCH", "DELETE") else key
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=headers, **given)

    return api


@pytest.fixture
async def receiver():
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def happen(db, tenant):
    async def happen(slug):
        async with db.tenant(tenant.tenant_id) as tx:
            await projects.create(tx, SHELL, slug, "P", "dev")

    return happen


async def test_the_secret_is_shown_once_and_the_rest_again(api, receiver):
    made = (await api("POST", "/webhooks", json={"url": receiver.url, "types": ["project.created"]})).json()

    shown = await api("GET", f"/webhooks/{made['id']}")
    listed = await api("GET", "/webhooks")

    assert made.pop("secret").startswith("whsec_")
    assert shown.json() == made == listed.json()["data"][0]
    assert "whsec_" not in shown.text + listed.text


@pytest.mark.parametrize(
    "url",
    ["https://169.254.169.254/latest", "https://10.0.0.1/", "https://a:b@example.com/"],
)
async def test_an_address_that_must_not_be_called_is_refused_at_once(api, url, receiver):
    made = (await api("POST", "/webhooks", json={"url": receiver.url})).json()

    for answer in (
        await api("POST", "/webhooks", json={"url": url}),
        await api("PATCH", f"/webhooks/{made['id']}", json={"url": url}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "address-refused")


async def test_a_test_says_what_the_receiver_answered(api, receiver, clock):
    made = (await api("POST", "/webhooks", json={"url": receiver.url, "types": ["user.added"]})).json()

    done = (await api("POST", f"/webhooks/{made['id']}/test")).json()

    assert (done["state"], done["reason"], done["tries"][0]["status"]) == ("delivered", "test", 200)
    told = receiver.verified(made["secret"], clock.now)
    assert (told["type"], told["sequence"]) == ("webhook.test", None)
    assert (await api("GET", f"/webhooks/{made['id']}")).json()["failing_since"] is None


async def test_deliveries_are_listed_shown_and_replayed(api, receiver):
    made = (await api("POST", "/webhooks", json={"url": receiver.url})).json()
    here = f"/webhooks/{made['id']}"
    receiver.answers(500)
    done = (await api("POST", f"{here}/test")).json()

    assert (await api("GET", f"{here}/deliveries/{done['id']}")).json() == done
    assert (await api("GET", f"{here}/deliveries", params={"state": "pending"})).json()["data"] == [done]
    assert (await api("GET", f"{here}/deliveries", params={"state": "delivered"})).json()["data"] == []
    again = await api("POST", f"{here}/deliveries/{done['id']}/replay")
    assert (again.status_code, again.json()["event"]) == (202, done["event"])


async def test_a_disabled_webhook_takes_no_test_and_is_enabled_again(api, receiver):
    made = (await api("POST", "/webhooks", json={"url": receiver.url})).json()
    here = f"/webhooks/{made['id']}"

    off = (await api("PATCH", here, json={"state": "disabled"})).json()

    assert (off["state"], off["state_reason"][:16]) == ("disabled", "disabled by api-")
    assert (await api("POST", f"{here}/test")).json()["code"] == "webhook-disabled"
    assert (await api("PATCH", here, json={"state": "enabled"})).json()["state"] == "enabled"


async def test_what_was_done_to_a_webhook_is_on_record_without_its_address_or_secret(api, receiver, db, tenant):
    made = (await api("POST", "/webhooks", json={"url": f"{receiver.url}?token=hush"})).json()
    here = f"/webhooks/{made['id']}"
    rotated = (await api("POST", f"{here}/rotate", json={"overlap_s": 60})).json()
    await api("PATCH", here, json={"description": "x"})
    await api("POST", f"{here}/test")
    await api("POST", f"{here}/replay", json={"since": "2026-01-01T00:00:00Z"})
    await api("DELETE", here)

    async with db.tenant(tenant.tenant_id) as tx:
        told = [each for each in await audit.listing(tx, limit=50) if each.target_kind == "webhook"]
    acts = {"created", "secret-rotated", "changed", "tested", "replayed", "deleted"}
    assert {each.action.removeprefix("webhook.") for each in told} == acts
    assert rotated["secret"] != made["secret"]
    for secret in ("hush", made["secret"], rotated["secret"]):
        assert secret not in str(told)


async def test_the_feed_goes_on_where_its_cursor_says(api, happen):
    start = (await api("GET", "/events", params={"limit": 200})).json()
    assert start["data"]
    assert not start["page"]["has_more"]
    await happen("one")
    await happen("two")

    first = (await api("GET", "/events", params={"limit": 1, "cursor": start["page"]["next_cursor"]})).json()
    rest = (await api("GET", "/events", params={"cursor": first["page"]["next_cursor"]})).json()
    nothing = (await api("GET", "/events", params={"cursor": rest["page"]["next_cursor"]})).json()

    assert (len(first["data"]), first["page"]["has_more"]) == (1, True)
    assert [each["sequence"] for each in rest["data"]] == [first["data"][0]["sequence"] + 1]
    assert nothing["data"] == []
    assert (await api("GET", f"/events/{first['data'][0]['id']}")).json() == first["data"][0]


async def test_a_narrowed_feed_moves_on_past_what_it_does_not_show(api, happen):
    await happen("one")
    empty = (await api("GET", "/events", params={"types": "user.added"})).json()
    end = (await api("GET", "/events", params={"limit": 200})).json()["data"][-1]["sequence"]

    assert empty["data"] == []
    assert (await api("GET", "/events", params={"after": end})).json()["data"] == []
    for types in ("no.such", ",", "user.added,", "user.added,,role.created"):
        assert (await api("GET", "/events", params={"types": types})).json()["code"] == "event-type-unknown"
    assert (await api("GET", "/events", params={"types": "user.added," * 400})).json()["code"] == "validation-failed"


async def test_who_waits_is_woken_by_what_happens(api, happen):
    end = (await api("GET", "/events", params={"limit": 200})).json()["data"][-1]["sequence"]
    waiting = asyncio.create_task(api("GET", "/events", params={"after": end, "wait": 30}))
    done, _ = await asyncio.wait([waiting], timeout=0.3)
    assert not done

    await happen("at-last")

    answer = await asyncio.wait_for(waiting, 10)
    assert [each["type"] for each in answer.json()["data"]] == ["project.created"]


async def test_a_consumer_polls_acknowledges_and_goes_back(api, happen):
    made = await api("POST", "/events/consumers", json={"name": "erp", "types": ["project.created"]})
    assert made.status_code == 201
    await happen("one")
    here = "/events/consumers/erp"

    first = (await api("GET", f"{here}/events")).json()
    again = (await api("GET", f"{here}/events")).json()
    through = first["data"][-1]["sequence"]
    acknowledged = (await api("POST", f"{here}/acknowledge", json={"through": through})).json()

    assert first == again
    assert acknowledged["acknowledged"] == through
    assert (await api("GET", f"{here}/events")).json() == {"data": [], "has_more": False}
    assert (await api("POST", f"{here}/acknowledge", json={"through": 10**6})).json()["code"] == "event-not-yet"
    assert (await api("POST", f"{here}/rewind", json={"after": 0})).json()["acknowledged"] == 0
    assert (await api("DELETE", here)).status_code == 204


async def test_the_types_are_told_with_what_they_hold(api):
    types = {each["name"]: each for each in (await api("GET", "/events/types")).json()["data"]}

    assert types["project.created"]["data"]["$defs"]["ProjectCreated"]["required"] == ["actor", "object"]


@pytest.fixture
async def browser(client, make, tenant):
    human = await make.person(tenant, "owner")

    async def browser(method, path, **fields):
        sent = {"content": urlencode(fields, doseq=True)} if method == "POST" else {}
        headers = {**human.headers, **(FORM if sent else {})}
        return await client.request(method, f"/console/t/{tenant.slug}{path}", headers=headers, **sent)

    return browser


async def test_in_the_console_a_webhook_is_made_tested_looked_at_and_deleted(browser, api, receiver):
    assert "No webhook yet" in (await browser("GET", "/webhooks")).text
    made = await browser("POST", "/webhooks", url=receiver.url, description="<b>ERP</b>", type="project.created")
    assert "whsec_" in made.text
    [webhook] = (await api("GET", "/webhooks")).json()["data"]
    here = f"/webhooks/{webhook['id']}"
    assert "Nothing was sent yet" in (await browser("GET", here)).text
    receiver.answers(404)

    tested = await browser("POST", f"{here}/test")

    assert "answered 404" in tested.text
    assert "heard" in tested.text
    assert "&lt;b&gt;ERP" in tested.text
    assert "whsec_" not in tested.text
    assert "whsec_" in (await browser("POST", f"{here}/rotate")).text
    assert (await browser("POST", f"{here}/turn", state="disabled")).status_code == 303
    page = (await browser("GET", here)).text
    assert "Nothing is sent" in page
    assert "dropped" in page
    assert "webhook is disabled" in (await browser("POST", f"{here}/test")).text
    assert (await browser("POST", f"{here}/delete")).status_code == 303
    assert (await browser("GET", here)).status_code == 404


async def test_in_the_console_an_event_is_sent_again_and_a_bad_address_is_said_to_be_bad(browser, api, receiver):
    await browser("POST", "/webhooks", url=receiver.url)
    [webhook] = (await api("GET", "/webhooks")).json()["data"]
    here = f"/webhooks/{webhook['id']}"
    await browser("POST", f"{here}/test")
    [delivery] = (await api("GET", f"{here}/deliveries")).json()["data"]

    again = await browser("POST", f"{here}/deliveries/{delivery['id']}/replay")
    refused = await browser("POST", "/webhooks", url="https://10.0.0.1/")

    assert again.status_code == 303
    assert len((await api("GET", f"{here}/deliveries")).json()["data"]) == 2
    assert "This address cannot be called" in refused.text
