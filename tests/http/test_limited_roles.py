"""A role that is limited to a project, or to runtimes with certain labels, shows nothing of what is outside of it."""

import re

import pytest
from msgspec import Struct

from controlplane.domain import assignments, people, projects, roles
from controlplane.domain.grants import Limit
from controlplane.domain.holdings import Holder
from controlplane.domain.tenants import Tenant
from controlplane.kit.ids import text_id
from tests.make import SHELL
from tests.rows import Rows
from tests.runtimes import Joined, join

KINDS = {"sessions": "ses", "runs": "run", "checkpoints": "cp", "agents": "agt", "runtimes": "rt"}
SECRET = "forbidden"
"""Stands in everything that must not be seen."""


class Part(Struct):
    """What one runtime reports."""

    runtime: Joined
    ids: dict[str, str]


class Company(Struct):
    tenant: Tenant
    mine: Part
    theirs: Part

    @property
    def limits(self):
        return {
            "project": Limit(project_id=self.mine.runtime.project_id),
            "labels": Limit(labels={"env": "dev"}),
            "both": Limit(project_id=self.mine.runtime.project_id, labels={"env": "dev"}),
        }


@pytest.fixture
async def acme(db, make):
    tenant = await make.tenant("acme")
    async with db.tenant(tenant.tenant_id) as tx:
        closed = await projects.named(tx, projects.DEFAULT)
        opened = await projects.create(tx, SHELL, "labs", "Labs", "dev")
    rows = Rows(db)
    mine = await part(rows, await join(db, tenant.tenant_id, opened.id, {"env": "dev", "zone": "eu"}), "permitted")
    theirs = await part(rows, await join(db, tenant.tenant_id, closed.id, {"env": "prod"}), SECRET)
    return Company(tenant, mine, theirs)


async def part(rows, runtime, word):
    session = await rows.session(runtime, agent=word, status="failed", error={"name": word, "line": word})
    await rows.session(runtime, agent=word, status="waiting", waiting_for="resume", current_node=word)
    await rows.cost(runtime, session, 7)
    await rows.report(runtime, 4, records=41, bytes=2_000, oldest_age_s=90)
    await rows.loss(runtime, 3)
    ids = {
        "sessions": session,
        "runs": await rows.run(runtime, session, agent=word),
        "checkpoints": await rows.checkpoint(runtime, session, node=word),
        "agents": await rows.agent(runtime, word),
        "runtimes": runtime.id,
    }
    return Part(runtime, {path: text_id(KINDS[path], identity) for path, identity in ids.items()})


@pytest.fixture(params=["project", "labels", "both"])
async def limited(request, client, make, acme):
    """A developer of the one part, by key."""
    return Caller(client, acme, await make.limited_key(acme.tenant, "developer", acme.limits[request.param]))


class Caller:
    def __init__(self, client, company, headers):
        self._client, self._headers = client, headers
        self._base = f"/v1/tenants/{company.tenant.slug}"

    async def __call__(self, path, method="GET", **query):
        return await self._client.request(method, f"{self._base}/{path}", params=query, headers=self._headers)

    async def rows(self, path, **query):
        answer = await self(path, **query)
        assert answer.status_code == 200, answer.text
        assert SECRET not in answer.text
        return answer.json()["data"]


async def test_lists_hold_what_is_within_and_nothing_else(limited, acme):
    for path in KINDS:
        runtimes = {row["id"] if path == "runtimes" else row["runtime"] for row in await limited.rows(path)}
        assert runtimes == {acme.mine.ids["runtimes"]}, path


async def test_what_is_outside_is_as_absent_as_what_is_not_there(limited, acme):
    for path in KINDS:
        outside, within = acme.theirs.ids[path], acme.mine.ids[path]
        absent = outside[:-6] + "000000"

        refused = await limited(f"{path}/{outside}")
        nothing = await limited(f"{path}/{absent}")

        assert (await limited(f"{path}/{within}")).status_code == 200, path
        assert refused.status_code == nothing.status_code == 404, path
        assert {**refused.json(), "request_id": ""} == {**nothing.json(), "request_id": ""}, path


