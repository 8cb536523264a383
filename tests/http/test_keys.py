"""Service accounts and keys: whose they are, what they are narrowed to, where they work, and how one replaces another."""

import ipaddress
from datetime import datetime, timedelta

import httpx
import pytest

from controlplane.domain import api_keys
from tests.conftest import KEYRING
from tests.http.agents import Agent
from tests.http.test_roles import Caller
from tests.make import SHELL, bearer


@pytest.fixture
def acting(client, make, tenant):
    async def acting(role):
        return Caller(client, tenant, await make.api_key(tenant, role))

    return acting


@pytest.fixture
async def owner(acting):
    return await acting("owner")


@pytest.fixture
def with_key(client, tenant):
    return lambda made: Caller(client, tenant, bearer(made["key"]))


@pytest.fixture
async def robot(owner):
    """A service account that reads."""
    account = await owner.made("/service-accounts", name="robot")
    await owner.made("/role-assignments", role="viewer", service_account=account["id"])
    return account["id"]


async def test_a_key_can_do_what_its_owner_can_at_that_moment(owner, robot, with_key):
    key = with_key(await owner.made("/api-keys", name="ci", service_account=robot))
    assert [(await key("GET", path)).status_code for path in ("/runs", "/audit-events")] == [200, 403]

    await owner.made("/role-assignments", role="auditor", service_account=robot)
    assert (await key("GET", "/audit-events")).status_code == 200

    for held in (await owner("GET", "/role-assignments", service_account=robot)).json()["data"]:
        await owner("DELETE", f"/role-assignments/{held['id']}")
    assert [(await key("GET", path)).status_code for path in ("/runs", "/audit-events")] == [403, 403]


async def test_a_key_is_narrowed_to_its_scopes(owner, robot, with_key):
    made = await owner.made("/api-keys", name="ci", service_account=robot, scopes=["run:read", "run:read"])
    key = with_key(made)

    assert made["scopes"] == ["run:read"]
    assert [(await key("GET", path)).status_code for path in ("/runs", "/sessions", "")] == [200, 403, 403]


@pytest.mark.parametrize("scopes", [["audit:read"], ["run:raed"], ["operator:tenant-read"]])
async def test_a_key_is_narrowed_to_nothing_that_its_owner_does_not_have(owner, robot, scopes):
    body = {"name": "ci", "service_account": robot, "scopes": scopes}

    assert await owner.code("POST", "/api-keys", body) == (400, "scope-unfit")


async def test_a_narrowed_key_makes_none_that_is_wider(owner, client, tenant, make, with_key):
    admin = Caller(client, tenant, (await make.person(tenant, "admin")).headers)
    narrow = with_key(await admin.made("/api-keys", name="narrow", scopes=["api-key:create", "api-key:read"]))

    assert await narrow.code("POST", "/api-keys", {"name": "wide"}) == (403, "role-not-yours")
    assert (await narrow.code("POST", "/api-keys", {"name": "same", "scopes": ["api-key:read"]}))[0] == 201
    assert await narrow.code("POST", "/api-keys", {"name": "up", "role": "viewer"}) == (403, "role-not-yours")


async def test_nobody_gets_a_key_of_who_holds_more(owner, acting, robot):
    await owner.made("/roles", name="keymaker", permissions=["api-key:create", "api-key:read"])
    keymaker = await acting("keymaker")

    assert await keymaker.code("POST", "/api-keys", {"name": "x", "service_account": robot}) == (403, "role-not-yours")
    made = await owner.made("/api-keys", name="x", service_account=robot)
    assert await keymaker.code("POST", f"/api-keys/{made['id']}/rotate", {}) == (403, "role-not-yours")


async def test_a_key_has_one_owner(owner, robot):
    both = {"name": "x", "service_account": robot, "role": "viewer"}

    assert await owner.code("POST", "/api-keys", both) == (400, "parts-at-odds")
    assert (await owner("GET", "/api-keys", service_account=robot, user="usr_" + "0" * 26)).status_code == 400


async def test_keys_are_listed_by_their_owner(owner, robot, client, tenant, make):
    admin = Caller(client, tenant, (await make.person(tenant, "admin")).headers)
    mine = await admin.made("/api-keys", name="mine")
    its = await owner.made("/api-keys", name="its", service_account=robot)

    async def listed(**query):
        return [key["id"] for key in (await owner("GET", "/api-keys", **query)).json()["data"]]

    assert await listed(service_account=robot) == [its["id"]]
    assert await listed(user=mine["owner"]) == [mine["id"]]


