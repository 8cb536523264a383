"""Connecting: from a link to the provider and back, and nothing counts before somebody has confirmed it."""

from datetime import timedelta

import pytest

from controlplane.chores import vault as chores
from controlplane.domain.vault import catalogue, connections, return_urls
from controlplane.kit.ids import parse_id
from tests.holdings import dumped
from tests.http.connecting import Browser, app_at, said, shown
from tests.make import SHELL
from tests.services.authority import Authority
from tests.services.fake import ID, SECRET, calling, running

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
async def api(client, make, tenant):
    key = await make.api_key(tenant, "developer")

    async def api(method, path, **given):
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=key, **given)

    return api


@pytest.fixture
async def owner(client, make, tenant):
    key = {**await make.api_key(tenant), "If-Match": "*"}

    async def owner(method, path, **given):
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=key, **given)

    return owner


@pytest.fixture
async def browser(app):
    browser = Browser(app)
    yield browser
    await browser.close()


@pytest.fixture
def begin(api, oauth_app):
    async def begin(**given):
        wanted = {"app": shown(oauth_app), "owner_ref": "u-7", "return_url": BACK, **given}
        made = await api("POST", "/connect-sessions", json=wanted)
        assert made.status_code == 201, made.text
        return made.json()

    return begin


@pytest.fixture
def connect(begin, browser, authority, api):
    async def connect(account="ada", **given):
        session = await begin(**given)
        led = said(await browser.come_back(authority.allow(await browser.follow(session["url"]), account)))
        return led["connection"]

    return connect


@pytest.fixture
def confirm(api):
    async def confirm(made):
        return await api("POST", f"/connections/{made}/confirm", json={"owner_ref": "u-7"})

    return confirm


@pytest.fixture
def revoke(db, clock):
    async def revoke():
        return await chores.revoke(db, catalogue.read(), calling(clock))

    return revoke


async def test_a_link_connects_an_account_which_counts_once_it_is_confirmed(begin, browser, authority, api, confirm):
    session = await begin()
    url = await browser.follow(session["url"])
    location = await browser.come_back(authority.allow(url))
    pending = (await api("GET", f"/connections/{said(location)['connection']}")).json()

    confirmed = await confirm(pending["id"])

    assert location.startswith(f"{BACK}?session={session['id']}&connection=con_")
    assert pending["state"] == "pending_confirm"
    assert pending["account"] == {"key": "ada", "name": "Ada", "email": "ada@example.com"}
    assert pending["scopes"] == {"requested": ["openid", "mail"], "granted": ["openid", "mail"], "missing": []}
    assert (confirmed.status_code, confirmed.json()["state"]) == (200, "active")
    assert (confirmed.json()["app"], confirmed.json()["owner_ref"]) == (session["app"], "u-7")
    done = (await api("GET", f"/connect-sessions/{session['id']}")).json()
    assert (done["state"], done["made"]) == ("connected", pending["id"])


async def test_what_the_provider_gave_is_kept_sealed_and_shown_nowhere(connect, confirm, db, tenant, api, admin_url):
    made = await connect()
    await confirm(made)

    async with db.tenant(tenant.tenant_id) as tx:
        connection, access = await connections.access(tx, parse_id("con", made))
        _, refresh = await connections.refresh_token(tx, connection.id)
    everything = await dumped(admin_url) + (await api("GET", f"/connections/{made}")).text

    assert access.token.reveal().startswith("at-")
    assert refresh.reveal().startswith("rt-")
    for secret in (access.token.reveal(), refresh.reveal(), SECRET):
        assert f'"{secret}"' not in everything
        assert secret.encode().hex() not in everything


async def test_the_app_names_its_addresses_itself_where_no_document_does(db, tenant, authority, begin, browser, api):
    app = await app_at(db, tenant, authority, provider="generic-oauth2", overrides=authority.overrides())
    session = await begin(app=shown(app))

    led = said(await browser.come_back(authority.allow(await browser.follow(session["url"]))))

    made = (await api("GET", f"/connections/{led['connection']}")).json()
    assert (made["provider"], made["account"]["key"]) == ("generic-oauth2", None)
    assert authority.asked[-1].path == "/token"


async def test_where_it_is_stays_with_the_connection_so_that_a_lease_can_say(
    db, tenant, authority, begin, browser, api
):
    places = {**authority.overrides(), "lookup": f"{authority.url}/me"}
    variables = {"host": "acme.cloud.databricks.com"}
    app = await app_at(db, tenant, authority, provider="databricks", overrides=places, variables=variables)
    session = await begin(app=shown(app))

    led = said(await browser.come_back(authority.allow(await browser.follow(session["url"]))))

    assert (await api("GET", f"/connections/{led['connection']}")).json()["facts"] == variables


