"""The operator's tenants and a tenant's settings: who sees which, and what their buttons do."""

import html
import io
import zipfile
from datetime import timedelta
from urllib.parse import quote

import pytest

from controlplane.chores import lifecycle
from controlplane.domain import quotas, tenants
from controlplane.domain.permissions import FRESH_FOR
from controlplane.domain.plans import Plan
from controlplane.http.console.acts import LimitUnreadable, NotConfirmed
from controlplane.kit.ids import text_id
from tests.make import SHELL, Make


@pytest.fixture
async def acme(make):
    return await make.tenant("acme")


@pytest.fixture
async def operator(make):
    return (await make.operator()).headers


@pytest.fixture
async def owner(make, acme):
    return (await make.person(acme)).headers


@pytest.fixture
def one(acme):
    return f"/console/tenants/{text_id('ten', acme.tenant_id)}"


@pytest.fixture
def press(client):
    async def press(address, headers, **form):
        return await client.post(address, headers=headers, data=form)

    return press


async def status(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return (await tenants.get(tx)).status


async def test_operators_find_tenants_by_state_and_name(client, make, acme, operator, press, one):
    await make.tenant("birch")
    await press(f"{one}/suspend", operator, reason="unpaid since March")

    every = (await client.get("/console/tenants", headers=operator)).text
    suspended = (await client.get("/console/tenants?status=suspended", headers=operator)).text
    named = (await client.get("/console/tenants?q=BIR", headers=operator)).text
    nothing = (await client.get("/console/tenants?q=nobody", headers=operator)).text

    assert "2 tenants" in every
    assert "unpaid since March" in suspended
    assert "birch" not in suspended.partition("<table")[2]
    assert "birch" in named.partition("<table")[2]
    assert "acme" not in named.partition("<table")[2]
    assert "No tenant matches" in nothing


async def test_an_operator_suspends_and_resumes(client, db, acme, operator, press, one):
    pressed = await press(f"{one}/suspend", operator, reason="fraud?", message="Please call us.")
    shown = (await client.get(one, headers=operator)).text

    assert (pressed.status_code, pressed.headers["location"]) == (303, one)
    assert await status(db, acme) == "suspended"
    assert "fraud?" in shown
    assert "Please call us." in shown
    await press(f"{one}/resume", operator)
    assert await status(db, acme) == "active"


async def test_deleting_takes_the_typed_slug(client, db, acme, operator, press, one):
    mistyped = await press(f"{one}/delete", operator, confirm="acmee")
    assert (mistyped.status_code, await status(db, acme)) == (400, "active")
    assert NotConfirmed.title in html.unescape(mistyped.text)

    await press(f"{one}/delete", operator, confirm="acme")
    assert await status(db, acme) == "pending_deletion"
    assert "taken back" in (await client.get(one, headers=operator)).text

    await press(f"{one}/undelete", operator)
    assert await status(db, acme) == "active"


async def test_an_operator_changes_limits(client, db, acme, operator, press, one):
    async with db.platform() as tx:
        await quotas.configure(tx, SHELL, {"standard": Plan(), "free": Plan(users=2)}, "standard")

    wrong = await press(f"{one}/limits", operator, users="many")
    await press(f"{one}/limits", operator, plan="free", runtimes="7", projects="none", users="")

    assert (wrong.status_code, LimitUnreadable.title in wrong.text) == (400, True)
    async with db.tenant(acme.tenant_id) as tx:
        shown = {limit.kind: (limit.most, limit.overridden) for limit in await quotas.limits(tx)}
        assert (await tenants.get(tx)).plan == "free"
    assert (shown["users"], shown["runtimes"], shown["projects"]) == ((2, False), (7, True), (None, True))
    assert 'value="7"' in (await client.get(one, headers=operator)).text


async def test_an_operator_who_only_looks_is_offered_no_button_and_may_press_none(client, db, make, acme, press, one):
    viewer = (await make.operator("viewer")).headers

    shown = (await client.get(one, headers=viewer)).text

    assert "<form method" not in shown.partition("<main")[2]
    for act in ("suspend", "resume", "delete", "undelete", "limits"):
        assert (await press(f"{one}/{act}", viewer, confirm="acme")).status_code == 403
    assert await status(db, acme) == "active"


async def test_a_tenants_people_do_not_see_the_operators_pages(client, acme, owner, press, one):
    answers = [
        await client.get("/console/tenants", headers=owner),
        await client.get(one, headers=owner),
        await press(f"{one}/suspend", owner),
        await press(f"{one}/delete", owner, confirm="acme"),
    ]

    assert {answer.status_code for answer in answers} == {403}


async def test_a_page_of_another_site_presses_nothing(client, db, acme, operator, one):
    answer = await client.post(f"{one}/suspend", headers={**operator, "sec-fetch-site": "cross-site"}, data={})

    assert (answer.status_code, await status(db, acme)) == (403, "active")


async def test_a_tenant_that_is_not_there_has_no_page(client, operator, press):
    for address in ("/console/tenants/nobody", "/console/tenants/ten_" + "0" * 26):
        assert (await client.get(address, headers=operator)).status_code == 404
        assert (await press(f"{address}/suspend", operator)).status_code == 404


async def test_a_purged_tenant_has_a_page_without_buttons(client, app, operator, press, one):
    db = app.state.db
    await press(f"{one}/delete", operator, confirm="acme")
    db.clock.forward(app.state.deletion_grace)
    await lifecycle.purge_tenants(db, app.state.keyring, None, app.state.blobs)
    # the operator's session is over by now as well
    again = (await Make(db, app.state.keyring).operator()).headers

    page = await client.get(one, headers=again)
    listed = await client.get("/console/tenants?status=deleted", headers=again)

    assert (page.status_code, listed.status_code) == (200, 200)
    assert "certificate" in page.text
    assert "<form method" not in page.text.partition("<main")[2]


# ----------------------------------------------------------------------------------------------------- settings


SETTINGS = "/console/t/acme/settings"


async def test_everybody_in_the_tenant_sees_its_settings_and_owners_alone_their_dangerous_part(
    client, make, acme, owner
):
    viewer = (await make.person(acme, "viewer")).headers

    mine, theirs = [(await client.get(SETTINGS, headers=headers)).text for headers in (owner, viewer)]

    assert "Make an archive" in mine
    assert "Delete this tenant" in mine
    assert "Make an archive" not in theirs
    assert "Delete this tenant" not in theirs
    assert "<form method" not in theirs.partition("<main")[2]


async def test_usage_stands_beside_its_limit(client, db, acme, owner):
    async with db.platform() as tx:
        await quotas.configure(tx, SHELL, {"free": Plan(users=4)}, "free")

    page = (await client.get(SETTINGS, headers=owner)).text

    row = page.partition("People")[2].partition("</tr>")[0]
    assert [part.partition("<")[0] for part in row.split('<td class="num">')[1:]] == ["1", "4"]
    assert 'width="25%"' in row


async def test_an_owner_renames_exports_and_fetches(client, db, acme, owner, press):
    renamed = await press(f"{SETTINGS}/name", owner, name="Acme & Daughters")
    await press(f"{SETTINGS}/exports", owner)
    waiting = (await client.get(SETTINGS, headers=owner)).text
    await lifecycle.write_exports(db)
    page = (await client.get(SETTINGS, headers=owner)).text

    assert renamed.headers["location"] == SETTINGS
    assert "An archive is being made" in waiting
    assert "Acme &amp; Daughters" in page
    link = page.partition('<a href="/console/t/acme/settings/exports/')[2].partition('"')[0]
    fetched = await client.get(f"{SETTINGS}/exports/{link}", headers=owner)
    assert zipfile.ZipFile(io.BytesIO(fetched.content)).testzip() is None


async def test_an_owner_leaves_and_comes_back(client, db, acme, owner, press):
    mistyped = await press(f"{SETTINGS}/delete", owner, confirm="")
    assert (mistyped.status_code, await status(db, acme)) == (400, "active")

    await press(f"{SETTINGS}/delete", owner, confirm="acme")
    assert await status(db, acme) == "pending_deletion"
    turned_away = await client.get("/console/t/acme/sessions", headers=owner)
    assert turned_away.status_code == 403
    assert f'href="{SETTINGS}"' in turned_away.text
    assert "Take the deletion back" in (await client.get(SETTINGS, headers=owner)).text

    await press(f"{SETTINGS}/undelete", owner)
    assert await status(db, acme) == "active"


@pytest.fixture
def stale(owner, operator, clock):
    """An owner and an operator who proved who they are too long ago for what is dangerous."""
    clock.forward(FRESH_FOR + timedelta(seconds=1))
    return owner, operator


async def test_what_is_dangerous_leads_over_a_fresh_proof_and_back_to_its_page(client, db, acme, stale, press, one):
    owner, operator = stale
    archive = f"{SETTINGS}/exports/exp_{'0' * 26}"

    def sent(headers, page):
        return {**headers, "referer": f"http://test{page}"}

    asked = {
        SETTINGS: [
            await press(f"{SETTINGS}/{act}", sent(owner, SETTINGS)) for act in ("delete", "undelete", "exports")
        ],
        one: [await press(f"{one}/{act}", sent(operator, one)) for act in ("suspend", "resume", "delete", "limits")],
        archive: [await client.get(archive, headers=owner)],
    }

    for page, answers in asked.items():
        undone = "" if page == archive else "#undone"
        then = f"/console/confirm?next={quote(page + undone, safe='')}"
        assert {(each.status_code, each.headers["location"]) for each in answers} == {(303, then)}
    assert await status(db, acme) == "active"


async def test_suspended_people_read_why_and_can_take_everything_along(client, owner, operator, press, one):
    await press(f"{one}/suspend", operator, reason="fraud?", message="Please call us.")

    turned_away = await client.get("/console/t/acme/sessions", headers=owner)
    settings = await client.get(SETTINGS, headers=owner)

    assert (turned_away.status_code, settings.status_code) == (403, 200)
    assert "Please call us." in turned_away.text
    assert "Please call us." in settings.text
    assert "fraud" not in turned_away.text + settings.text
    assert (await press(f"{SETTINGS}/exports", owner)).status_code == 303


async def test_nobody_of_another_tenant_presses_anything(client, db, make, acme, press):
    stranger = (await make.person()).headers

    answers = [
        await press(f"{SETTINGS}/{act}", stranger, name="x", confirm="acme") for act in ("name", "exports", "delete")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert await status(db, acme) == "active"