async def test_no_filter_finds_what_is_outside(limited, acme):
    asked = [
        ("sessions", {"runtime": "runtimes"}),
        ("sessions", {"agent": SECRET}),
        ("sessions", {"q": SECRET}),
        ("sessions", {"q": "session_2026"}),
        ("sessions", {"project": "default"}),
        ("runs", {"runtime": "runtimes"}),
        ("runs", {"q": SECRET}),
        ("runs", {"project": "default"}),
        ("agents", {"runtime": "runtimes"}),
        ("agents", {"project": "default"}),
        ("checkpoints", {"session": "sessions"}),
        ("checkpoints", {"run": "runs"}),
        ("checkpoints", {"node": SECRET}),
        ("runtimes", {"project": "default"}),
    ]
    for path, filters in asked:
        query = {name: acme.theirs.ids.get(value, value) for name, value in filters.items()}
        found = [row["id"] for row in await limited.rows(path, **query)]
        assert acme.theirs.ids[path] not in found, (path, filters)


async def test_pages_end_where_what_is_within_ends(limited, acme):
    for path in KINDS:
        seen, cursor = [], {}
        while True:
            answer = (await limited(path, limit=1, **cursor)).json()
            seen += answer["data"]
            if not answer["page"]["has_more"]:
                break
            cursor = {"cursor": answer["page"]["next_cursor"]}

        assert [row["id"] for row in seen] == [row["id"] for row in await limited.rows(path)], path
        assert answer["page"]["next_cursor"] is None, path


async def test_a_cursor_of_somebody_who_sees_more_shows_no_more(client, make, acme, limited):
    everywhere = Caller(client, acme, await make.api_key(acme.tenant, "viewer"))
    cursor = (await everywhere("runtimes", limit=1)).json()["page"]["next_cursor"]

    assert {row["id"] for row in await limited.rows("runtimes", cursor=cursor)} <= {acme.mine.ids["runtimes"]}


async def test_nothing_outside_can_be_changed(limited, acme, client, make):
    outside = await limited(f"runtimes/{acme.theirs.ids['runtimes']}", "DELETE")
    within = await limited(f"runtimes/{acme.mine.ids['runtimes']}", "DELETE")

    assert (outside.status_code, within.status_code) == (404, 204)
    viewer = Caller(client, acme, await make.api_key(acme.tenant, "viewer"))
    assert (await viewer(f"runtimes/{acme.theirs.ids['runtimes']}")).json()["revoked_at"] is None


async def test_what_is_about_the_whole_tenant_takes_a_role_without_limits(client, make, acme):
    admin = Caller(client, acme, await make.limited_key(acme.tenant, "admin", acme.limits["project"]))

    answers = {path: (await admin(path)).status_code for path in ("users", "roles", "api-keys", "audit-events")}

    assert set(answers.values()) == {403}
    assert (await admin("")).status_code == 200


async def test_projects_and_join_tokens_are_those_of_ones_project(client, make, acme):
    key = await make.limited_key(acme.tenant, "developer", acme.limits["project"])
    await make.join_token(acme.tenant)
    caller = Caller(client, acme, key)
    base = "/v1/tenants/acme/join-tokens"

    made = await client.post(base, headers=key, json={"project": "labs"})
    refused = await client.post(base, headers=key, json={"project": "default"})

    assert [project["slug"] for project in await caller.rows("projects")] == ["labs"]
    assert (await caller("projects/default")).status_code == 404
    assert (made.status_code, refused.status_code) == (201, 404)
    assert [row["id"] for row in await caller.rows("join-tokens")] == [made.json()["id"]]


async def test_a_role_that_is_limited_to_labels_lets_nobody_in(client, make, acme):
    caller = Caller(client, acme, await make.limited_key(acme.tenant, "developer", acme.limits["labels"]))

    assert (await caller("join-tokens")).status_code == 403
    assert (await caller("projects")).status_code == 403


