"""Callbacks that are replayed, forged, late, swapped, mixed up or somebody else's: refused, written down, nothing kept."""

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import pytest

from controlplane.db import schema as t
from controlplane.domain import tenants
from controlplane.domain.vault import apps, return_urls
from tests.http.connecting import Browser, app_at, kept, refusals, said, shown
from tests.make import SHELL
from tests.services.authority import Authority
from tests.services.fake import running

BACK = "https://app.example/connected"


@pytest.fixture
async def authority():
    async with running(Authority()) as authority:
        yield authority


@pytest.fixture
async def oauth_app(db, tenant, authority):
    async with db.tenant(tenant.tenant_id) as tx:
        await return_urls.decide(tx, SHELL, [BACK])
    return await app_at(db, tenant, authority)


@pytest.fixture
async def browser(app):
    browser = Browser(app)
    yield browser
    await browser.close()


@pytest.fixture
async def link(client, make, tenant, oauth_app):
    """The link of a session that a program has begun."""
    key = await make.api_key(tenant, "developer")

    async def link(**given):
        wanted = {"app": shown(oauth_app), "owner_ref": "u-7", "return_url": BACK, **given}
        made = await client.post(f"/v1/tenants/{tenant.slug}/connect-sessions", json=wanted, headers=key)
        assert made.status_code == 201, made.text
        return made.json()["url"]

    return link


@pytest.fixture
def away(browser, link):
    """A browser that is at the provider: the address it was sent to."""

    async def away(**given):
        return await browser.follow(await link(**given))

    return away


@pytest.fixture
def nothing_came_of_it(db, tenant, authority):
    """Whether it was refused with this code, written down, and nothing is kept of it."""

    async def nothing_came_of_it(location, code, *, exchanged=False):
        assert said(location)["problem"] == code
        assert (await refusals(db, tenant))[:1] == [code]
        assert await kept(db, tenant) == []
        assert ("/token" in [each.path for each in authority.asked]) is exchanged

    return nothing_came_of_it


async def test_a_replayed_callback(away, browser, authority, db, tenant):
    back = authority.allow(await away())
    await browser.come_back(back)

    again = await browser.come_back(back)

    assert said(again) == {"problem": "connect-replayed"}
    assert (await refusals(db, tenant))[:1] == ["connect-replayed"]
    assert await kept(db, tenant) == ["pending_confirm"]
    assert [each.path for each in authority.asked].count("/token") == 1


async def test_a_forged_state(away, browser, authority, oauth_app, nothing_came_of_it):
    await away()

    forged = await browser.come_back(f"http://test/oauth/callback/{shown(oauth_app)}?code=x&state={'s' * 43}")

    await nothing_came_of_it(forged, "connect-state-unknown")


async def test_a_forged_state_at_an_app_that_there_is_not_stands_in_the_platforms_log(browser, db):
    location = await browser.come_back("http://test/oauth/callback/app_none?code=x&state=x")

    async with db.platform() as tx:
        newest = tx.select(t.platform_audit_events).order_by(t.platform_audit_events.c.seq.desc()).limit(1)
        [event] = await tx.rows(newest)
    assert said(location) == {"problem": "connect-state-unknown"}
    assert (event["action"], event["outcome"]) == ("connection.refused", "denied")
    assert event["facts"]["why"] == "connect-state-unknown"


async def test_a_callback_without_a_state(away, browser, oauth_app, nothing_came_of_it):
    await away()

    await nothing_came_of_it(
        await browser.come_back(f"http://test/oauth/callback/{shown(oauth_app)}?code=x"), "connect-state-unknown"
    )


async def test_a_late_callback(away, browser, authority, clock, nothing_came_of_it):
    back = authority.allow(await away())
    clock.forward(timedelta(minutes=10))

    await nothing_came_of_it(await browser.come_back(back), "connect-expired")


async def test_a_callback_in_another_browser_and_then_it_is_used_up(app, away, browser, authority, nothing_came_of_it):
    back = authority.allow(await away())
    stranger = Browser(app)

    await nothing_came_of_it(await stranger.come_back(back), "connect-other-browser")

    assert said(await browser.come_back(back)) == {"problem": "connect-replayed"}
    await stranger.close()


