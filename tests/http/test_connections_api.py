"""Connections and OAuth apps over the API: secrets go in, and come out nowhere."""

from datetime import timedelta

import pytest

from controlplane.db import schema as t
from controlplane.domain import projects
from controlplane.domain.vault import apps
from controlplane.domain.vault.apps import NewApp
from tests.make import SHELL

KEY = {"provider": "generic-api-key", "name": "Ours", "fields": {"api_key": "sk-very-secret"}}
APP = {"provider": "github-oauth", "name": "Ours", "client_id": "abc", "client_secret": "hush-hush"}


@pytest.fixture
async def api(client, make, tenant):
    key = await make.api_key(tenant)

    async def api(method, path, **given):
        """Changes are of whichever state there is."""
        headers = {**key, **given.pop("headers", {"If-Match": "*"} if method in ("PATCH", "DELETE") else {})}
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=headers, **given)

    return api


@pytest.fixture
def put_in(api):
    async def put_in(**given):
        answer = await api("POST", "/connections", json={**KEY, **given})
        assert answer.status_code == 201, answer.text
        return answer.json()

    return put_in


async def test_a_credential_goes_in_and_is_shown_nowhere(api, put_in):
    made = await put_in(labels={"team": "data"}, owner_ref="u-7", project="default", account_name="ada")

    shown, listed = await api("GET", f"/connections/{made['id']}"), await api("GET", "/connections")

    assert shown.json() == made == listed.json()["data"][0]
    assert (made["provider"], made["auth"], made["state"], made["cred_version"]) == (
        "generic-api-key",
        "static",
        "active",
        1,
    )
    assert (made["labels"], made["owner_ref"], made["account"]["name"]) == ({"team": "data"}, "u-7", "ada")
    assert made["project"].startswith("prj_")
    assert "sk-very-secret" not in shown.text + listed.text


async def test_a_list_is_narrowed_by_what_can_be_meant(api, put_in):
    made = await put_in(project="default")
    await put_in()

    async def found(**asked):
        return [each["id"] for each in (await api("GET", "/connections", params=asked)).json()["data"]]

    assert await found(project="default") == await found(project=made["project"]) == [made["id"]]
    assert await found(project="elsewhere") == await found(provider="google") == []
    assert (await api("GET", "/connections", params={"provider": "0.5"})).status_code == 400


async def test_a_repeated_request_puts_in_one(api):
    headers = {"Idempotency-Key": "one"}

    first = await api("POST", "/connections", json=KEY, headers=headers)
    again = await api("POST", "/connections", json=KEY, headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert len((await api("GET", "/connections")).json()["data"]) == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"provider": "nobody-knows-it"}, "provider-unknown"),
        ({"provider": "google"}, "connection-not-static"),
        ({"fields": {"token": "x"}}, "credential-unfit"),
        ({"fields": {"api_key": ""}}, "validation-failed"),
        ({"fields": {"api_key": "x\0"}}, "validation-failed"),
        ({"labels": {"Not A Label": "x"}}, "validation-failed"),
        ({"project": "nobody"}, "not-found"),
        ({"api_base": "https://169.254.169.254/"}, "address-refused"),
        ({"headers": {"X-Key": "{another}"}}, "credential-unfit"),
        ({"more": 1}, "validation-failed"),
    ],
)
async def test_what_does_not_fit_is_refused(api, given, code):
    answer = await api("POST", "/connections", json={**KEY, **given})

    assert answer.json()["code"] == code, answer.text
    assert "sk-very-secret" not in answer.text
    assert (await api("GET", "/connections")).json()["data"] == []


async def test_another_credential_takes_its_place(api, put_in):
    made = await put_in()

    replaced = await api("POST", f"/connections/{made['id']}/replace", json={"fields": {"api_key": "sk-other"}})
    unfit = await api("POST", f"/connections/{made['id']}/replace", json={"fields": {"other": "x"}})

    assert (replaced.status_code, replaced.json()["cred_version"]) == (200, 2)
    assert unfit.json()["code"] == "credential-unfit"
    history = (await api("GET", f"/connections/{made['id']}/history")).json()["data"]
    assert {entry["type"] for entry in history} == {"connection.replaced", "connection.created"}


async def test_it_is_changed_as_somebody_has_seen_it(api, put_in):
    made = await put_in()
    at = f"/connections/{made['id']}"
    etag = (await api("GET", at)).headers["etag"]

    blind = await api("PATCH", at, json={"name": "Theirs"}, headers={})
    changed = await api("PATCH", at, json={"name": "Theirs", "project": "default"}, headers={"If-Match": etag})
    late = await api("PATCH", at, json={"name": "Mine"}, headers={"If-Match": etag})
    cleared = await api("PATCH", at, json={"project": None})

    assert (blind.status_code, late.status_code) == (428, 412)
    assert (changed.json()["name"], cleared.json()["name"], cleared.json()["project"]) == ("Theirs", "Theirs", None)


