"""What is not done as somebody else, whatever they hold; and everything that ends it, from the next request on."""

import re
from datetime import timedelta

import pytest
from litestar import get, post
from sqlalchemy import func

from controlplane.app import assemble
from controlplane.chores.impersonations import end_impersonations
from controlplane.db import schema as t
from controlplane.domain import masks, tenants
from controlplane.domain.impersonation import requests
from controlplane.http import proof, routes
from controlplane.http.authorize import Surface, rule
from controlplane.kit.ids import parse_id
from tests.http.masked import Doing, case
from tests.make import SHELL

OVER = (401, "impersonation-over")


@pytest.fixture
def assembled(assembled, request):
    """Tests that add a route have an app of their own."""
    return assemble() if "later" in request.fixturenames else assembled


@pytest.fixture
def later(app, client):
    """Routes that somebody adds one day: with a fresh proof, with no permission, and one that does more than look."""

    @post("/v1/tenants/{tenant:str}/dangerous", opt=rule(Surface.TENANT, "project:write", fresh=True))
    async def dangerous() -> None: ...

    @get("/console/t/{tenant:str}/anybody", opt=rule(Surface.CONSOLE))
    async def anybody() -> str:
        return "in"

    @post("/v1/tenants/{tenant:str}/looking", opt=rule(Surface.TENANT, "project:read"))
    async def looking() -> None: ...

    for each in (dangerous, anybody, looking):
        app.register(each)
    proof.prove(app)
    routes.settle(app)


@pytest.fixture
async def doing(client, db, make):
    """The subject owns the tenant as well: nothing of what is refused is refused for want of a permission."""
    return Doing(client, await case(db, make, role="owner"))


@pytest.fixture
def base(doing):
    return f"/v1/tenants/{doing.case.tenant.slug}"


@pytest.fixture
def look(client, base):
    async def look(headers, what="runs"):
        answer = await client.get(f"{base}/{what}", headers=headers)
        return answer.status_code, answer.json().get("code")

    return look


@pytest.fixture
def ended(db, doing):
    """How the only one ended."""

    async def ended():
        async with db.tenant(doing.case.tenant.tenant_id) as tx:
            [row] = await requests.listing(tx, after=None, limit=2)
        return row.outcome

    return ended


def at(path, tenant):
    return re.sub(r"{(\w+)(:\w+)?}", lambda found: tenant if found[1] == "tenant" else "none", path)


def code(answer):
    return answer.status_code, answer.json().get("code")


@pytest.mark.parametrize("mode", ["read_only", "full"])
async def test_no_route_does_more_than_the_list_says(app, client, doing, mode):
    _, worn = await doing.wear(mode=mode)
    tried = 0
    for path, method, its in proof.rules(app):
        if its.open_because or its.as_oneself or its.surface not in (Surface.TENANT, Surface.ME, Surface.OPERATOR):
            continue
        listed = its.surface is Surface.TENANT and masks.allowed("full").issuperset(its.permissions) and not its.fresh
        if not listed:
            tried += 1
            answer = await client.request(method, at(path, doing.case.tenant.slug), headers=worn, json={})
            assert code(answer) == (403, "impersonation-forbids"), (method, path, answer.text)
        elif mode == "read_only" and method != "GET":
            answer = await client.request(method, at(path, doing.case.tenant.slug), headers=worn, json={})
            assert code(answer) == (403, "impersonation-read-only"), (method, path, answer.text)
    assert tried > 80


async def test_no_page_does_more_than_the_list_says(app, client, doing):
    _, worn = await doing.wear(mode="full")
    for path, method, its in proof.rules(app):
        if (
            its.open_because
            or its.as_oneself
            or its.surface is not Surface.CONSOLE
            or path in ("/console", "/console/")
        ):
            continue
        inside = "{tenant}" in path
        if inside and its.permissions and masks.allowed("full").issuperset(its.permissions) and not its.fresh:
            continue
        answer = await client.request(method, at(path, doing.case.tenant.slug), headers=worn, data={})
        assert answer.status_code == 403, (method, path)
        assert "This is not done as somebody else" in answer.text, (method, path)
        assert "You work as" in answer.text, "the banner is on every page"


