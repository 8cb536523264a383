"""Providers over the API: what everybody sees of the catalogue, a page at a time."""

import pytest

from controlplane.domain.vault import catalogue


@pytest.fixture
async def viewer(client, make, tenant):
    key = await make.api_key(tenant, "viewer")

    async def viewer(path, **query):
        return await client.get(f"/v1/tenants/{tenant.slug}/providers{path}", headers=key, params=query)

    return viewer


async def test_whoever_may_look_sees_every_provider_once(viewer):
    seen, cursor = [], {}
    while cursor is not None:
        page = (await viewer("", limit=25, **cursor)).json()
        seen += [each["id"] for each in page["data"]]
        cursor = {"cursor": page["page"]["next_cursor"]} if page["page"]["has_more"] else None

    assert seen == [each.id for each in catalogue.read().listing()]


async def test_one_provider_says_what_it_takes_and_what_is_verified(viewer):
    slack, zendesk, twilio = [(await viewer(f"/{each}")).json() for each in ("slack", "zendesk", "twilio")]

    assert slack["verified"] == {"endpoints": "cross", "behavior": "doc", "lookup": "doc", "on": "2026-11", "note": ""}
    assert (slack["pkce"], slack["refresh"]["replay"], slack["revocation"]) == ("off", "strict", "token")
    assert [each["name"] for each in zendesk["variables"]] == ["subdomain"]
    assert zendesk["refresh"]["kills_access_after_s"] == 0
    assert [(each["name"], each["secret"]) for each in twilio["fields"]] == [
        ("account_sid", False),
        ("auth_token", True),
    ]


async def test_providers_are_found_by_what_they_are_for(viewer):
    found = (await viewer("", category="models")).json()["data"]

    assert [each["id"] for each in found] == ["anthropic", "openai"]
    assert (await viewer("", category="nonsense")).status_code == 400


async def test_a_provider_that_there_is_not_is_not_found(viewer):
    answer = await viewer("/nonsense")

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_where_the_app_brings_the_addresses_the_provider_says_so(viewer):
    own = {each["id"] for each in (await viewer("", category="generic")).json()["data"] if each["own_app"]}

    assert own == {"generic-oauth2", "generic-oidc", "mcp-remote"}
