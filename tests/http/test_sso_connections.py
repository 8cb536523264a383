"""Setting single sign-on up over the API: what may be set, what has to be tested first, and what is never shown."""

import asyncpg
import pytest

from controlplane.domain.sso import connections
from controlplane.http.signing_in import TWO_FACTORS
from controlplane.kit.ids import parse_id
from tests import provider as providers
from tests.http.sso import Api, connect
from tests.make import SHELL

PATH = "/sso-connections"


@pytest.fixture
async def provider(clock):
    async with providers.serving(clock) as provider:
        yield provider


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
async def api(client, make, tenant):
    return Api(client, tenant, await make.api_key(tenant))


@pytest.fixture
def new(api, provider):
    async def new(by=api, **given):
        wanted = {"name": "Own", "issuer": provider.issuer, "client_id": "c", "client_secret": "s3cr3t-value"}
        return await by("POST", PATH, json={**wanted, **given})

    return new


@pytest.fixture
def change(api):
    async def change(made, **wanted):
        return await api("PATCH", f"{PATH}/{made['id']}", json=wanted)

    return change


@pytest.fixture
def come_back(db, tenant):
    async def come_back(made):
        async with db.tenant(tenant.tenant_id) as tx:
            await connections.tested(tx, SHELL, parse_id("sso", made["id"]))

    return come_back


async def test_a_connection_is_set_up_disabled_and_says_what_to_register(new, api):
    answer = await new()

    made = answer.json()
    assert answer.status_code == 201
    assert (made["status"], made["enforced"], made["tested_at"]) == ("disabled", False, None)
    assert made["redirect_uri"] == "http://test/v1/auth/sso/callback"
    assert made["backchannel_logout_uri"] == f"http://test/v1/auth/sso/{made['id']}/backchannel-logout"
    assert (await api("GET", f"{PATH}/{made['id']}")).json() == made


async def test_its_secret_is_never_shown_again_and_stands_nowhere(new, api, admin_url, logged):
    made = await new()
    shown = [made.text, (await api("GET", PATH)).text]
    shown.append((await api("GET", "/audit-events")).text)
    connection = await asyncpg.connect(admin_url)
    for table in ("sso_connections", "audit_events"):
        shown += [str(row) for row in await connection.fetch(f"SELECT * FROM {table}")]
    await connection.close()

    assert "s3cr3t-value" not in "".join([*shown, logged.getvalue()])


async def test_nobody_turns_on_what_nobody_has_come_back_from(new, change, come_back):
    made = (await new()).json()
    assert (await change(made, status="active")).json()["code"] == "sso-not-tested"
    await come_back(made)
    assert (await change(made, enforced=True)).json()["code"] == "sso-not-active"

    active = (await change(made, status="active")).json()
    assert active["status"] == "active"
    assert (await change(made, enforced=True)).json()["enforced"] is True


async def test_nobody_locks_themselves_out_by_making_it_the_only_way_in(client, make, tenant, new, change, come_back):
    made = (await new()).json()
    await come_back(made)
    await change(made, status="active")
    owner = await make.person(tenant)
    both = await make.signed_in(owner.account, TWO_FACTORS)
    no_owner = await make.signed_in((await make.person(tenant, "admin")).account, TWO_FACTORS)

    async def asked_by(human):
        return await Api(client, tenant, human.headers)("PATCH", f"{PATH}/{made['id']}", json={"enforced": True})

    for human in (owner, no_owner):
        refused = await asked_by(human)
        assert (refused.status_code, refused.json()["code"]) == (409, "sso-way-back-missing")
    assert (await asked_by(both)).json()["enforced"] is True


async def test_other_credentials_have_to_be_tested_again(new, change, come_back):
    made = (await new()).json()
    await come_back(made)

    changed = (await change(made, client_secret="another")).json()

    assert changed["tested_at"] is None
    assert (await change(made, status="active")).json()["code"] == "sso-not-tested"


