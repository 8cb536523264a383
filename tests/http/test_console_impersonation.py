"""Impersonation in the console: operators ask and begin, owners decide, and the banner is on every page."""

import html
import re
from datetime import timedelta

import pytest

from controlplane.http.console.pages.impersonations import NoReason
from controlplane.kit.ids import text_id
from tests.http.masked import both, case


@pytest.fixture
async def acme(db, make):
    return await case(db, make, role="admin")


@pytest.fixture
def asking(acme):
    return f"/console/tenants/{text_id('ten', acme.tenant.tenant_id)}/impersonations"


def decided_at(acme):
    return f"/console/t/{acme.tenant.slug}/impersonations"


@pytest.fixture
def deciding(acme):
    return decided_at(acme)


@pytest.fixture
def press(client):
    async def press(address, human, **form):
        headers = human if isinstance(human, dict) else human.headers
        return await client.post(address, headers=headers, data=form)

    return press


@pytest.fixture
def page(client):
    async def page(address, human):
        headers = human if isinstance(human, dict) else human.headers
        answer = await client.get(address, headers=headers)
        assert answer.status_code == 200, answer.text
        return html.unescape(answer.text)

    return page


@pytest.fixture
def ask(press, acme, asking):
    async def ask(**more):
        form = {"email": acme.subject.account.email, "reason": "a run that hangs", "minutes": "20", "mode": "read_only"}
        return await press(asking, acme.operator, **{**form, **more})

    return ask


@pytest.fixture
def wear(press, page, ask, acme, asking, deciding):
    """As far as the browser that works as somebody."""

    async def wear(**more):
        assert (await ask(**more)).status_code == 303
        made = re.search(r"imp_\w{26}", await page(deciding, acme.owner))[0]
        assert (await press(f"{deciding}/{made}/consent", acme.owner)).status_code == 303
        began = await press(f"/console/impersonations/{made}/start", acme.operator)
        assert (began.status_code, began.headers["location"]) == (303, f"/console/t/{acme.tenant.slug}/")
        return made, both(acme.operator, began)

    return wear


async def test_an_operator_asks_and_an_owner_reads_who_as_whom_and_why(page, ask, acme, asking, deciding):
    asked = await ask(ticket="T-7")

    theirs, own = await page(deciding, acme.owner), await page(asking, acme.operator)
    assert (asked.status_code, asked.headers["location"]) == (303, asking)
    assert "1 request to work as your people" in theirs
    assert f"{acme.operator.account.name}</bdi> as <bdi" in theirs
    assert all(said in theirs for said in ("a run that hangs", "T-7", "looks only, 20 minutes", "Agree", "Refuse"))
    assert "waits for an owner" in own
    assert "Begin<" not in own


async def test_what_cannot_be_asked_for_is_said_with_the_form_as_it_was(ask, acme):
    nobody = await ask(email="nobody@example.com", reason="why <not>")
    silent = await ask(reason="  ")

    assert nobody.status_code == 409
    assert 'value="why &lt;not&gt;"' in nobody.text
    assert NoReason.title in silent.text


async def test_the_banner_stands_on_every_page_before_everything_else(page, wear, acme):
    made, worn = await wear()
    for address in ("", "sessions", "runtimes", "people", "roles", "audit", "webhooks", "settings", "impersonations"):
        shown = await page(f"/console/t/{acme.tenant.slug}/{address}", worn)

        banner = shown.partition("<header")[0].partition('<aside class="masked"')[2]
        assert f'You work as <bdi class="name">{acme.subject.account.name}' in banner, address
        assert "a run that hangs" in banner
        assert "Until <time" in banner
        assert f"/console/impersonations/{made}/end" in banner
        assert "End<span" in banner
    assert 'class="masked"' not in await page(f"/console/t/{acme.tenant.slug}/", acme.subject)


async def test_looking_offers_nothing_that_changes_anything(page, wear, acme):
    _, worn = await wear()

    shown = await page(f"/console/t/{acme.tenant.slug}/people", worn)

    assert "You can look, and change nothing" in shown
    assert 'method="post"' not in shown.partition("<main")[2]
    assert "My account" not in shown