async def test_disabled_enabled_and_gone(api, put_in):
    made = await put_in()
    at = f"/connections/{made['id']}"

    disabled = (await api("POST", f"{at}/disable", json={"reason": "holidays"})).json()
    enabled = (await api("POST", f"{at}/enable")).json()
    twice = await api("POST", f"{at}/enable")
    gone = await api("DELETE", at)
    late = await api("PATCH", at, json={"name": "x"})

    assert (disabled["state"], disabled["state_reason"], enabled["state"]) == ("disabled", "holidays", "active")
    assert twice.json()["code"] == "connection-not-disabled"
    assert (gone.status_code, late.json()["code"]) == (204, "connection-gone")
    assert (await api("GET", at)).json()["state"] == "deleted"
    assert (await api("GET", "/connections")).json()["data"] == []
    assert [each["id"] for each in (await api("GET", "/connections?state=deleted")).json()["data"]] == [made["id"]]


async def test_a_list_is_narrowed_and_paged(api, put_in, clock, db, tenant):
    for number in range(3):
        clock.forward(timedelta(seconds=1))
        await put_in(name=str(number), labels={"team": "data", "n": str(number)}, owner_ref=f"u-{number}")
    async with db.tenant(tenant.tenant_id) as tx:
        labs = await projects.create(tx, SHELL, "labs", "Labs", "dev")
        await tx.run(tx.update(t.connections).where(t.connections.c.name == "1").values(project_id=labs.id))

    async def names(query):
        return [each["name"] for each in (await api("GET", f"/connections?{query}")).json()["data"]]

    assert await names("label=team%3Ddata&label=n%3D1") == ["1"]
    assert await names("owner_ref=u-2") == ["2"]
    assert await names("provider=twilio") == []
    assert await names("state=disabled") == []
    first = (await api("GET", "/connections?limit=2")).json()
    rest = (await api("GET", f"/connections?limit=2&cursor={first['page']['next_cursor']}")).json()
    assert [[each["name"] for each in page["data"]] for page in (first, rest)] == [["2", "1"], ["0"]]


async def test_an_app_goes_in_with_its_address_to_register(api):
    made = (await api("POST", "/oauth-apps", json=APP)).json()

    shown, listed = await api("GET", f"/oauth-apps/{made['id']}"), await api("GET", "/oauth-apps?provider=github-oauth")

    assert shown.json() == made == listed.json()["data"][0]
    assert made["redirect_uri"] == f"http://test/oauth/callback/{made['id']}"
    assert (made["has_proof"], made["shared"], made["state"]) == (True, False, "ok")
    assert "hush" not in shown.text + listed.text


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"provider": "nobody-knows-it"}, "provider-unknown"),
        ({"provider": "openai"}, "oauth-app-unfit"),
        ({"provider": "generic-oauth2"}, "oauth-app-unfit"),
        ({"provider": "generic-oidc", "overrides": {"authorize": "https://a.example/"}}, "oauth-app-unfit"),
        ({"overrides": {"anything": "https://a.example/"}}, "oauth-app-unfit"),
        ({"overrides": {"token": "https://169.254.169.254/token"}}, "address-refused"),
        ({"overrides": {"token": "http://10.0.0.1/token"}}, "address-refused"),
        ({"variables": {"nothing": "x"}}, "provider-variable-refused"),
        ({"provider": "shopify", "variables": {"shop": "evil.example"}}, "provider-variable-refused"),
        ({"scopes": ["two words"]}, "validation-failed"),
        ({"client_id": ""}, "validation-failed"),
    ],
)
async def test_an_app_that_does_not_fit_its_provider_is_refused(api, given, code):
    answer = await api("POST", "/oauth-apps", json={**APP, **given})

    assert answer.json()["code"] == code, answer.text
    assert (await api("GET", "/oauth-apps")).json()["data"] == []


async def test_an_app_is_changed_and_deleted(api):
    made = (await api("POST", "/oauth-apps", json=APP)).json()
    at = f"/oauth-apps/{made['id']}"

    changed = await api("PATCH", at, json={"name": "Theirs", "scopes": ["repo"]})
    public = await api("PATCH", at, json={"client_secret": None})
    wrong = await api("PATCH", at, json={"variables": {"nothing": "x"}})
    gone = await api("DELETE", at)

    assert (changed.json()["name"], changed.json()["scopes"], changed.json()["has_proof"]) == ("Theirs", ["repo"], True)
    assert public.json()["has_proof"] is False
    assert wrong.json()["code"] == "provider-variable-refused"
    assert (gone.status_code, (await api("GET", at)).status_code) == (204, 404)


