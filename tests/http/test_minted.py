"""Connections whose app gets tokens by itself: with a secret, with a key, and for where it is installed."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec import Struct

from controlplane.chores import vault as chores
from controlplane.domain import audit
from controlplane.domain.vault import apps, catalogue
from controlplane.domain.vault.apps import NewApp
from controlplane.domain.vault.sealed import Proof
from controlplane.kit.ids import parse_id
from controlplane.kit.secret import Secret
from tests.http.agents import TOKEN
from tests.http.connecting import app_at, shown
from tests.http.lessees import Lessee, policy
from tests.make import SHELL
from tests.services.dialects import GitHubApp
from tests.services.fake import calling, running
from tests.services.machines import Machines

PEM = GitHubApp.KEY.as_pem(private=True).decode()


@pytest.fixture
async def machines(clock):
    async with running(Machines(clock)) as machines:
        yield machines


@pytest.fixture
async def github(clock):
    async with running(GitHubApp(clock)) as github:
        yield github


@pytest.fixture
async def api(client, make, tenant):
    key = await make.api_key(tenant)

    async def api(method, path, **given):
        headers = {**key, **given.pop("headers", {"If-Match": "*"})}
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=headers, **given)

    return api


@pytest.fixture
async def with_secret(db, tenant, machines):
    return await app_at(db, tenant, machines, provider="generic-oauth2", overrides=machines.overrides(), scopes=["a"])


@pytest.fixture
async def with_key(db, tenant, machines):
    given = {"provider": "generic-oauth2", "overrides": machines.overrides(), "scopes": ["a"]}
    return await app_at(db, tenant, machines, proof=Proof(key=Secret(machines.pem)), **given)


@pytest.fixture
async def installed(db, tenant, github):
    """An app that is to be installed somewhere: where, the connection says."""
    places = {
        "token": f"{github.url}/app/installations/42/access_tokens",
        "revoke": f"{github.url}/installation/token",
    }
    given = {"provider": "github-app", "overrides": places, "scopes": [], "variables": {"app_slug": "ours"}}
    return await app_at(db, tenant, github, proof=Proof(key=Secret(PEM)), **given)


@pytest.fixture
def mint(api):
    async def mint(app, **given):
        given = {"way": "client_credentials"} | given if app.provider == "generic-oauth2" else given
        made = await api("POST", "/connections/minted", json={"app": shown(app), **given})
        assert made.status_code == 201, made.text
        return made.json()

    return mint


@pytest.fixture
async def lessee(agent, db, tenant):
    await policy(db, tenant)
    return Lessee(agent)


@pytest.fixture
async def later(clock, agent):
    """Some time passes, and the runtime has a new token of its own."""

    async def later(**passed):
        clock.forward(timedelta(**passed))
        reply = await agent.post(TOKEN, agent.asks_for_a_token())
        agent.token = reply.json()["access_token"]

    return later


@pytest.fixture
def revoke(db, clock):
    async def revoke():
        return await chores.revoke(db, catalogue.read(), calling(clock))

    return revoke


@pytest.fixture
def acts(db, tenant):
    """What the tenant's audit log says of connections, newest first."""

    async def acts():
        async with db.tenant(tenant.tenant_id) as tx:
            events = await audit.listing(tx, limit=20)
        return [each.action.removeprefix("connection.") for each in events if each.action.startswith("connection.")]

    return acts


class Made(Struct):
    """What a door has shown of a connection."""

    id: UUID


def made_of(shown_one):
    return Made(id=parse_id("con", shown_one["id"]))


async def test_a_client_gets_its_token_when_the_first_one_needs_it(api, mint, with_secret, machines, lessee):
    made = await mint(with_secret, name="Reports", scopes=["a", "b"], labels={"team": "data"})
    machines.granted = "a"
    assert (machines.asked, made["cred_version"], made["scopes"]["missing"]) == ([], 0, [])

    held = await lessee.lease(made_of(made))

    assert held.contents.access_token == "at-1"
    assert (machines.asked[0].form["scope"], held.contents.scopes) == ("a b", ["a"])
    seen = (await api("GET", f"/connections/{made['id']}")).json()
    assert (seen["auth"], seen["state"], seen["cred_version"]) == ("client_credentials", "active", 1)
    assert seen["scopes"] == {"requested": ["a", "b"], "granted": ["a"], "missing": ["b"]}


async def test_the_next_token_is_minted_when_one_is_over(mint, with_secret, machines, lessee, later):
    made = made_of(await mint(with_secret))
    await lessee.lease(made)
    await later(hours=2)

    held = await lessee.lease(made)

    assert (held.contents.access_token, held.lease.bound.cred_version) == ("at-2", 2)
    assert [asked.form["grant_type"] for asked in machines.asked] == ["client_credentials"] * 2


async def test_a_key_signs_for_whom_it_may_act(mint, with_key, machines, lessee):
    said = {"way": "jwt_bearer", "subject": "ada@example.com", "audience": "https://as.example", "scopes": ["a"]}
    made = await mint(with_key, **said)

    held = await lessee.lease(made_of(made))

    assert (held.contents.access_token, made["account"]["key"]) == ("at-1", "ada@example.com")
    [claims] = machines.claims
    assert (claims["sub"], claims["aud"]) == ("ada@example.com", "https://as.example")
    assert machines.asked[0].form["scope"] == "a"
    assert made["minting"] == {"subject": said["subject"], "audience": said["audience"]} | NARROWED