@pytest.mark.parametrize(
    ("networks", "address", "status"),
    [
        ([], "198.51.100.7", 200),
        (["198.51.100.0/24"], "198.51.100.7", 200),
        (["203.0.113.0/24", "198.51.100.7"], "198.51.100.7", 200),
        (["203.0.113.0/24"], "198.51.100.7", 403),
        (["198.51.100.0/24"], "::ffff:198.51.100.7", 200),
        (["2001:db8::/32"], "2001:db8::1", 200),
        (["2001:db8::/32"], "198.51.100.7", 403),
    ],
)
async def test_a_key_works_from_its_networks_only(app, owner, tenant, networks, address, status):
    made = await owner.made("/api-keys", name="ci", role="viewer", networks=networks)

    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as there:
        answer = await there.get(f"/v1/tenants/{tenant.slug}/runs", headers=bearer(made["key"]))

    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json()["code"] == "api-key-address"
    assert all(ipaddress.ip_network(network) for network in made["networks"])


@pytest.mark.parametrize("network", ["203.0.113.1/24", "x", "0.0.0.0/33", ""])
async def test_what_is_no_network_is_refused(owner, network):
    assert await owner.code("POST", "/api-keys", {"name": "x", "networks": [network]}) == (400, "network-unfit")


async def test_a_rotated_key_and_the_new_one_work_side_by_side_for_a_while(owner, robot, with_key, clock):
    old = await owner.made("/api-keys", name="ci", service_account=robot, scopes=["run:read"], networks=["127.0.0.0/8"])
    new = await owner.made(f"/api-keys/{old['id']}/rotate", overlap=3600)

    for same in ("name", "owner", "scopes", "networks"):
        assert new[same] == old[same]
    assert new["rotated_from"] == old["id"]
    assert [(await with_key(key)("GET", "/runs")).status_code for key in (old, new)] == [200, 200]
    clock.forward(timedelta(hours=1))
    assert await with_key(old).code("GET", "/runs") == (401, "api-key-expired")
    assert (await with_key(new)("GET", "/runs")).status_code == 200


async def test_a_rotation_never_lengthens_the_old_keys_life(owner, robot):
    old = await owner.made("/api-keys", name="ci", service_account=robot, expires_in=60)

    await owner.made(f"/api-keys/{old['id']}/rotate", overlap=3600)

    assert (await owner("GET", f"/api-keys/{old['id']}")).json()["expires_at"] == old["expires_at"]


async def test_a_rotated_key_works_as_long_as_the_one_before_unless_it_is_said(owner, robot):
    old = await owner.made("/api-keys", name="ci", service_account=robot, expires_in=7200)

    new = await owner.made(f"/api-keys/{old['id']}/rotate")
    longer = await owner.made(f"/api-keys/{new['id']}/rotate", expires_in=86_400)

    assert [_seconds(key) for key in (new, longer)] == [7200, 86_400]


async def test_what_works_no_more_is_not_rotated(owner, robot, clock):
    revoked = await owner.made("/api-keys", name="a", service_account=robot)
    expired = await owner.made("/api-keys", name="b", service_account=robot, expires_in=60)
    await owner("DELETE", f"/api-keys/{revoked['id']}")
    clock.forward(timedelta(minutes=1))

    for key in (revoked, expired):
        assert await owner.code("POST", f"/api-keys/{key['id']}/rotate", {}) == (409, "api-key-ended")
    too_long = {"overlap": int(api_keys.LONGEST_OVERLAP.total_seconds()) + 1}
    assert (await owner.code("POST", f"/api-keys/{revoked['id']}/rotate", too_long))[0] == 400