async def test_it_counts_in_one_tenant_and_no_other(client, db, make, doing):
    elsewhere = await make.tenant()
    async with db.tenant(elsewhere.tenant_id) as tx:
        from_there = await tenants.get(tx)
    _, worn = await doing.wear()

    foreign = await client.get(f"/v1/tenants/{from_there.slug}/runs", headers=worn)
    absent = await client.get("/v1/tenants/nowhere/runs", headers=worn)

    assert code(foreign) == code(absent) == (404, "not-found")
    assert (await client.get(f"/console/t/{from_there.slug}/", headers=worn)).status_code == 404


async def test_a_mask_is_worth_nothing_without_the_session_it_is_of(client, doing, make, look):
    _, worn = await doing.wear()
    mask = worn["cookie"].partition("; ")[2]
    other, again = await make.operator(), await make.signed_in(doing.case.operator.account)

    assert (await look({"cookie": mask}))[0] == 401
    assert await look({"cookie": f"{other.headers['cookie']}; {mask}"}) == OVER
    assert await look({"cookie": f"{again.headers['cookie']}; {mask}"}) == OVER, "nor with another of the same operator"
    assert (await look({"cookie": mask.replace("impersonation=", "session=")}))[0] == 401, "it is no session"


async def test_what_was_meant_as_somebody_else_is_never_done_as_oneself(client, doing, base):
    made, worn = await doing.wear(mode="full")
    await doing.owner("end", made)

    late = await client.post(f"{base}/projects", headers=worn, json={"slug": "late", "name": "Late"})

    assert code(late) == OVER
    assert "Max-Age=0" in late.headers["set-cookie"]


async def test_full_mode_works_and_read_only_looks(client, doing, base):
    made, worn = await doing.wear()
    refused = await client.post(f"{base}/projects", headers=worn, json={"slug": "new", "name": "New"})
    await doing.operator("end", made)
    _, worn = await doing.wear(mode="full")
    done = await client.post(f"{base}/projects", headers=worn, json={"slug": "new", "name": "New"})

    assert code(refused) == (403, "impersonation-read-only")
    assert done.status_code == 201


@pytest.mark.usefixtures("later")
async def test_what_takes_a_fresh_proof_or_no_permission_is_shut_whatever_it_is(client, doing, base):
    made, worn = await doing.wear(mode="full")
    fresh = await client.post(f"{base}/dangerous", headers=worn)
    nothing = await client.get(f"/console/t/{doing.case.tenant.slug}/anybody", headers=worn)
    works = await client.post(f"{base}/looking", headers=worn)
    await doing.operator("end", made)
    _, worn = await doing.wear()
    looks = await client.post(f"{base}/looking", headers=worn)

    assert code(fresh) == (403, "impersonation-forbids")
    assert nothing.status_code == 403
    assert works.status_code == 201
    assert code(looks) == (403, "impersonation-read-only")


async def test_its_minutes_end_it_at_their_last_microsecond(doing, clock, look, db, ended):
    _, worn = await doing.wear(minutes=10)
    clock.forward(timedelta(minutes=10) - timedelta(microseconds=1))
    assert (await look(worn))[0] == 200
    clock.forward(timedelta(microseconds=1))

    assert await look(worn) == OVER
    assert await end_impersonations(db) == 1
    assert await ended() == "time"
    assert await end_impersonations(db) == 0


async def test_an_hour_is_the_longest(doing):
    assert (await doing.ask(minutes=61)).status_code == 400
    assert (await doing.ask(minutes=0)).status_code == 400
    assert (await doing.ask(reason=" ")).status_code == 400
    assert (await doing.ask(minutes=60)).status_code == 201


async def test_an_owner_ends_it(doing, look, ended):
    made, worn = await doing.wear()

    assert (await doing.owner("end", made)).json()["state"] == "ended"

    assert await look(worn) == OVER
    assert await ended() == "owner"


