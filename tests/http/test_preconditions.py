"""ETags: what was seen is not sent again, and what was seen is what is changed."""

import asyncio
from typing import Any

import pytest
from litestar import Controller, Request, Router, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from controlplane.app import assemble
from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, projects
from controlplane.http import proof, routes
from controlplane.http.authorize import Surface, rule
from controlplane.http.transaction import TENANT_TX
from tests.make import SHELL
from tests.waiting import until_it_waits

SLOW = "slow"
"""Who is given this name stays in its change until the test lets them go on."""

STALE = '"AAAAAAAAAAAAAAAAAAAA"'


@pytest.fixture
def assembled(assembled, request):
    """Tests that add a route have an app of their own."""
    return assemble() if "things" in request.fixturenames else assembled


class Thing(Struct, frozen=True, kw_only=True):
    id: str
    name: str


class Renaming(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str


class ThingsController(Controller):
    path = "/things"

    @get("/{thing:str}", opt=rule(Surface.TENANT, "project:read"))
    async def show(self, tx: NamedDependency[TenantTx], thing: FromPath[str]) -> Thing:
        project = await projects.named(tx, thing)
        return Thing(id=str(project.id), name=project.name)

    @patch("/{thing:str}", opt=rule(Surface.TENANT, "project:read"))
    async def rename(
        self,
        request: Request[Any, Any, Any],
        tx: NamedDependency[TenantTx],
        thing: FromPath[str],
        data: JSONBody[Renaming],
    ) -> Thing:
        project = await projects.named(tx, thing)
        await tx.run(tx.update(t.projects).where(t.projects.c.id == project.id).values(name=data.name))
        if data.name == SLOW:
            request.app.state.written.set()
            await request.app.state.go_on.wait()
        audit.record(tx, SHELL, "thing.renamed", ("project", thing))
        return Thing(id=str(project.id), name=data.name)


@pytest.fixture
async def call(client, make, tenant):
    key = await make.api_key(tenant)

    async def call(method, path, headers=(), **given):
        headers = {**key, **dict(headers)}
        return await client.request(method, f"/v1/tenants/{tenant.slug}{path}", headers=headers, **given)

    return call


@pytest.fixture
def things(app, monkeypatch):
    """A route whose changes have to say which state they are of."""
    monkeypatch.setattr(routes, "NEED_MATCH", frozenset({"things"}))
    app.state.written, app.state.go_on = asyncio.Event(), asyncio.Event()
    app.register(Router("/v1/tenants/{tenant:str}", route_handlers=[ThingsController], dependencies=TENANT_TX))
    proof.prove(app)
    routes.settle(app)


@pytest.fixture
def rename(things, call):
    async def rename(name, **headers):
        return await call("PATCH", "/things/default", headers, json={"name": name})

    return rename


async def test_an_object_has_an_etag_and_is_not_sent_twice(call):
    first = await call("GET", "/projects/default")
    again = await call("GET", "/projects/default", {"If-None-Match": first.headers["etag"]})
    weakly = await call("GET", "/projects/default", {"If-None-Match": f"{STALE}, W/{first.headers['etag']}"})

    assert first.headers["etag"].startswith('"')
    assert first.headers["cache-control"] == "no-store"
    assert [again.status_code, weakly.status_code] == [304, 304]
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]


async def test_another_state_has_another_etag(call, make, tenant):
    made = (await call("POST", "/api-keys", json={"name": "x"})).json()
    before = await call("GET", f"/api-keys/{made['id']}")
    await call("DELETE", f"/api-keys/{made['id']}")

    after = await call("GET", f"/api-keys/{made['id']}", {"If-None-Match": before.headers["etag"]})

    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]


async def test_a_list_has_no_etag(call):
    assert "etag" not in (await call("GET", "/projects")).headers