async def test_a_callback_with_the_cookie_of_another_attempt(app, away, link, authority, nothing_came_of_it):
    back = authority.allow(await away())
    attacker = Browser(app)
    await attacker.follow(await link())

    await nothing_came_of_it(await attacker.come_back(back), "connect-other-browser")
    await attacker.close()


async def test_a_link_that_was_forwarded_connects_nobody_elses_account(app, make, tenant, oauth_app, authority, db):
    attacker, victim = Browser(app, await make.person(tenant, "developer")), Browser(app)
    begun = await attacker.client.post(f"/v1/tenants/{tenant.slug}/connect-sessions", json={"app": shown(oauth_app)})

    led = await victim.come_back(authority.allow(await victim.follow(begun.json()["url"]), "victim"))

    assert said(led) == {"problem": "connect-other-browser"}
    assert await kept(db, tenant) == []
    assert "/token" not in [each.path for each in authority.asked]
    for each in (attacker, victim):
        await each.close()


async def test_another_person_signed_in_does_not_finish_it_either(app, make, tenant, oauth_app, authority, db):
    attacker, victim = (
        Browser(app, await make.person(tenant, "developer")),
        Browser(app, await make.person(tenant, "developer")),
    )
    begun = await attacker.client.post(f"/v1/tenants/{tenant.slug}/connect-sessions", json={"app": shown(oauth_app)})

    led = await victim.come_back(authority.allow(await victim.follow(begun.json()["url"]), "victim"))

    assert said(led) == {"problem": "connect-other-browser"}
    assert await kept(db, tenant) == []
    for each in (attacker, victim):
        await each.close()


async def test_an_answer_at_the_address_of_another_app(away, browser, authority, db, tenant, nothing_came_of_it):
    other = await app_at(db, tenant, authority, name="Another")
    parts = urlsplit(authority.allow(await away()))

    swapped = await browser.come_back(f"http://test/oauth/callback/{shown(other)}?{parts.query}")

    await nothing_came_of_it(swapped, "connect-mixed-up")


@pytest.mark.parametrize("iss", ["https://evil.example", "HTTP://127.0.0.1", ""])
async def test_an_answer_that_names_another_issuer(away, browser, authority, nothing_came_of_it, iss):
    back = authority.allow(await away())

    mixed = await browser.come_back(back.replace(urlencode({"iss": authority.url}), urlencode({"iss": iss})))

    await nothing_came_of_it(mixed, "connect-mixed-up")


async def test_an_answer_that_names_no_issuer_where_the_provider_always_does(
    away, browser, authority, nothing_came_of_it
):
    back = authority.allow(await away())

    mixed = await browser.come_back(back.replace(urlencode({"iss": authority.url}) + "&", ""))

    await nothing_came_of_it(mixed, "connect-mixed-up")


async def test_an_error_of_another_issuer_is_none_of_ours(away, browser, authority, nothing_came_of_it):
    back = authority.deny(await away())

    mixed = await browser.come_back(back.replace(urlencode({"iss": authority.url}), "iss=https%3A%2F%2Fevil.example"))

    await nothing_came_of_it(mixed, "connect-mixed-up")


@pytest.mark.parametrize("error", ["access_denied", "server_error", "<script>"])
async def test_whoever_says_no_has_connected_nothing(away, browser, authority, nothing_came_of_it, error):
    location = await browser.come_back(authority.deny(await away(), error))

    assert location.startswith(f"{BACK}?session=cns_")
    assert "script" not in location
    await nothing_came_of_it(location, "connect-declined")


async def test_an_error_beside_a_code_is_an_error(away, browser, authority, nothing_came_of_it):
    back = authority.allow(await away())

    await nothing_came_of_it(await browser.come_back(f"{back}&error=access_denied"), "connect-declined")


@pytest.mark.parametrize("more", ["&code=another", "&state=another"])
async def test_what_is_said_twice_is_not_chosen_from(away, browser, authority, db, tenant, more):
    back = authority.allow(await away())

    location = await browser.come_back(back + more)

    assert said(location)["problem"] in ("connect-answer-unfit", "connect-state-unknown")
    assert await kept(db, tenant) == []


