"""Policies in the console: what they say in words, making and changing them, who could use a connection, and leases."""

import re

import pytest

from controlplane.domain.vault import leased, policies
from controlplane.domain.vault.deciding import Conditions, Connections, Hours, Subject
from controlplane.domain.vault.policies import Change
from controlplane.http.console.pages.policies import PolicyMoved
from controlplane.kit.ids import text_id
from tests.http.connecting import Browser
from tests.http.lessees import Lessee, policy, typed
from tests.make import SHELL

EVERYTHING = {"name": "Invoices <b>", "effect": "allow", "mode": ["lease", "proxy"]}


@pytest.fixture
async def ada(app, make, tenant):
    """Who owns the tenant, at a browser."""
    browser = Browser(app, await make.person(tenant))
    yield browser
    await browser.close()


@pytest.fixture
def see(ada, tenant):
    async def see(path="/policies", status=200):
        answer = await ada.client.get(f"/console/t/{tenant.slug}{path}")
        assert answer.status_code == status, answer.text
        return answer.text

    return see


@pytest.fixture
def send(ada, tenant):
    async def send(path, **form):
        return await ada.client.post(f"/console/t/{tenant.slug}{path}", data=form)

    return send


@pytest.fixture
def stored(db, tenant):
    async def stored():
        async with db.tenant(tenant.tenant_id) as tx:
            return await policies.listing(tx, limit=10)

    return stored


@pytest.fixture
async def connection(db, tenant):
    return await typed(db, tenant)


@pytest.fixture
async def lessee(agent):
    return Lessee(agent)


def place_of(its):
    return f"/policies/{text_id('pol', its.id)}"


def sent_back(page):
    """The form on a page, as a browser would send it unchanged."""
    form = page.partition('id="form-h"')[2].partition("</form>")[0]
    given = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = (re.search(rf' {part}="([^"]*)"', tag) for part in ("name", "value"))
        if "checkbox" not in tag or " checked" in tag:
            given.setdefault(name[1], []).append(value[1] if value else "on")
    for name, text in re.findall(r'<textarea[^>]* name="([^"]*)"[^>]*>([^<]*)</textarea>', form):
        given[name] = [text.replace("\n", "\r\n")]
    given["effect"] = [re.search(r'<option value="(\w+)" selected', form)[1]]
    return given


async def test_where_there_is_none_the_page_says_what_that_means(see):
    page = await see()

    assert "so nobody has anything" in page
    assert "/policies/new" in page


async def test_a_policy_is_made_said_in_words_turned_off_and_deleted(see, send, stored, connection, lessee):
    runtime = text_id("rt", lessee.agent.answer.runtime_id)
    limits = {"runtime": runtime, "agents": "invoice_*\r\n\r\nbilling", "connection": text_id("con", connection.id)}
    made = await send("/policies", **EVERYTHING, **limits, purposes="to send", max_ttl_s="300", runtime_labels="")

    [its] = await stored()
    page = await see()
    assert (made.status_code, its.name, its.modes) == (303, "Invoices <b>", ["proxy", "lease"])
    assert its.subject == Subject(runtimes=[runtime], agents=["invoice_*", "billing"])
    assert its.conditions == Conditions(purposes=["to send"], max_ttl_s=300)
    assert "Invoices &lt;b&gt;" in page
    for said in ("vpc-1", "invoice_*", "hush", "have calls made with it", "5 min", "to send"):
        assert said in page

    await send(f"{place_of(its)}/turn", to="off")
    assert "It counts for nothing" in await see(place_of(its))
    await send(f"{place_of(its)}/delete")
    assert await stored() == []


async def test_a_form_that_is_sent_back_as_it_came_changes_nothing(db, tenant, see, ada, stored):
    its = await policy(
        db,
        tenant,
        effect="deny",
        modes=["metadata"],
        subject=Subject(runtimes=["rt_gone"], projects=["prj_gone"], agents=["a b", "c*"], labels={"zone": "e=u"}),
        connections=Connections(ids=["con_gone"], providers=["gone"], owners=["o"], labels={"a": ""}),
        conditions=Conditions(
            scopes=[], max_ttl_s=9, purposes=["x y"], hours=Hours(since="22:00", until="06:00", days=["mon"])
        ),
    )

    answer = await ada.client.post(f"/console/t/{tenant.slug}{place_of(its)}", data=sent_back(await see(place_of(its))))

    [after] = await stored()
    assert answer.status_code == 303, answer.text
    assert (after.subject, after.connections, after.conditions) == (its.subject, its.connections, its.conditions)
    assert (after.effect, after.modes, after.version) == ("deny", ["metadata"], 2)