async def test_limits_add_up(client, db, make, acme):
    human = await make.person(acme.tenant, "viewer", acme.limits["labels"])
    caller = Caller(client, acme, human.headers)
    assert len(await caller.rows("runtimes")) == 1

    async with db.tenant(acme.tenant.tenant_id) as tx:
        user = await people.member(tx, human.account.id)
        viewer, prod = await roles.named(tx, "viewer"), Limit(labels={"env": "prod"})
        await assignments.assign(tx, SHELL, Holder("user", user.id), viewer, prod)

    assert len((await caller("runtimes")).json()["data"]) == 2


@pytest.mark.parametrize("kind", ["project", "labels", "both"])
async def test_no_page_of_the_console_shows_what_is_outside(client, make, acme, kind):
    human = await make.person(acme.tenant, "viewer", acme.limits[kind])

    for place in ("/", "/sessions?period=all", "/runtimes", "/sessions?period=all&q=forbidden"):
        page = await client.get(f"/console/t/acme{place}", headers=human.headers)

        assert page.status_code == 200, page.text
        asked_for = r'value="forbidden"|q=forbidden|<bdi class="name">forbidden</bdi>|<b>forbidden</b>'
        text = re.sub(asked_for, "", page.text) if "q=" in place else page.text
        assert not [each for each in acme.theirs.ids.values() if each in text], place
        assert SECRET not in text, place


@pytest.mark.parametrize("kind", ["project", "labels"])
async def test_pages_of_what_is_outside_are_absent(client, make, acme, kind):
    human = await make.person(acme.tenant, "viewer", acme.limits[kind])

    for path in ("sessions", "runtimes"):
        answers = [
            (await client.get(f"/console/t/acme/{path}/{part.ids[path]}", headers=human.headers)).status_code
            for part in (acme.mine, acme.theirs)
        ]
        assert answers == [200, 404]


async def test_the_search_leads_nowhere_outside(client, db, make, acme):
    human = await make.person(acme.tenant, "viewer", acme.limits["project"])
    owner = await make.person(acme.tenant)
    name = (await client.get(f"/v1/tenants/acme/runtimes/{acme.theirs.ids['runtimes']}", headers=owner.headers)).json()

    found = await client.get("/console/t/acme/search", params={"q": name["name"]}, headers=human.headers)

    assert "/runtimes/" not in found.headers["location"]


async def test_what_the_overview_counts_is_within(client, make, acme, db):
    human = await make.person(acme.tenant, "viewer", acme.limits["labels"])
    owner = await make.person(acme.tenant)
    pages = [(await client.get("/console/t/acme/", headers=each.headers)).text for each in (human, owner)]

    assert SECRET in pages[1]
    assert SECRET not in pages[0]


async def test_a_role_without_every_kind_of_work_sees_no_page_of_work(client, make, db, acme):
    async with db.tenant(acme.tenant.tenant_id) as tx:
        await roles.create(tx, SHELL, "sessions-only", ["tenant:read", "session:read"])
    human = await make.person(acme.tenant, "sessions-only")

    answer = await client.get("/console/t/acme/sessions", headers=human.headers)

    assert answer.status_code == 403
    assert (await client.get("/v1/tenants/acme/sessions", headers=human.headers)).status_code == 200
    assert (await client.get("/v1/tenants/acme/checkpoints", headers=human.headers)).status_code == 403


async def test_one_permission_may_reach_further_than_another(client, db, make, acme):
    async with db.tenant(acme.tenant.tenant_id) as tx:
        await roles.create(tx, SHELL, "sessions-only", ["tenant:read", "session:read"])
    human = await make.person(acme.tenant, "viewer", acme.limits["project"])
    async with db.tenant(acme.tenant.tenant_id) as tx:
        user = await people.member(tx, human.account.id)
        await assignments.assign(tx, SHELL, Holder("user", user.id), await roles.named(tx, "sessions-only"))
    caller = Caller(client, acme, human.headers)

    assert {row["runtime"] for row in (await caller("sessions")).json()["data"]} == {
        acme.mine.ids["runtimes"],
        acme.theirs.ids["runtimes"],
    }
    assert len((await caller("runtimes")).json()["data"]) == 1
    page = (await client.get("/console/t/acme/sessions?period=all", headers=human.headers)).text
    assert SECRET not in page
