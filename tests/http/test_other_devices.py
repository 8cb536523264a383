"""Consent on another device: off unless it is turned on, asked for no more often than the provider lets us, and not for long."""

from datetime import timedelta

import pytest

from controlplane.domain import audit
from controlplane.domain.vault import waiting
from controlplane.kit.ids import parse_id
from tests.holdings import dumped
from tests.http.connecting import app_at, refusals, shown
from tests.make import SHELL
from tests.services.fake import running
from tests.services.other_device import OtherDevice


@pytest.fixture
async def other(clock):
    async with running(OtherDevice(clock)) as other:
        yield other


@pytest.fixture
async def oauth_app(db, tenant, other):
    async with db.tenant(tenant.tenant_id) as tx:
        await waiting.allow(tx, SHELL, True)
    return await app_at(db, tenant, other, provider="generic-oauth2", overrides=other.overrides(), scopes=["a"])


@pytest.fixture
async def api(client, make, tenant):
    key = {**await make.api_key(tenant), "If-Match": "*"}

    async def api(method, path, **given):
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=key, **given)

    return api


@pytest.fixture
def begin(api, oauth_app):
    async def begin():
        made = await api("POST", "/connect-sessions", json={"app": shown(oauth_app), "owner_ref": "u-7"})
        return made.json()

    return begin


@pytest.fixture
def poll(api, clock):
    """What is said after so many seconds."""

    async def poll(session, after_s=5):
        clock.forward(timedelta(seconds=after_s))
        answer = await api("POST", f"/connect-sessions/{session['id']}/poll")
        assert answer.status_code == 200, answer.text
        return answer.json()

    return poll


@pytest.fixture
def kept(db, tenant):
    """What the audit log says of those turned down, and what is left of a code."""

    async def kept(session):
        async with db.tenant(tenant.tenant_id) as tx:
            known = await waiting.get(tx, parse_id("cns", session["id"]))
        return await refusals(db, tenant), known.code_blob, known.user_code

    return kept


async def test_it_is_off_until_an_owner_turns_it_on(api, client, make, tenant, begin, db):
    session = await begin()
    settings = [(await api("PATCH", "/settings", json={"device_flow": to})).json()["device_flow"] for to in (False,)]
    refused = await api("POST", f"/connect-sessions/{session['id']}/device")
    developer = {**await make.api_key(tenant, "admin"), "If-Match": "*"}
    body = {"json": {"device_flow": True}, "headers": developer}

    by_another = await client.request("PATCH", f"/v1/tenants/{tenant.slug}/settings", **body)

    assert (settings, refused.json()["code"]) == ([False], "connect-device-off")
    assert by_another.status_code == 403
    async with db.tenant(tenant.tenant_id) as tx:
        acts = [each.action for each in await audit.listing(tx, limit=9)]
    assert "tenant.device-flow-changed" in acts


async def test_a_person_consents_elsewhere_and_it_counts_once_confirmed(api, begin, poll, other, admin_url):
    session = await begin()
    code = (await api("POST", f"/connect-sessions/{session['id']}/device")).json()
    waits = await poll(session)
    everything = await dumped(admin_url)
    other.said = "yes"

    done = await poll(session)
    made = (await api("GET", f"/connections/{done['made']}")).json()
    confirmed = await api("POST", f"/connections/{done['made']}/confirm", json={"owner_ref": "u-7"})

    assert (code["user_code"], code["address"]) == ("WDJB-MJHT", f"{other.url}/activate")
    assert (waits["state"], done["state"]) == ("away", "connected")
    assert (made["state"], confirmed.json()["state"]) == ("pending_confirm", "active")
    assert '"dc-1"' not in everything
    assert b"dc-1".hex() not in everything


async def test_the_provider_is_asked_no_more_often_than_it_lets_us(api, begin, poll, other):
    session = await begin()
    await api("POST", f"/connect-sessions/{session['id']}/device")

    for after_s in (1, 1, 3, 0, 4, 1):
        assert (await poll(session, after_s))["state"] == "away"

    assert (other.polls, other.interval_s) == (2, 5)


async def test_whoever_asks_for_slowness_gets_it(api, begin, poll, other):
    other.interval_s = 7  # and says 5 the first time round
    session = await begin()
    await api("POST", f"/connect-sessions/{session['id']}/device")
    other.interval_s = 12
    await poll(session, 7)
    await poll(session, 7)
    asked = other.polls

    await poll(session, 7)

    assert (asked, other.polls) == (2, 2)
    await poll(session, 5)
    assert other.polls == 3


async def test_trouble_at_the_provider_ends_nothing(api, begin, poll, other):
    session = await begin()
    await api("POST", f"/connect-sessions/{session['id']}/device")
    other.trouble, other.said = 1, "yes"

    assert (await poll(session))["state"] == "away"
    assert (await poll(session, 10))["state"] == "connected"


@pytest.mark.parametrize("ending", [("no", 5, "connect-declined"), ("", 601, "connect-expired")])
async def test_a_no_and_the_end_of_the_time_end_it(api, begin, poll, other, kept, ending):
    session, (other.said, after_s, why) = await begin(), ending
    await api("POST", f"/connect-sessions/{session['id']}/device")

    ended = await poll(session, after_s)
    asked = other.polls
    other.said = "yes"
    later = await poll(session, 60)

    assert (ended["state"], ended["failure"], later["state"]) == ("failed", why, "failed")
    assert other.polls == asked
    assert await kept(session) == ([why], None, "")


async def test_a_session_has_one_code_for_as_long_as_that_is_good(api, begin, poll, other):
    session = await begin()

    answers = [await api("POST", f"/connect-sessions/{session['id']}/device") for _ in range(2)]
    await poll(session, 601)
    late = await api("POST", f"/connect-sessions/{session['id']}/device")

    assert answers[0].json() == answers[1].json()
    assert [each.path for each in other.asked] == ["/device"]
    assert late.status_code == 410
    assert (await api("POST", f"/connect-sessions/{(await begin())['id']}/poll")).status_code == 404


async def test_what_somebody_has_begun_signed_in_is_theirs(client, api, begin, make, tenant):
    session = await begin()
    person = await make.person(tenant)

    answer = await client.post(
        f"/v1/tenants/{tenant.slug}/connect-sessions/{session['id']}/device", headers=person.headers
    )

    assert answer.json()["code"] == "connection-confirm-refused"


async def test_a_provider_without_such_a_way_says_so(api, db, tenant, other, begin):
    places = {name: url for name, url in other.overrides().items() if name != "device"}
    app = await app_at(db, tenant, other, provider="generic-oauth2", overrides=places)
    session = (await api("POST", "/connect-sessions", json={"app": shown(app), "owner_ref": "u-7"})).json()

    answer = await api("POST", f"/connect-sessions/{session['id']}/device")

    assert answer.json()["code"] == "connect-device-unknown"