async def test_what_somebody_else_has_changed_meanwhile_is_not_overwritten(db, tenant, see, ada, stored):
    its = await policy(db, tenant)
    form = sent_back(await see(place_of(its)))
    async with db.tenant(tenant.tenant_id) as tx:
        await policies.change(tx, SHELL, its.id, Change(effect="deny"))

    answer = await ada.client.post(f"/console/t/{tenant.slug}{place_of(its)}", data=form)

    assert answer.status_code == 409
    assert PolicyMoved.title in answer.text
    assert [each.effect for each in await stored()] == ["deny"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mode": []}, "say what it is about"),
        ({"name": " "}, "give it a name"),
        ({"since": "08:00"}, "hours take both"),
        ({"runtime_labels": "env"}, "write labels as name=value"),
        ({"not_before": "tomorrow"}, "write times as"),
        ({"max_ttl_s": "0"}, "max_ttl_s"),
    ],
)
async def test_what_cannot_be_meant_is_said_and_what_was_filled_in_stays(send, stored, given, told):
    answer = await send("/policies", **{**EVERYTHING, "agents": "kept*", **given})

    assert answer.status_code == 400
    assert told in answer.text
    assert "kept*</textarea>" in answer.text
    assert await stored() == []


async def test_who_could_use_a_connection_and_by_which_policy(db, tenant, see, connection, lessee):
    here = f"/connections/{text_id('con', connection.id)}/access"
    runtime = text_id("rt", lessee.agent.answer.runtime_id)
    assert "no policy allows it" in await see(here)

    await policy(db, tenant, name="Invoices", subject=Subject(agents=["inv*"]), conditions=Conditions(purposes=["pay"]))
    page, asked = await see(here), f"{here}?runtime={runtime}"

    assert "inv*" in page
    assert "Invoices" in page
    answers = [
        (await see(f"{asked}{more}")).partition("May it have it?")[2].partition("</div>")[0]
        for more in ("&agent=inv_1&purpose=pay", "&agent=inv_1", "&agent=other&purpose=pay")
    ]
    assert ["yes" in each for each in answers] == [True, False, False]
    async with db.tenant(tenant.tenant_id) as tx:
        assert await leased.listing(tx, limit=1) == []
    await see(f"{here}?runtime=rt_{'0' * 26}", status=404)


async def test_what_a_policy_would_change_is_said_before_it_does(db, tenant, send, stored, connection, agent):
    form = {**EVERYTHING, "mode": ["lease"], "agents": "inv*"}

    first = await send("/policies/foresee", **form)
    its = await policy(db, tenant)
    denies = await send(f"{place_of(its)}/foresee", **EVERYTHING | {"effect": "deny", "mode": ["lease"]})
    nothing = await send("/policies/foresee", **form)
    unfit = await send("/policies/foresee", **form | {"name": ""})

    assert (first.status_code, unfit.status_code) == (200, 400)
    assert first.text.count("<span>yes, not before</span>") == 2
    assert "have it" in first.text.partition('id="ahead"')[2].partition("</section>")[0]
    assert denies.text.count("<span>no more</span>") == 2
    assert "It would change nothing for anybody" in nothing.text
    assert [(each.effect, each.version) for each in await stored()] == [("allow", 1)]


async def test_leases_stand_with_their_connection_and_their_runtime_and_are_ended_there(
    db, tenant, see, send, connection, lessee
):
    await policy(db, tenant, name="Everybody")
    at_connection = f"/connections/{text_id('con', connection.id)}"
    runtime = text_id("rt", lessee.agent.answer.runtime_id)
    at_runtime = f"/runtimes/{runtime}"
    assert "Nobody. A runtime that a policy lets" in await see(at_connection)
    for agent in ("one", "two", "three"):
        await lessee.lease(connection, agent=agent, purpose="<i>pay</i>")

    for place in (at_connection, at_runtime):
        page = await see(place)
        assert page.count("<span>live</span>") == 3
        assert "&lt;i&gt;pay" in page
        assert "Everybody" in page
    async with db.tenant(tenant.tenant_id) as tx:
        newest = (await leased.listing(tx, limit=1))[0]
    gone = await send(f"/leases/{text_id('lea', newest.id)}/end", runtime=runtime)
    left = await see(at_connection)
    await send("/leases/end", connection=text_id("con", connection.id))

    assert gone.headers["location"].endswith(f"{at_runtime}#leases")
    assert left.count("<span>live</span>") == 2
    assert "Nobody. A runtime that a policy lets" in await see(at_connection)
    assert (await see(f"{at_connection}?leases=revoked")).count("<span>revoked</span>") == 3
    assert (await send("/leases/end")).status_code == 404


async def test_who_may_only_look_sees_no_buttons_and_who_may_not_look_sees_nothing(app, db, make, tenant, connection):
    its, at = await policy(db, tenant), f"/console/t/{tenant.slug}"
    auditor, viewer = [Browser(app, await make.person(tenant, role)) for role in ("auditor", "viewer")]

    for place in ("/policies", place_of(its), f"/connections/{text_id('con', connection.id)}"):
        page = await auditor.client.get(f"{at}{place}")
        assert page.status_code == 200
        assert 'method="post"' not in page.text.partition("<main")[2]
        assert (await viewer.client.get(f"{at}{place}")).status_code == 403
    assert (await auditor.client.get(f"{at}/policies/new")).status_code == 403
    for each in (auditor, viewer):
        await each.close()
