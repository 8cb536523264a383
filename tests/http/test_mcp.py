"""MCP servers: from an address to a lease, known by our document, by registering, or by somebody's hand."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from controlplane.kit.ids import parse_id
from tests.http.connecting import Browser, said
from tests.services.fake import running
from tests.services.mcp import Mcp


@pytest.fixture
async def mcp():
    async with running(Mcp()) as mcp:
        yield mcp


@pytest.fixture
async def api(client, make, tenant):
    key = {**await make.api_key(tenant), "If-Match": "*"}

    async def api(method, path, **given):
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=key, **given)

    return api


@pytest.fixture
async def browser(app):
    browser = Browser(app)
    yield browser
    await browser.close()


@pytest.fixture
def discover(api, mcp, client):
    """An app at the server, which has read what stands at our address."""

    async def discover(**given):
        made = await api("POST", "/oauth-apps/discovered", json={"url": mcp.server, **given})
        if made.status_code == 200 and made.json()["client_id"].startswith("http"):
            address = made.json()["client_id"]
            mcp.documents[address] = (await client.get(urlsplit(address).path)).json()
        return made

    return discover


@pytest.fixture
def connect(api, browser, mcp):
    async def connect(app):
        session = (await api("POST", "/connect-sessions", json={"app": app["id"], "owner_ref": "u-7"})).json()
        led = await browser.come_back(mcp.allow(await browser.follow(session["url"])))
        [made] = (await api("GET", "/connections?state=pending_confirm")).json()["data"]
        assert said(led) == {}
        return (await api("POST", f"/connections/{made['id']}/confirm", json={"owner_ref": "u-7"})).json()

    return connect


@pytest.fixture
def held_later(db, tenant, app, clock):
    """The token of a connection after two hours."""

    async def held_later(connected):
        clock.forward(timedelta(hours=2))
        _, access = await app.state.refresher.access(tenant.tenant_id, parse_id("con", connected["id"]))
        return access.token.reveal()

    return held_later


async def test_the_address_of_a_server_is_enough(discover, connect, mcp, held_later):
    made = (await discover()).json()

    connected = await connect(made)

    assert await held_later(connected) == "at-4"

    assert made["client_id"] == f"http://test/oauth/clients/{made['id']}"
    assert (made["client_auth"], made["scopes"]) == ("key", ["files:read"])
    assert (connected["state"], connected["facts"]) == ("active", {"api_base": mcp.server})
    asked = [each.form for each in mcp.asked if each.path == "/token"]
    assert [form["grant_type"] for form in asked] == ["authorization_code", "refresh_token"]
    assert {form["resource"] for form in asked} == {mcp.server}


async def test_a_server_that_is_known_is_not_asked_again(discover, mcp):
    first = await discover()
    asked = len(mcp.asked)

    assert (await discover()).json() == first.json()
    assert len(mcp.asked) == asked


async def test_a_server_that_takes_no_proof_by_a_key_knows_a_public_client(discover, connect, mcp):
    mcp.methods = ["none"]

    made = (await discover()).json()
    connected = await connect(made)

    assert made["client_id"].endswith("/public")
    assert mcp.documents[made["client_id"]]["token_endpoint_auth_method"] == "none"
    assert connected["state"] == "active"


async def test_a_server_that_reads_no_documents_registers(discover, connect, mcp):
    mcp.reads_documents, mcp.registers = False, True

    made = (await discover()).json()

    assert (made["client_id"], made["client_auth"]) == ("dcr-1", "none")
    assert mcp.registered["dcr-1"]["redirect_uris"] == [made["redirect_uri"]]
    assert (await connect(made))["state"] == "active"


async def test_a_document_comes_before_registering(discover, mcp):
    mcp.registers = True

    await discover()

    assert mcp.registered == {}


async def test_a_server_with_neither_way_wants_somebody_to_register(discover, mcp):
    mcp.reads_documents = False

    refused, given = await discover(), await discover(client_id="by-hand", scopes=["a"])

    assert refused.json()["code"] == "oauth-registration-wanted"
    assert (given.json()["client_id"], given.json()["overrides"]["issuer"]) == ("by-hand", mcp.url)


async def test_who_is_known_to_one_issuer_is_shown_to_no_other(discover, api, browser, mcp):
    made = (await discover()).json()
    mcp.issuers = ["http://127.0.0.1:9"]
    session = (await api("POST", "/connect-sessions", json={"app": made["id"], "owner_ref": "u-7"})).json()
    token = session["url"].partition("#")[2]

    gone = await browser.client.post("/oauth/connect", data={"token": token, "go": "1"})

    assert gone.status_code == 400
    assert [each.path for each in mcp.asked].count("/authorize") == 0
    assert (await api("GET", f"/connect-sessions/{session['id']}")).json()["failure"] == "oauth-server-unusable"


async def test_a_server_that_does_not_say_that_it_checks_s256_is_refused(discover, mcp):
    mcp.checks_pkce = False

    assert (await discover()).json()["code"] == "oauth-server-unusable"


@pytest.mark.parametrize("url", ["https://169.254.169.254/mcp", "https://10.0.0.7/mcp", "https://u:p@example.com/mcp"])
async def test_an_address_that_must_not_be_called_is_not(discover, url):
    assert (await discover(url=url)).json()["code"] == "address-refused"


async def test_a_server_says_who_protects_it_and_nobody_else_does(discover, mcp):
    mcp.issuers = ["https://10.0.0.7"]

    refused = await discover()

    assert refused.json()["code"] == "oauth-server-unusable"
    assert "blocked" in refused.json()["detail"]


async def test_a_server_that_is_not_there_is_the_mistake_of_whoever_named_it(discover):
    refused = await discover(url="https://nowhere.invalid/mcp")

    assert (refused.status_code, refused.json()["code"]) == (400, "oauth-server-unusable")
    assert "unknown-host" in refused.json()["detail"]


async def test_our_document_says_nothing_that_its_address_does_not(client):
    unknown = "app_00000000000000000000000000"

    found = await client.get(f"/oauth/clients/{unknown}")

    assert found.status_code == 200
    assert found.headers["cache-control"] == "public, max-age=3600"
    document = found.json()
    assert document["client_id"] == f"http://test/oauth/clients/{unknown}"
    assert document["redirect_uris"] == [f"http://test/oauth/callback/{unknown}"]
    assert [sorted(key) for key in document["jwks"]["keys"]] == [["alg", "crv", "kid", "kty", "use", "x", "y"]]
    assert (await client.get("/oauth/clients/nobody")).status_code == 404