NARROWED = {"repositories": [], "permissions": {}}


async def test_an_app_gets_tokens_for_where_it_is_installed(mint, installed, github, lessee, later):
    given = {"variables": {"installation_id": "42"}, "repositories": ["cloud"], "permissions": {"contents": "read"}}
    made = await mint(installed, **given)

    held = await lessee.lease(made_of(made))
    await later(hours=2)
    again = await lessee.lease(made_of(made))

    assert [each.contents.inject["Authorization"] for each in (held, again)] == ["Bearer ghs-1", "Bearer ghs-2"]
    assert github.asked[0].json == {"repositories": ["cloud"], "permissions": {"contents": "read"}}
    assert (made["auth"], made["account"]["key"]) == ("installation", "42")


async def test_what_was_minted_is_given_back_when_it_is_deleted(api, mint, installed, github, lessee, revoke):
    made = await mint(installed, variables={"installation_id": "42"})
    await lessee.lease(made_of(made))

    await api("DELETE", f"/connections/{made['id']}")

    assert (await revoke(), github.used) == (1, {"ghs-1"})


async def test_an_app_that_was_uninstalled_needs_somebody_and_goes_on_with_its_id(
    api, mint, installed, github, lessee, acts
):
    made = await mint(installed, variables={"installation_id": "42"})
    del github.installations["42"]

    refused = await api("POST", f"/connections/{made['id']}/refresh")
    github.installations["42"] = "there"
    mended = await api("POST", f"/connections/{made['id']}/minting", json={})
    held = await lessee.lease(made_of(made))

    assert (refused.status_code, refused.json()["code"]) == (409, "connection-needs-reauth")
    assert (mended.status_code, mended.json()["state"]) == (200, "active")
    assert held.contents.access_token == "ghs-1"
    assert await acts() == ["refreshed", "reconnected", "needs_reauth", "refresh_asked", "created"]


async def test_asking_for_less_ends_what_there_was(api, mint, with_secret, machines, lessee):
    made = await mint(with_secret, scopes=["a", "b"])
    await lessee.lease(made_of(made))

    changed = (await api("POST", f"/connections/{made['id']}/minting", json={"scopes": ["a"]})).json()
    held = await lessee.lease(made_of(made))

    assert (changed["scopes"]["requested"], held.contents.access_token, held.contents.scopes) == (["a"], "at-2", ["a"])
    assert [asked.form["scope"] for asked in machines.asked] == ["a b", "a"]


async def test_a_disabled_one_is_not_enabled_by_asking_for_something_else(api, mint, with_secret):
    made = await mint(with_secret)
    await api("POST", f"/connections/{made['id']}/disable", json={})

    changed = await api("POST", f"/connections/{made['id']}/minting", json={"scopes": ["a"]})
    enabled = await api("POST", f"/connections/{made['id']}/enable")

    assert (changed.json()["state"], enabled.json()["state"]) == ("disabled", "active")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "minting-unfit"),
        ({"way": "installation"}, "minting-unfit"),
        ({"way": "jwt_bearer"}, "minting-unfit"),
        ({"way": "client_credentials", "subject": "ada"}, "minting-unfit"),
        ({"way": "client_credentials", "permissions": {"contents": "read"}}, "minting-unfit"),
        ({"way": "client_credentials", "variables": {"host": "x"}}, "provider-variable-refused"),
        ({"way": "client_credentials", "project": "nobody"}, "not-found"),
        ({"way": "client_credentials", "more": 1}, "validation-failed"),
    ],
)
async def test_what_an_app_cannot_get_by_itself_is_refused(api, with_secret, given, code):
    answer = await api("POST", "/connections/minted", json={"app": shown(with_secret), **given})

    assert answer.json()["code"] == code
    assert (await api("GET", "/connections")).json()["data"] == []


async def test_the_platforms_apps_mint_for_nobody(api, db):
    new = NewApp(provider="github-app", name="All", client_id="x", proof=Proof(key=Secret(PEM)))
    async with db.platform() as tx:
        app = await apps.create(tx, SHELL, new)
    variables = {"app_slug": "all", "installation_id": "42"}

    answer = await api("POST", "/connections/minted", json={"app": shown(app), "variables": variables})

    assert answer.json()["code"] == "oauth-app-not-own"


async def test_what_was_typed_in_is_not_minted_and_what_is_minted_is_not_connected(api, mint, with_secret):
    typed = {"provider": "generic-api-key", "name": "x", "fields": {"api_key": "k"}}
    static = (await api("POST", "/connections", json=typed)).json()
    made = await mint(with_secret)

    changed = await api("POST", f"/connections/{static['id']}/minting", json={})
    begun = await api("POST", "/connect-sessions", json={"connection": made["id"], "owner_ref": "u-7"})

    assert (changed.json()["code"], begun.json()["code"]) == ("connection-not-minted", "provider-not-connectable")


async def test_a_repeated_request_makes_one(api, with_secret):
    said = {"json": {"app": shown(with_secret), "way": "client_credentials"}, "headers": {"Idempotency-Key": "one"}}

    answers = [await api("POST", "/connections/minted", **said) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert len((await api("GET", "/connections")).json()["data"]) == 1