async def test_one_connection_at_most_is_active(new, change, come_back):
    first, second = (await new()).json(), (await new()).json()
    for made in (first, second):
        await come_back(made)
    await change(first, status="active")

    assert (await change(second, status="active")).json()["code"] == "sso-active-elsewhere"
    assert (await change(first, status="disabled")).json()["status"] == "disabled"
    assert (await change(second, status="active")).json()["status"] == "active"


async def test_disabling_or_deleting_it_lets_people_in_as_before(make, new, change, come_back, api):
    human = await make.person(api.tenant, "viewer")
    enter = Api(api.client, api.tenant, human.headers)
    for end in ("disable", "delete"):
        made = (await new()).json()
        await come_back(made)
        await change(made, status="active", enforced=True)
        assert (await enter("GET")).json()["code"] == "sso-required"

        if end == "disable":
            await change(made, status="disabled")
        else:
            assert (await api("DELETE", f"{PATH}/{made['id']}")).status_code == 204

        assert (await enter("GET")).status_code == 200


async def test_a_tenant_has_so_many_connections_and_no_more(new, monkeypatch):
    monkeypatch.setattr(connections, "MOST", 1)
    await new()

    assert (await new()).json()["code"] == "sso-connections-too-many"


async def test_the_issuer_never_changes(new, change):
    made = (await new()).json()

    assert (await change(made, issuer="https://other.example")).status_code == 400


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"issuer": "ftp://idp.example"}, "validation-failed"),
        ({"issuer": "https://idp.example?x=1"}, "validation-failed"),
        ({"issuer": "https://user:pw@idp.example"}, "address-refused"),
        ({"issuer": "https://169.254.169.254"}, "address-refused"),
        ({"issuer": "https://[::ffff:10.0.0.1]/"}, "address-refused"),
        ({"issuer": "http://idp.example"}, None),
        ({"default_role": "owner"}, "sso-role-too-much"),
        ({"default_role": "admin"}, "sso-role-too-much"),
        ({"default_role": "king"}, "role-unknown"),
        ({"client_auth": "none"}, "validation-failed"),
        ({"client_secret": ""}, "validation-failed"),
        ({"surprise": 1}, "validation-failed"),
    ],
)
async def test_what_cannot_be_right_is_refused(new, given, code):
    answer = await new(**given)

    assert answer.json().get("code") == code


async def test_somebody_who_holds_more_hands_on_a_role_by_default(client, make, tenant, new):
    admin = Api(client, tenant, await make.api_key(tenant, "admin"))

    assert (await new(by=admin, default_role="developer")).status_code == 201


async def test_the_test_says_step_by_step_what_it_found(new, api, provider):
    made = (await new()).json()
    good = (await api("POST", f"{PATH}/{made['id']}/test")).json()
    assert good["passed"], good
    assert [step["step"] for step in good["steps"]][:2] == ["discovery document", "signing keys"]

    provider.metadata = {"issuer": "https://somebody.else"}
    bad = (await api("POST", f"{PATH}/{made['id']}/test")).json()

    assert not bad["passed"]
    assert bad["steps"][-1]["detail"] == "the discovery document names another issuer: https://somebody.else"


async def test_the_test_names_no_address_inside(new, api):
    made = (await new(issuer="http://127.0.0.1:1")).json()

    answer = (await api("POST", f"{PATH}/{made['id']}/test")).json()

    assert answer == {
        "passed": False,
        "steps": [{"step": "discovery document", "passed": False, "detail": "127.0.0.1: nobody answers there"}],
    }


async def test_an_operator_lets_people_in_where_the_provider_is_out_of_order(db, make, tenant, provider, client):
    await connect(db, tenant, provider, enforced=True)
    human = await make.person(tenant, "viewer")
    assert (await client.get(f"/v1/tenants/{tenant.slug}", headers=human.headers)).status_code == 403

    async with db.tenant(tenant.tenant_id) as tx:
        assert await connections.relax(tx, SHELL)

    assert (await client.get(f"/v1/tenants/{tenant.slug}", headers=human.headers)).status_code == 200
