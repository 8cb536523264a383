"""Connections in the console: the gallery, one's own browser to a provider and back, one connection, apps."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from controlplane.domain.vault import apps, connections, waiting
from controlplane.domain.vault.apps import NewApp
from controlplane.domain.vault.sealed import Proof
from controlplane.kit.ids import parse_id
from controlplane.kit.secret import Secret
from tests.http.connecting import Browser, app_at, shown
from tests.make import SHELL
from tests.services.authority import Authority
from tests.services.dialects import GitHubApp
from tests.services.fake import ID, SECRET, running
from tests.services.mcp import Mcp
from tests.services.other_device import OtherDevice


@pytest.fixture
async def authority():
    async with running(Authority()) as authority:
        yield authority


@pytest.fixture
async def oauth_app(db, tenant, authority):
    return await app_at(db, tenant, authority)


@pytest.fixture
async def ada(app, make, tenant):
    """Who owns the tenant, at a browser."""
    browser = Browser(app, await make.person(tenant))
    yield browser
    await browser.close()


@pytest.fixture
def see(ada, tenant):
    async def see(path="/connections", status=200):
        answer = await ada.client.get(f"/console/t/{tenant.slug}{path}")
        assert answer.status_code == status, answer.text
        return answer.text

    return see


@pytest.fixture
def send(ada, tenant):
    async def send(path, **form):
        return await ada.client.post(f"/console/t/{tenant.slug}{path}", data=form)

    return send


@pytest.fixture
def connect(send, ada, authority):
    """To the provider and back, as far as the page that asks whether it is the right account."""

    async def connect(account="ada", **form):
        gone = await send("/connections/new", **form)
        assert gone.status_code == 200, gone.text
        url = gone.text.split('id="on"')[0].rpartition('href="')[2].split('"')[0].replace("&amp;", "&")
        return await ada.come_back(authority.allow(url, account))

    return connect


async def test_where_nothing_is_connected_the_page_says_how(see):
    page = await see()

    assert "Nothing is connected yet" in page
    assert "/connections/new" in page


async def test_a_key_is_put_in_and_shown_to_nobody_again(see, send, db, tenant):
    made = await send(
        "/connections", provider="openai", name="<b>Ours</b>", field_api_key="sk-very-secret", project="default"
    )
    place = made.headers["location"]

    page = (await see(place.partition(tenant.slug)[2])) + await see()

    assert made.status_code == 303
    assert "&lt;b&gt;Ours&lt;/b&gt;" in page
    assert "sk-very-secret" not in page
    async with db.tenant(tenant.tenant_id) as tx:
        _, access = await connections.access(tx, parse_id("con", place.rpartition("/")[2]))
    assert access.fields["api_key"].reveal() == "sk-very-secret"


async def test_what_does_not_fit_is_said_on_the_page_and_not_repeated(send, see):
    answer = await send("/connections", provider="openai", field_another="sk-very-secret")

    assert answer.status_code == 400
    assert "These are not the fields of such a credential" in answer.text
    assert "sk-very-secret" not in answer.text
    assert "Nothing is connected yet" in await see()


async def test_the_gallery_says_how_each_provider_is_had(see, oauth_app):
    page = await see("/connections/new")

    assert page.index("Any OpenID provider") < page.index("sign in there")
    for way in ("type it in", "needs an app first"):
        assert way in page
    assert "Google needs an OAuth app first" in await see("/connections/new?provider=google")
    assert "What to know" in await see("/connections/new?provider=generic-oidc")
    await see("/connections/new?provider=nobody", status=404)


async def test_a_browser_goes_to_the_provider_and_back_and_its_person_confirms(connect, see, send, tenant, oauth_app):
    place = (await connect(provider="generic-oidc", app=shown(oauth_app))).partition(tenant.slug)[2]
    asked = await see(place)
    confirmed = await send(f"{place}/confirm")

    assert "Is this the right account?" in asked
    assert "ada@example.com" in asked
    assert confirmed.status_code == 200
    assert "It works" in confirmed.text
    assert "confirmed" in confirmed.text


async def test_another_person_cannot_confirm_it(app, connect, make, tenant, oauth_app):
    place = await connect(app=shown(oauth_app))
    other = Browser(app, await make.person(tenant))

    answer = await other.client.post(f"{urlsplit(place).path}/confirm")

    assert answer.status_code == 403
    assert "This is not for you to confirm" in answer.text
    await other.close()


async def test_connected_anew_from_its_page(connect, see, send, tenant, oauth_app, clock):
    place = (await connect(app=shown(oauth_app))).partition(tenant.slug)[2]
    await send(f"{place}/confirm")
    clock.forward(timedelta(seconds=1))

    pending = (await connect(connection=place.rpartition("/")[2])).partition(tenant.slug)[2]
    done = await send(f"{pending}/confirm")

    assert place in done.text
    assert "reconnected" in await see(place)


async def test_whoever_says_no_comes_back_to_the_list(send, ada, tenant, authority, oauth_app):
    gone = await send("/connections/new", app=shown(oauth_app))
    url = gone.text.split('id="on"')[0].rpartition('href="')[2].split('"')[0].replace("&amp;", "&")

    location = await ada.come_back(authority.deny(url))

    assert location == f"/console/t/{tenant.slug}/connections?problem=connect-declined"
    assert "The provider says that it was not allowed" in (await ada.client.get(location)).text


async def test_disabled_replaced_enabled_and_deleted(send, see):
    made = await send("/connections", provider="openai", field_api_key="one")
    place = "/connections/" + made.headers["location"].rpartition("/")[2]

    await send(f"{place}/turn", to="disabled")
    disabled = await see(place)
    await send(f"{place}/turn", to="enabled")
    replaced = await send(f"{place}/replace", field_api_key="two")
    wrong = await send(f"{place}/replace", field_other="two")
    gone = await send(f"{place}/delete")

    assert "Nothing is leased of it" in disabled
    assert (replaced.status_code, wrong.status_code, gone.status_code) == (303, 400, 303)
    assert "What was kept is destroyed" in await see(place)
    assert "Nothing is connected yet" in await see()


async def test_an_app_is_set_up_with_the_address_to_register(send, see, db, tenant, authority):
    form = {"provider": "generic-oidc", "name": "Ours", "client_id": ID, "client_secret": SECRET, "scopes": "openid a"}

    unfit = await send("/oauth-apps", **form)
    made = await send("/oauth-apps", address_issuer=authority.url, **form)
    page = await see("/oauth-apps")

    assert (unfit.status_code, made.status_code) == (400, 303)
    assert SECRET not in unfit.text + page
    async with db.tenant(tenant.tenant_id) as tx:
        [app] = await apps.listing(tx, after=None, limit=10)
    assert (app.scopes, app.overrides) == (["openid", "a"], {"issuer": authority.url})
    assert f"http://test/oauth/callback/{shown(app)}" in page
    assert (await send(f"/oauth-apps/{shown(app)}/delete")).status_code == 303
    assert "No app of your own yet" in await see("/oauth-apps")


async def test_shared_apps_can_be_connected_through(see, db):
    async with db.platform() as platform:
        await apps.create(platform, SHELL, NewApp(provider="github-oauth", name="Everybody's", client_id="x"))

    assert "Everybody&#39;s (shared)" in await see("/connections/new?provider=github-oauth")
    assert "There are shared ones" in await see("/oauth-apps")


async def test_those_that_want_somebody_stand_first(send, see, db, tenant):
    for name in ("works", "wants"):
        await send("/connections", provider="openai", name=name, field_api_key="x")
    async with db.tenant(tenant.tenant_id) as tx:
        wants = next(row for row in await connections.listing(tx, limit=10) if row.name == "wants")
        await connections.needs_reauth(tx, SHELL, wants.id, "invalid_grant")

    page = await see()

    assert "1 connection wants somebody" in page
    assert page.index(">wants<") < page.index(">works<")
    assert "invalid_grant" in page


async def test_who_may_only_look_sees_no_buttons(app, make, db, tenant, see, send):
    made = await send("/connections", provider="openai", field_api_key="x")
    auditor = Browser(app, await make.person(tenant, "auditor"))
    at = f"/console/t/{tenant.slug}"

    page = (await auditor.client.get(made.headers["location"])).text

    assert "<form" not in page.partition("<main")[2]
    assert (await auditor.client.get(f"{at}/connections/new")).status_code == 403
    assert (await auditor.client.get(f"{at}/oauth-apps")).status_code == 200
    viewer = Browser(app, await make.person(tenant, "viewer"))
    assert "/connections" not in (await viewer.client.get(f"{at}/")).text
    for each in (auditor, viewer):
        await each.close()


async def test_a_browser_goes_from_the_address_of_an_mcp_server_to_whoever_lets_people_in(see, send, ada):
    async with running(Mcp()) as mcp:
        asked = await see("/connections/new?provider=mcp-remote")
        urls = []
        for _ in range(2):
            gone = await send("/connections/mcp", url=mcp.server, name="Tools")
            assert gone.status_code == 200, gone.text
            urls.append(gone.text.split('id="on"')[0].rpartition('href="')[2].split('"')[0].replace("&amp;", "&"))
        address = parse_qs(urlsplit(urls[0]).query)["client_id"][0]
        mcp.documents[address] = (await ada.client.get(urlsplit(address).path)).json()
        place = await ada.come_back(mcp.allow(urls[0]))
    shown_page = await see(place.partition("/connections")[1] + place.partition("/connections")[2])

    assert "Address of the server" in asked
    assert [parse_qs(urlsplit(url).query)["client_id"] for url in urls] == [[address]] * 2
    assert "Is this the right account?" in shown_page
    assert (await send("/connections/mcp", url="https://10.0.0.7/mcp")).status_code == 400


async def test_somebody_consents_on_another_device(see, send, db, tenant, clock):
    async with running(OtherDevice(clock)) as other:
        app = await app_at(db, tenant, other, provider="generic-oauth2", overrides=other.overrides())
        form = {"provider": "generic-oauth2", "app": shown(app)}
        before = await send("/connections/device", **form)
        async with db.tenant(tenant.tenant_id) as tx:
            await waiting.allow(tx, SHELL, True)
        begun = (await send("/connections/device", **form)).headers["location"].partition(tenant.slug)[2]
        asked, early = await see(begun), await send(begun)
        other.said = "yes"
        clock.forward(timedelta(seconds=5))
        done = await send(begun)

    assert before.status_code == 403
    assert "On another device" in await see("/connections/new?provider=generic-oauth2")
    assert "WDJB-MJHT" in asked
    assert early.headers["location"].endswith(begun)
    assert "Is this the right account?" in await see(done.headers["location"].partition(tenant.slug)[2])


async def test_an_app_gets_tokens_by_itself_without_a_browser(see, send, db, tenant, authority):
    key = GitHubApp.KEY.as_pem(private=True).decode()
    given = {"provider": "github-app", "overrides": {}, "scopes": [], "variables": {"app_slug": "ours"}}
    app = await app_at(db, tenant, authority, proof=Proof(key=Secret(key)), **given)
    form = {"provider": "github-app", "app": shown(app), "way": "installation"}

    offered = await see("/connections/new?provider=github-app")
    refused = await send("/connections/minted", **form)
    made = await send("/connections/minted", **form, variable_installation_id="42", permissions="contents=read")
    place = made.headers["location"].partition(tenant.slug)[2]
    again = await send(f"{place}/minting")

    assert "https://github.com/apps/ours/installations/new" in offered
    assert refused.status_code == 400
    assert "This provider is not found like that" in refused.text
    assert "There is no token right now" in await see(place)
    assert again.status_code == 303
    async with db.tenant(tenant.tenant_id) as tx:
        kept = await connections.get(tx, parse_id("con", place.rpartition("/")[2]))
    assert (kept.auth, kept.minting, kept.account_key) == ("installation", {"permissions": {"contents": "read"}}, "42")