async def test_whoever_asks_for_one_state_only_is_told_that_it_is_gone(call):
    tag = (await call("GET", "/projects/default")).headers["etag"]

    assert (await call("GET", "/projects/default", {"If-Match": f"{STALE}, {tag}"})).status_code == 200
    refused = await call("GET", "/projects/default", {"If-Match": STALE})
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition-failed")


async def test_a_change_of_a_state_that_is_gone_is_not_made(call):
    made = (await call("POST", "/api-keys", json={"name": "x"})).json()
    path = f"/api-keys/{made['id']}"
    tag = (await call("GET", path)).headers["etag"]

    refused = await call("DELETE", path, {"If-Match": STALE})
    unmoved = await call("GET", path)
    weak = await call("DELETE", path, {"If-Match": f"W/{tag}"})
    done = await call("DELETE", path, {"If-Match": tag})
    twice = await call("DELETE", path, {"If-Match": tag})

    assert (refused.status_code, refused.json()["code"]) == (412, "precondition-failed")
    assert unmoved.json()["revoked_at"] is None
    assert [weak.status_code, done.status_code, twice.status_code] == [412, 204, 412]


async def test_any_state_is_a_state_too(call):
    made = (await call("POST", "/api-keys", json={"name": "x"})).json()

    assert (await call("DELETE", f"/api-keys/{made['id']}", {"If-None-Match": "*"})).status_code == 412
    assert (await call("DELETE", f"/api-keys/{made['id']}", {"If-Match": "*"})).status_code == 204


@pytest.mark.parametrize("given", ["x", '"x', '"x" "y"', ",", '"a",, "b"', 'w/"x"'])
async def test_what_is_no_list_of_etags_is_refused_by_its_name(call, given):
    for method, name in (("GET", "If-Match"), ("GET", "If-None-Match"), ("DELETE", "If-Match")):
        made = (await call("POST", "/api-keys", json={"name": "x"})).json()

        answer = await call(method, f"/api-keys/{made['id']}", {name: given})

        assert (answer.status_code, answer.json()["errors"][0]["name"]) == (400, name)


@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}, {"If-Match": STALE}, {"If-None-Match": "*"}])
async def test_what_is_absent_is_absent_whatever_is_expected_of_it(call, rename, headers):
    nowhere = await call("PATCH", "/things/none", headers, json={"name": "x"})
    no_key = await call("DELETE", "/api-keys/key_01m708nkw8f8tshbwj0hqsf1bv", headers)

    assert [(each.status_code, each.json()["code"]) for each in (nowhere, no_key)] == [(404, "not-found")] * 2


async def test_what_several_people_edit_is_not_changed_without_saying_which_state(call, rename):
    refused = await rename("Mine")
    tag = (await call("GET", "/things/default")).headers["etag"]
    changed = await rename("Mine", **{"If-Match": tag})

    assert (refused.status_code, refused.json()["code"]) == (428, "precondition-required")
    assert changed.status_code == 200, changed.text
    assert (await call("GET", "/things/default")).json()["name"] == "Mine"


async def test_a_change_waits_for_the_one_before_it_and_is_then_of_another_state(app, db, call, rename):
    tag = (await call("GET", "/things/default")).headers["etag"]
    first = asyncio.create_task(rename(SLOW, **{"If-Match": tag}))
    await app.state.written.wait()

    second = asyncio.create_task(rename("late", **{"If-Match": tag}))
    await until_it_waits(db, second)
    app.state.go_on.set()

    assert [(await each).status_code for each in (first, second)] == [200, 412]
    assert (await call("GET", "/things/default")).json()["name"] == SLOW


async def test_of_two_changes_of_one_state_one_is_made(call, rename):
    tag = (await call("GET", "/things/default")).headers["etag"]

    answers = await asyncio.gather(*(rename(f"name {each}", **{"If-Match": tag}) for each in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
    [won] = [answer for answer in answers if answer.status_code == 200]
    assert (await call("GET", "/things/default")).json()["name"] == won.json()["name"]