async def test_the_policy_never_ends_it(doing, look, ended):
    _, worn = await doing.wear()

    await doing.policy("never")

    assert await look(worn) == OVER
    assert await ended() == "policy"


@pytest.mark.parametrize(
    ("table", "turned"), [(t.tenants, {"impersonation_policy": "never"}), (t.impersonations, {"ended_at": func.now()})]
)
async def test_each_request_asks_the_database_whether_it_goes_on(db, doing, look, table, turned):
    _, worn = await doing.wear()
    async with db.tenant(doing.case.tenant.tenant_id) as tx:
        tx.audited = True
        await tx.run(tx.update(table).values(**turned))

    assert await look(worn) == OVER


async def test_with_the_person_it_ends(client, db, doing, base, look, ended):
    _, worn = await doing.wear()
    turned = await client.patch(
        f"{base}/users/{doing.case.user}", headers=doing.case.owner.headers, json={"status": "disabled"}
    )
    assert turned.status_code == 200, turned.text

    assert await look(worn) == OVER
    await end_impersonations(db)
    assert await ended() == "person"


async def test_with_the_tenants_suspension_it_ends(db, doing, look, ended):
    _, worn = await doing.wear()
    async with db.tenant(doing.case.tenant.tenant_id) as tx:
        await tenants.suspend(tx, SHELL, "unpaid")

    assert await look(worn) == OVER
    await end_impersonations(db)
    assert await ended() == "tenant"


@pytest.mark.parametrize("role", [None, "viewer"])
async def test_with_the_operators_role_it_ends(db, doing, look, ended, role):
    _, worn = await doing.wear()
    async with db.platform() as tx:
        tx.audited = True
        mine = t.operators.c.account_id == doing.case.operator.account.id
        gone = tx.delete(t.operators).where(mine)
        await tx.run(gone if role is None else tx.update(t.operators).where(mine).values(role=role))

    assert await look(worn) == OVER
    await end_impersonations(db)
    assert await ended() == "signed-out"


async def test_signing_out_ends_it_and_the_session(client, db, doing, look, ended):
    _, worn = await doing.wear()

    out = await client.post("/v1/auth/sign-out", headers=worn)

    assert out.status_code == 204
    assert (await look(worn))[0] == 401
    assert (await look(doing.case.operator.headers))[0] == 401
    await end_impersonations(db)
    assert await ended() == "signed-out"


async def test_whoever_it_is_about_is_not_disturbed(client, doing, look):
    made, _ = await doing.wear()

    assert (await look(doing.case.subject.headers))[0] == 200
    await doing.operator("end", made)
    assert (await look(doing.case.subject.headers))[0] == 200


async def test_what_the_person_loses_meanwhile_is_lost_in_it_too(client, db, doing, base, look):
    _, worn = await doing.wear()
    user_id = parse_id("usr", doing.case.user)
    async with db.tenant(doing.case.tenant.tenant_id) as tx:
        tx.audited = True
        await tx.run(tx.delete(t.role_assignments).where(t.role_assignments.c.user_id == user_id))

    assert await look(worn) == (403, "permission-denied")


async def test_a_repeated_request_of_the_person_is_not_answered_to_whoever_works_as_them(client, doing, base):
    _, worn = await doing.wear(mode="full")
    key, body = {"idempotency-key": "one"}, {"slug": "theirs", "name": "Theirs"}
    theirs = await client.post(f"{base}/projects", headers={**doing.case.subject.headers, **key}, json=body)

    mine = await client.post(f"{base}/projects", headers={**worn, **key}, json=body)

    assert theirs.status_code == 201
    assert "idempotency-replayed" not in mine.headers
    assert mine.status_code == 409


async def test_beginning_twice_takes_asking_twice(doing):
    made, worn = await doing.wear()
    await doing.operator("end", made, worn)

    assert code(await doing.operator("start", made)) == (409, "impersonation-state-conflict")
    assert (await doing.wear())[0] != made