async def test_a_code_that_is_worth_nothing(away, browser, authority, nothing_came_of_it):
    back = authority.allow(await away())
    authority.codes.clear()

    await nothing_came_of_it(await browser.come_back(back), "connect-exchange-failed", exchanged=True)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<html>hi</html>",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 28\r\n\r\n{"error":"invalid_grant"}   ',
        b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"access_token": 42}',
        b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10000000\r\n\r\n" + b" " * 300_000,
        b"",
    ],
    ids=["html", "empty", "error in 200", "wrong type", "redirect", "10 MB", "nothing"],
)
async def test_answers_of_a_token_endpoint_that_are_none(away, browser, authority, nothing_came_of_it, answer):
    back = authority.allow(await away())
    authority.instead = [answer]

    await nothing_came_of_it(await browser.come_back(back), "connect-exchange-failed", exchanged=True)


async def test_an_app_whose_secret_is_not_taken_is_broken_and_says_so(
    away, browser, authority, db, tenant, nothing_came_of_it
):
    back = authority.allow(await away())
    authority.secret = "another"

    location = await browser.come_back(back)

    await nothing_came_of_it(location, "connect-exchange-failed", exchanged=True)
    async with db.tenant(tenant.tenant_id) as tx:
        [app] = await apps.listing(tx, after=None, limit=10)
    assert (app.state, app.state_reason) == ("broken", "invalid_client")


async def test_an_account_that_the_provider_does_not_name_is_not_kept(away, browser, authority, db, tenant):
    back = authority.allow(await away())
    authority.whose = type("Forgets", (dict,), {"__setitem__": lambda *_: None})()

    location = await browser.come_back(back)

    assert said(location)["problem"] == "connect-provider-silent"
    assert authority.revoked == ["rt-3"]
    assert await kept(db, tenant) == []


async def test_a_tenant_that_is_suspended_meanwhile_connects_nothing(
    away, browser, authority, db, tenant, nothing_came_of_it
):
    back = authority.allow(await away())
    async with db.tenant(tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, reason="x", message="x")

    await nothing_came_of_it(await browser.come_back(back), "connect-tenant-unserved")


async def test_a_provider_that_says_nothing_of_itself_uses_the_link_up(browser, link, authority, db, tenant):
    token = (await link()).partition("#")[2]
    authority.instead = [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]

    answer = await browser.client.post("/oauth/connect", data={"token": token, "go": "1"})

    assert answer.status_code == 400
    assert (await refusals(db, tenant))[:1] == ["oauth-server-unusable"]
    assert (await browser.client.post("/oauth/connect", data={"token": token})).status_code == 410


async def test_a_link_is_good_for_one_browser_and_half_an_hour(app, browser, link, clock, db, tenant):
    used, late = await link(), await link()
    await browser.follow(used)
    clock.forward(timedelta(minutes=30))

    for each in (used, late, "http://test/oauth/connect#made-up"):
        token = each.partition("#")[2]
        for given in ({"token": token}, {"token": token, "go": "1"}):
            answer = await browser.client.post("/oauth/connect", data=given)
            assert answer.status_code == 410
            assert "This link does not work any more" in answer.text


async def test_nothing_of_a_callback_stays_in_an_address_or_reaches_another_page(away, browser, authority):
    back = authority.allow(await away())

    location = await browser.come_back(back)

    assert "code" not in said(location)
    assert "state" not in said(location)
    done = await browser.client.get("/oauth/done?problem=%3Cscript%3E")
    assert "<script>" not in done.text
    assert done.headers["referrer-policy"] == "no-referrer"


async def test_the_cookie_is_for_this_host_alone_where_that_can_be_said(link, browser, app):
    token = (await link()).partition("#")[2]

    answer = await browser.client.post("/oauth/connect", data={"token": token, "go": "1"})

    [cookie] = [each for each in answer.headers.get_list("set-cookie") if each.startswith("connect=")]
    assert "HttpOnly" in cookie
    assert "Path=/;" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "Domain" not in cookie


async def test_only_hashes_of_what_is_under_way_are_kept(away, db, tenant):
    await away()

    async with db.tenant(tenant.tenant_id) as tx:
        [row] = await tx.rows(tx.select(t.login_transactions))

    assert (len(row["state_hash"]), len(row["cookie_hash"])) == (32, 32)
    assert row["pkce_blob"][:2] == b"\x01\x01"