async def test_where_browsers_may_be_sent_is_one_of_the_tenants_settings(api):
    urls = ["https://app.example/connected", "http://localhost:3000/back"]

    changed = await api("PATCH", "/settings", json={"return_urls": urls})
    unfit = await api("PATCH", "/settings", json={"return_urls": ["http://app.example/"]})

    assert changed.json()["return_urls"] == sorted(urls)
    assert unfit.json()["code"] == "return-url-unfit"
    assert (await api("GET", "/settings")).json()["return_urls"] == sorted(urls)


async def test_an_attempt_says_what_is_missing(api):
    made = (await api("POST", "/oauth-apps", json=APP)).json()
    begin = {"provider": "github-oauth", "owner_ref": "u-7"}

    async def code(**given):
        answer = await api("POST", "/connect-sessions", json={**begin, **given})
        return answer.json().get("code", answer.status_code)

    assert await code() == 201
    assert await code(owner_ref="") == "connect-owner-missing"
    assert await code(return_url="https://app.example/") == "return-url-unknown"
    assert await code(provider="google") == "oauth-app-wanted"
    assert await code(provider="google", app=made["id"]) == "oauth-app-wanted"
    assert await code(app="app_none") == "not-found"
    assert await code(variables={"nothing": "x"}) == "provider-variable-refused"
    typed = (await api("POST", "/connections", json=KEY)).json()
    assert await code(connection=typed["id"]) == "oauth-app-wanted"
    await api("POST", "/oauth-apps", json=APP)
    assert await code() == "oauth-app-wanted"


async def test_nobody_is_sent_to_what_has_no_page_to_consent_at(api):
    made = (await api("POST", "/oauth-apps", json={**APP, "provider": "github-app"})).json()

    answer = await api("POST", "/connect-sessions", json={"app": made["id"], "owner_ref": "u-7"})

    assert answer.json()["code"] == "provider-not-connectable"


async def test_who_may_do_what(client, make, tenant, api, put_in):
    made = await put_in()
    at = f"/v1/tenants/{tenant.slug}"
    viewer, developer = await make.api_key(tenant, "viewer"), await make.api_key(tenant, "developer")

    async def status(key, method, path, **given):
        headers = {**key, "If-Match": "*"} if method in ("PATCH", "DELETE") else key
        return (await client.request(method, f"{at}{path}", headers=headers, **given)).status_code

    assert await status(viewer, "GET", "/connections") == 403
    assert await status(developer, "GET", f"/connections/{made['id']}") == 200
    assert await status(developer, "POST", "/connections", json=KEY) == 403
    assert await status(developer, "DELETE", f"/connections/{made['id']}") == 403
    assert await status(developer, "POST", "/oauth-apps", json=APP) == 403
    assert await status(developer, "POST", "/connect-sessions", json={"provider": "google", "owner_ref": "x"}) == 400


async def test_a_person_proves_once_more_who_they_are_before_a_credential_is_touched(make, tenant, client, clock):
    owner = await make.person(tenant)
    clock.forward(timedelta(minutes=6))

    answer = await client.post(f"/v1/tenants/{tenant.slug}/connections", json=KEY, headers=owner.headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication-required")


async def test_no_more_than_the_plan_allows(api, put_in, client, make, tenant):
    await put_in()
    operator = await make.operator_key()
    limits = {"plan": None, "overrides": {"connections": 1}}
    agreed = await client.put(f"/v1/operator/tenants/{tenant.slug}/limits", json=limits, headers=operator)

    answer = await api("POST", "/connections", json=KEY)

    assert agreed.status_code == 200, agreed.text
    assert (answer.status_code, answer.json()["code"], answer.json()["kind"]) == (403, "quota-exceeded", "connections")


async def test_the_platforms_apps_are_for_every_tenant_and_changed_by_none(api, db):
    async with db.platform() as platform:
        shared = await apps.create(platform, SHELL, NewApp(provider="github-oauth", name="Everybody's", client_id="x"))

    [listed] = (await api("GET", "/oauth-apps?shared=true")).json()["data"]
    begun = await api("POST", "/connect-sessions", json={"provider": "github-oauth", "owner_ref": "u-7"})

    assert (listed["shared"], listed["name"], begun.json()["app"]) == (True, "Everybody's", listed["id"])
    assert shared.is_platform
    assert (await api("GET", "/oauth-apps")).json()["data"] == []
    assert (await api("GET", f"/oauth-apps/{listed['id']}")).status_code == 200
    for method in ("PATCH", "DELETE"):
        assert (await api(method, f"/oauth-apps/{listed['id']}", json={"name": "Mine"})).status_code in (400, 404)


async def test_no_platform_secret_goes_where_a_tenant_says(api, db):
    async with db.platform() as platform:
        await apps.create(platform, SHELL, NewApp(provider="gitlab", name="Everybody's", client_id="x"))
    wanted = {"provider": "gitlab", "owner_ref": "u-7"}

    elsewhere = await api("POST", "/connect-sessions", json={**wanted, "variables": {"host": "git.evil.example"}})

    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "oauth-app-not-own")
    assert (await api("POST", "/connect-sessions", json=wanted)).status_code == 201