async def test_while_it_lasts_the_first_page_is_the_tenants(client, wear, acme):
    _, worn = await wear()

    first = await client.get("/console/", headers=worn)

    assert (first.status_code, first.headers["location"]) == (303, f"/console/t/{acme.tenant.slug}/")


async def test_what_is_refused_keeps_the_banner_and_its_way_out(client, wear):
    made, worn = await wear()

    refused = await client.get("/console/account", headers=worn)

    assert refused.status_code == 403
    assert "This is not done as somebody else" in refused.text
    assert f"/console/impersonations/{made}/end" in refused.text


async def test_its_end_leads_back_to_the_operators_own_pages(client, press, page, wear, acme, asking):
    made, worn = await wear()

    ended = await press(f"/console/impersonations/{made}/end", worn)

    assert (ended.status_code, ended.headers["location"]) == (303, asking)
    assert "Max-Age=0" in ended.headers["set-cookie"]
    assert "by the operator" in await page(asking, acme.operator)
    again = await press(f"/console/impersonations/{made}/end", worn | acme.operator.headers)
    assert again.status_code == 303, "pressed once more it stays as it is"


async def test_when_its_time_is_over_the_page_says_so_and_the_next_is_ones_own(client, wear, clock):
    _, worn = await wear()
    clock.forward(timedelta(minutes=20))

    over = await client.get("/console/account", headers=worn)

    assert over.status_code == 401
    assert "The impersonation is over" in over.text
    assert "impersonation=" in over.headers["set-cookie"]
    assert "Max-Age=0" in over.headers["set-cookie"]


async def test_an_owner_refuses_ends_and_decides(press, page, ask, wear, acme, asking):
    deciding = decided_at(acme)
    await ask()
    made = re.search(r"imp_\w{26}", await page(deciding, acme.owner))[0]
    await press(f"{deciding}/{made}/refuse", acme.owner)
    assert "refused" in await page(asking, acme.operator)
    other, _ = await wear()
    under_way = await page(deciding, acme.owner)
    assert "Somebody works as one of your people" in under_way
    assert "by acc_" not in under_way
    await press(f"{deciding}/{other}/end", acme.owner)
    assert "by an owner" in await page(deciding, acme.owner)

    decided = await press(f"{deciding}/policy", acme.owner, policy="never")

    assert decided.status_code == 303
    assert 'value="never" checked' in await page(deciding, acme.owner)
    assert "This tenant lets nobody" in await page(asking, acme.operator)
    assert (await ask()).status_code == 403


async def test_what_was_decided_already_is_said_on_the_page(press, page, ask, acme, deciding):
    await ask()
    made = re.search(r"imp_\w{26}", await page(deciding, acme.owner))[0]
    await press(f"{deciding}/{made}/refuse", acme.owner)

    late = await press(f"{deciding}/{made}/consent", acme.owner)

    assert late.status_code == 409
    assert "it is refused" in late.text


async def test_who_does_not_own_the_tenant_sees_and_does_not_decide(press, page, make, ask, acme, deciding):
    await ask()
    admin = await make.person(acme.tenant, "admin")
    shown = await page(deciding, admin)
    made = re.search(r"imp_\w{26}", await page(deciding, acme.owner))[0]

    assert "a run that hangs" in shown
    assert "Agree" not in shown.partition("<main")[2]
    assert (await press(f"{deciding}/{made}/consent", admin)).status_code == 403
    assert (await press(f"{deciding}/policy", admin, policy="allow")).status_code == 403


async def test_settings_and_the_tenants_page_lead_there(page, acme, asking, deciding):
    assert deciding in await page(f"/console/t/{acme.tenant.slug}/settings", acme.owner)
    assert asking in await page(asking.removesuffix("/impersonations"), acme.operator)


async def test_agreeing_takes_a_fresh_proof(press, page, ask, acme, clock, deciding):
    await ask()
    made = re.search(r"imp_\w{26}", await page(deciding, acme.owner))[0]
    clock.forward(timedelta(minutes=6))

    sent = await press(f"{deciding}/{made}/consent", acme.owner)

    assert sent.status_code == 303
    assert sent.headers["location"].startswith("/console/confirm")
