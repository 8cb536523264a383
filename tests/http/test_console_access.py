"""The console's pages about who may do what, used without JavaScript."""

import re

import pytest

from controlplane.domain import people
from controlplane.domain.projects import ProjectArchived
from controlplane.http.console.pages.groups import NobodyCalledSo
from controlplane.http.console.pages.keys import NameMissing
from controlplane.http.console.pages.person import NotTyped
from controlplane.kit.ids import text_id
from tests.http.agents import Agent
from tests.http.test_roles import Caller


@pytest.fixture
async def api(client, make, tenant):
    return Caller(client, tenant, await make.api_key(tenant, "owner"))


@pytest.fixture
async def somebody(db, make, tenant):
    human = await make.person(tenant, "viewer")
    async with db.tenant(tenant.tenant_id) as tx:
        user = await people.member(tx, human.account.id)
    return human.account.email, text_id("usr", user.id)


def went_to(answer):
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


LISTS = ["/roles", "/groups", "/service-accounts", "/keys", "/projects"]


@pytest.mark.parametrize("path", LISTS)
async def test_every_list_has_a_page_before_there_is_anything(owner, path):
    assert "<h1>" in await owner.text(path)


async def test_the_menu_leads_to_what_one_may_see(browsing, client, make, tenant):
    viewer, user_admin = await browsing("viewer"), await browsing("user_admin")

    assert re.search(r'href="[^"]+/projects"[^>]*aria-current="page"', await viewer.text("/projects"))
    assert "/keys" not in await viewer.text("/projects")
    assert (await viewer.get("/roles")).status_code == 403
    assert [(await user_admin.get(path)).status_code for path in LISTS] == [200, 200, 403, 403, 200]


async def test_a_role_is_made_changed_and_deleted(owner):
    made = await owner.post(
        "/roles", ("permission", "run:read"), ("permission", "agent:read"), name="watcher", description="Watches."
    )
    assert went_to(made).endswith("/roles")
    page = re.search(r'href="/console/t/[^/]+(/roles/role_\w+)"><bdi class="name">watcher', await owner.text("/roles"))[
        1
    ]
    assert 'value="run:read" checked' in await owner.text(page)

    assert went_to(await owner.post(page, ("permission", "run:read"), name="looker", description="")).endswith(page)
    shown = await owner.text(page)
    assert "looker" in shown
    assert 'value="agent:read" checked' not in shown
    assert went_to(await owner.post(f"{page}/delete")).endswith("/roles")
    assert (await owner.get(page)).status_code == 404


async def test_a_form_that_is_refused_is_shown_again_with_the_reason_and_what_was_filled_in(owner):
    answer = await owner.post("/roles", ("permission", "run:read"), name="owner", description="mine")

    assert answer.status_code == 409
    assert "There is a role of this name" in answer.text
    assert 'value="mine"' in answer.text
    assert 'value="run:read" checked' in answer.text


async def test_nobody_makes_a_role_here_either_that_holds_more_than_they(api, browsing):
    await api.made("/roles", name="roler", permissions=["tenant:read", "project:read", "role:read", "role:write"])
    roler = await browsing("roler")

    answer = await roler.post("/roles", ("permission", "audit:read"), name="auditors")

    assert (answer.status_code, "This role holds more than you do" in answer.text) == (403, True)


async def test_people_come_into_a_group_and_hold_what_it_holds(owner, api, somebody):
    email, user = somebody
    await owner.post("/groups", name="Auditors")
    [group] = (await api("GET", "/groups")).json()["data"]
    page = f"/groups/{group['id']}"

    assert went_to(await owner.post(f"{page}/members", email=email.upper())).endswith(page)
    given = await owner.post("/assignments", kind="group", holder=group["id"], role="auditor", labels="env=dev zone=eu")
    assert went_to(given).endswith(page)

    shown = await owner.text(page)
    assert email in shown
    assert "env=dev" in shown
    assert "auditor" in await owner.text(f"/people/{user}")
    assert (await owner.post(f"{page}/members", email="nobody@example.com")).status_code == 400
    assert NobodyCalledSo.title in (await owner.post(f"{page}/members", email="no@b.c")).text
    assert went_to(await owner.post(f"{page}/members/{user}/remove")).endswith(page)
    assert went_to(await owner.post(f"{page}/delete")).endswith("/groups")


async def test_labels_are_written_as_pairs(owner, somebody):
    _, user = somebody

    answer = await owner.post("/assignments", kind="user", holder=user, role="viewer", labels="env")

    assert answer.status_code == 400


async def test_a_person_is_given_a_role_and_loses_it(owner, api, somebody):
    _, user = somebody
    page = f"/people/{user}"

    given = await owner.post("/assignments", kind="user", holder=user, role="developer", project="default")
    assert went_to(given).endswith(page)
    assert "project default" in await owner.text(page)

    held = (await api("GET", "/role-assignments", user=user)).json()["data"]
    developer = next(each["id"] for each in held if each["role_name"] == "developer")
    assert went_to(await owner.post(f"/assignments/{developer}/withdraw")).endswith(page)
    assert "project default" not in await owner.text(page)