async def test_an_overlap_has_an_end(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        key, _ = await api_keys.for_automation(tx, SHELL, KEYRING.pepper, "ci")
        with pytest.raises(api_keys.OverlapInvalid):
            await api_keys.rotate(tx, SHELL, KEYRING.pepper, key, overlap=timedelta(days=31))


async def test_the_keys_of_a_disabled_service_account_open_nothing(owner, robot, with_key):
    key = with_key(await owner.made("/api-keys", name="ci", service_account=robot))

    await owner("PATCH", f"/service-accounts/{robot}", {"status": "disabled"})
    assert await key.code("GET", "/runs") == (401, "api-key-owner-disabled")
    await owner("PATCH", f"/service-accounts/{robot}", {"status": "active"})
    assert (await key("GET", "/runs")).status_code == 200


async def test_with_a_service_account_go_its_keys(owner, robot, with_key):
    key = with_key(await owner.made("/api-keys", name="ci", service_account=robot))

    assert await owner.code("DELETE", f"/service-accounts/{robot}") == (204, None)

    assert await key.code("GET", "/runs") == (401, "api-key-unknown")
    assert (await owner("GET", "/api-keys", service_account=robot)).json()["data"] == []


async def test_a_service_account_is_called_something_that_no_other_is(owner, robot):
    other = await owner.made("/service-accounts", name="other")

    taken, none = (409, "service-account-name-taken"), (400, "service-account-name-invalid")
    assert await owner.code("POST", "/service-accounts", {"name": "robot"}) == taken
    assert await owner.code("PATCH", f"/service-accounts/{other['id']}", {"name": "robot"}) == taken
    assert await owner.code("POST", "/service-accounts", {"name": " "}) == none


async def test_a_key_with_a_role_brings_a_service_account_of_its_own(owner):
    made = [await owner.made("/api-keys", name="ci", role="viewer") for _ in range(2)]

    listed = {each["id"]: each["name"] for each in (await owner("GET", "/service-accounts")).json()["data"]}
    assert [listed[key["owner"]] for key in made] == ["ci", "ci-2"]
    why = (await owner("GET", f"/service-accounts/{made[0]['owner']}/permissions")).json()
    assert {because["role"] for each in why for because in each["because"]} == {"viewer"}


async def test_nobody_disarms_a_service_account_that_administers_more(owner, acting):
    await owner.made("/roles", name="sa-admin", permissions=["service-account:read", "service-account:write"])
    sa_admin = await acting("sa-admin")
    key = await owner.made("/api-keys", name="strong", role="admin")

    assert await sa_admin.code("DELETE", f"/service-accounts/{key['owner']}") == (403, "role-not-yours")
    off = {"status": "disabled"}
    assert await sa_admin.code("PATCH", f"/service-accounts/{key['owner']}", off) == (403, "role-not-yours")


async def test_projects_are_made_changed_and_archived(owner, make, client):
    made = await owner.made("/projects", slug="labs", name="Labs")
    assert (made["environment"], made["archived_at"]) == ("dev", None)

    changed = (await owner("PATCH", "/projects/labs", {"name": "Laboratory", "environment": "staging"})).json()
    assert (changed["name"], changed["environment"], changed["slug"]) == ("Laboratory", "staging", "labs")

    archived = [(await owner("POST", "/projects/labs/archive")).json() for _ in range(2)]
    assert archived[0]["archived_at"] == archived[1]["archived_at"] != None  # noqa: E711 both are said
    assert await owner.code("POST", "/join-tokens", {"project": "labs"}) == (409, "project-archived")
    assert (await owner("POST", f"/projects/{made['id']}/restore")).json()["archived_at"] is None
    assert (await owner.code("POST", "/join-tokens", {"project": "labs"}))[0] == 201


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"slug": "default"}, (409, "project-slug-taken")),
        ({"slug": "Not so"}, (400, "project-slug-invalid")),
        ({"name": " "}, (400, "project-name-invalid")),
        ({"environment": "moon"}, (400, "validation-failed")),
    ],
)
async def test_some_projects_cannot_be(owner, body, answer):
    assert await owner.code("POST", "/projects", {"slug": "labs", "name": "Labs", **body}) == answer


async def test_a_project_that_is_archived_lets_nobody_in_by_a_token_of_before(owner, client, clock, make, tenant):
    agent, token = Agent(client, clock), await make.join_token(tenant)
    await owner("POST", "/projects/default/archive")

    refused = await agent.enroll(token)

    assert (refused.status_code, refused.json()["code"]) == (409, "project-archived")
    await owner("POST", "/projects/default/restore")
    assert (await agent.enroll(token)).status_code == 201


def _seconds(key):
    """From its making to its end."""
    made, ends = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    return (ends - made).total_seconds()
