"""Ending many leases in the console: narrowed first, named by whoever means it; and consent on other devices."""

import pytest

from controlplane.domain import audit
from controlplane.domain.vault import leased
from controlplane.kit.ids import text_id
from tests.http.connecting import Browser
from tests.http.lessees import Lessee, policy, typed


@pytest.fixture
async def ada(app, make, tenant):
    """Who owns the tenant, at a browser."""
    browser = Browser(app, await make.person(tenant))
    yield browser
    await browser.close()


@pytest.fixture
def at(tenant):
    return f"/console/t/{tenant.slug}"


@pytest.fixture
def agents(db, tenant):
    """Of the leases that are out."""

    async def agents():
        async with db.tenant(tenant.tenant_id) as tx:
            return sorted(each.agent for each in await leased.listing(tx, state="active", limit=10))

    return agents


@pytest.fixture
async def out(db, tenant, agent):
    """Three leases that are out, of two agents; the runtime's id."""
    connection = await typed(db, tenant)
    await policy(db, tenant)
    lessee = Lessee(agent)
    for name in ("one", "two", "two"):
        await lessee.lease(connection, agent=name)
    return text_id("rt", lessee.agent.answer.runtime_id)


async def test_what_some_have_in_common_ends_and_the_rest_stays(db, tenant, ada, at, out, agents):
    page = (await ada.client.get(f"{at}/leases?runtime={out}&agent=two")).text
    assert page.count('data-of="ends:"') == 2
    assert "End all 2" in page

    done = await ada.client.post(f"{at}/leases", data={"runtime": out, "agent": "two", "confirm": tenant.slug})

    assert (done.status_code, await agents()) == (303, ["one"])
    async with db.tenant(tenant.tenant_id) as tx:
        [event] = await audit.listing(tx, limit=1)
    assert (event.action, event.facts["agent"], event.facts["leases"]) == ("leases.revoked", "two", 2)


@pytest.mark.parametrize("typed_in", ["", "another"])
async def test_nothing_ends_before_the_tenant_is_named(tenant, ada, at, out, agents, typed_in):
    refused = await ada.client.post(f"{at}/leases", data={"confirm": typed_in})
    before = await agents()
    await ada.client.post(f"{at}/leases", data={"confirm": tenant.slug})

    assert (refused.status_code, before, await agents()) == (400, ["one", "two", "two"], [])
    assert "Nothing is out" in (await ada.client.get(f"{at}/leases")).text


async def test_who_may_not_end_them_has_no_button(app, make, tenant, at, out):
    auditor = Browser(app, await make.person(tenant, "auditor"))

    page = await auditor.client.get(f"{at}/leases")
    refused = await auditor.client.post(f"{at}/leases", data={"confirm": tenant.slug})
    await auditor.close()

    assert (page.status_code, refused.status_code) == (200, 403)
    assert 'method="post"' not in page.text.partition("<main")[2]


async def test_an_owner_turns_consent_on_other_devices_on_and_off(app, make, tenant, ada, at):
    admin = Browser(app, await make.person(tenant, "admin"))
    said = []
    for to in ("on", "off"):
        await ada.client.post(f"{at}/settings/device-flow", data={"to": to})
        said.append("may be connected by a code" in (await ada.client.get(f"{at}/settings")).text)
    refused = await admin.client.post(f"{at}/settings/device-flow", data={"to": "on"})
    await admin.close()

    assert (said, refused.status_code) == ([True, False], 403)