async def test_a_person_is_deactivated_and_removed_when_the_address_is_typed(owner, api, somebody):
    email, user = somebody
    page = f"/people/{user}"

    assert went_to(await owner.post(f"{page}/turn", status="disabled")).endswith(page)
    assert (await api("GET", f"/users/{user}")).json()["status"] == "disabled"
    mistaken = await owner.post(f"{page}/remove", email="somebody@else.org")
    assert (mistaken.status_code, NotTyped.title in mistaken.text) == (400, True)
    assert went_to(await owner.post(f"{page}/remove", email=email)).endswith("/roles")
    assert (await owner.get(page)).status_code == 404


async def test_a_key_is_shown_once_and_can_do_what_was_chosen(owner, client, tenant):
    made = await owner.post("/keys", ("scope", "run:read"), name="laptop", days="7", networks="127.0.0.0/8")
    assert made.status_code == 200, made.text
    secret = re.search(r"ec_sk_\w{36}", made.text)[0]

    caller = Caller(client, tenant, {"authorization": f"Bearer {secret}"})
    assert [(await caller("GET", path)).status_code for path in ("/runs", "/sessions")] == [200, 403]
    assert secret not in await owner.text("/keys")
    assert made.headers["cache-control"] == "no-store"


async def test_a_key_without_a_name_is_asked_for_one(owner):
    answer = await owner.post("/keys", name=" ", days="7")

    assert (answer.status_code, NameMissing.title in answer.text) == (400, True)


async def test_a_service_account_gets_a_key_which_is_rotated_and_revoked(owner, api):
    await owner.post("/service-accounts", name="robot", description="Builds.")
    [robot] = [each for each in (await api("GET", "/service-accounts")).json()["data"] if each["name"] == "robot"]
    await owner.post("/assignments", kind="service-account", holder=robot["id"], role="viewer")
    await owner.post("/keys", name="ci", days="7", service_account=robot["id"])
    [key] = (await api("GET", "/api-keys", service_account=robot["id"])).json()["data"]

    rotated = await owner.post(f"/keys/{key['id']}/rotate")
    assert re.search(r"ec_sk_\w{36}", rotated.text)
    assert went_to(await owner.post(f"/keys/{key['id']}/revoke")).endswith("/keys")
    assert (await api("GET", f"/api-keys/{key['id']}")).json()["revoked_at"] is not None

    page = f"/service-accounts/{robot['id']}"
    assert "viewer" in await owner.text(page)
    assert went_to(await owner.post(f"{page}/turn", status="disabled")).endswith(page)
    assert "disabled" in await owner.text(page)
    assert went_to(await owner.post(f"{page}/delete")).endswith("/service-accounts")


async def test_projects_are_made_changed_and_archived(owner, api):
    assert went_to(await owner.post("/projects", slug="labs", name="Labs", environment="dev")).endswith("/projects")
    await owner.post("/projects/labs", name="Laboratory", environment="staging")
    await owner.post("/projects/labs/turn", archived="true")

    project = (await api("GET", "/projects/labs")).json()
    assert (project["name"], project["environment"], project["archived_at"] is None) == ("Laboratory", "staging", False)
    await owner.post("/projects/labs/turn", archived="false")
    assert (await api("GET", "/projects/labs")).json()["archived_at"] is None


async def test_what_belongs_to_another_tenant_is_absent(owner, make, client, db):
    other = await make.tenant()
    theirs = Caller(client, other, await make.api_key(other))
    group = (await theirs.made("/groups", name="Theirs"))["id"]
    role = (await theirs.made("/roles", name="theirs", permissions=[]))["id"]
    key = (await theirs.made("/api-keys", name="theirs"))["id"]

    assert [(await owner.get(path)).status_code for path in (f"/groups/{group}", f"/roles/{role}")] == [404, 404]
    posts = [f"/groups/{group}/delete", f"/roles/{role}/delete", f"/keys/{key}/revoke"]
    assert [(await owner.post(path)).status_code for path in posts] == [404, 404, 404]
    given = await owner.post("/assignments", kind="group", holder=group, role="viewer")
    assert given.status_code == 404


async def test_a_join_token_is_shown_once_lets_a_runtime_in_and_is_taken_back(owner, api, client, clock):
    made = await owner.post("/join-tokens", project="default", uses="2", hours="3")
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store"), made.text
    secret = re.search(r"ec_jt_\w{36}", made.text)[0]
    assert (await Agent(client, clock).enroll(secret)).status_code == 201
    page = await owner.text("/join-tokens")
    assert (secret in page, "1 of 2" in page) == (False, True)

    [token] = (await api("GET", "/join-tokens")).json()["data"]
    assert went_to(await owner.post(f"/join-tokens/{token['id']}/revoke")).endswith("/join-tokens")
    assert (await Agent(client, clock).enroll(secret)).status_code == 401


async def test_no_token_is_made_for_a_project_that_takes_nothing_new(owner):
    await owner.post("/projects", slug="labs", name="Labs", environment="dev")
    await owner.post("/projects/labs/turn", archived="true")

    answer = await owner.post("/join-tokens", project="labs", uses="1", hours="1")

    assert (answer.status_code, ProjectArchived.title in answer.text) == (409, True)