async def test_the_request_is_pushed_beforehand_where_the_provider_takes_it(authority, connect):
    authority.pushes = True

    assert await connect()

    [pushed] = [each.form for each in authority.asked if each.path == "/par"]
    assert (pushed["client_id"], pushed["code_challenge_method"]) == (ID, "S256")


async def test_people_who_leave_scopes_out_are_connected_and_that_shows(authority, connect, api):
    authority.granted = "openid"

    made = (await api("GET", f"/connections/{await connect()}")).json()

    assert made["scopes"] == {"requested": ["openid", "mail"], "granted": ["openid"], "missing": ["mail"]}


async def test_connected_anew_it_keeps_its_id(connect, confirm, api, clock):
    made = await connect()
    await confirm(made)
    clock.forward(timedelta(minutes=1))

    pending = await connect(connection=made, app=None)
    before = (await api("GET", f"/connections/{made}")).json()
    renewed = (await confirm(pending)).json()

    assert (before["cred_version"], renewed["cred_version"]) == (1, 2)
    assert (renewed["id"], renewed["state"]) == (made, "active")
    assert (await api("GET", f"/connections/{pending}")).status_code == 404
    history = (await api("GET", f"/connections/{made}/history")).json()["data"]
    assert history[0]["type"] == "connection.reconnected"


async def test_another_account_is_refused_and_given_back_to_the_provider(connect, confirm, begin, browser, authority):
    made = await connect()
    await confirm(made)
    session = await begin(connection=made, app=None)

    led = said(await browser.come_back(authority.allow(await browser.follow(session["url"]), "grace")))

    assert led == {"session": session["id"], "problem": "connection-account-differs"}
    assert authority.revoked == [f"rt-{authority.made}"]
    assert await connect("grace", connection=made, app=None, other_account=True)


async def test_what_nobody_confirms_is_revoked_at_the_provider(connect, confirm, revoke, db, authority, clock):
    made = await connect()
    clock.forward(timedelta(minutes=10))
    late = await confirm(made)

    assert await chores.end_unconfirmed(db) == 1
    assert await revoke() == 1

    assert (late.status_code, late.json()["code"]) == (409, "connection-confirm-over")
    assert authority.revoked == ["rt-3"]


async def test_a_deleted_connection_ends_at_the_provider_too(connect, confirm, revoke, owner, api, authority):
    made = await connect()
    await confirm(made)

    gone = await owner("DELETE", f"/connections/{made}")
    between = (await api("GET", f"/connections/{made}")).json()
    await revoke()

    assert gone.status_code == 204
    assert between["state"] == "revoking"
    assert authority.revoked == ["rt-3"]
    assert (await api("GET", f"/connections/{made}")).json()["state"] == "deleted"


async def test_a_provider_that_is_away_is_told_later(connect, revoke, db, api, authority, clock):
    made = await connect()
    clock.forward(timedelta(minutes=10))
    await chores.end_unconfirmed(db)
    authority.instead = [b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"]

    assert await revoke() == 0
    assert (await api("GET", f"/connections/{made}")).json()["state"] == "revoking"
    clock.forward(timedelta(minutes=2))
    assert await revoke() == 1

    assert (await api("GET", f"/connections/{made}")).json()["state"] == "deleted"


async def test_a_person_who_began_it_comes_back_and_confirms_it(app, make, tenant, oauth_app, authority):
    ada = await make.person(tenant, "developer")
    browser = Browser(app, ada)
    at = f"/v1/tenants/{tenant.slug}"
    session = (await browser.client.post(f"{at}/connect-sessions", json={"app": shown(oauth_app)})).json()

    location = await browser.come_back(authority.allow(await browser.follow(session["url"])))
    made = location.rpartition("/")[2]
    confirmed = await browser.client.post(f"{at}/connections/{made}/confirm", json={})

    assert location == f"/console/t/{tenant.slug}/connections/{made}"
    assert confirmed.json()["state"] == "active"
    await browser.close()


async def test_the_link_shows_who_asks_for_what_before_anybody_goes_on(begin, browser):
    token = (await begin())["url"].partition("#")[2]

    opened = await browser.client.get("/oauth/connect")
    seen = await browser.client.post("/oauth/connect", data={"token": token})

    assert token not in opened.text
    assert "would like to use your Any OpenID provider account" in seen.text
    assert "<code>mail</code>" in seen.text
    assert seen.headers["referrer-policy"] == "no-referrer"
    assert "script-src 'self'" in seen.headers["content-security-policy"]


async def test_ended_attempts_are_forgotten(begin, api, db, clock):
    session = await begin()
    clock.forward(timedelta(days=1, hours=1))

    assert await chores.forget(db) == 1

    assert (await api("GET", f"/connect-sessions/{session['id']}")).status_code == 404
