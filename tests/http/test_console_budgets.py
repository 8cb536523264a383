"""Budgets in the console: an empty list, one that is made and changed, and what each runtime has of it."""

import pytest

from controlplane.domain.budgets import definitions, leasing
from controlplane.kit.ids import text_id
from runtime_agent.wire.budgets import Ask, Use
from tests.conftest import KEYRING


@pytest.fixture
def only(db, tenant):
    async def only():
        async with db.tenant(tenant.tenant_id) as tx:
            [found] = await definitions.listing(tx, after=None, limit=2)
        return found

    return only


async def test_a_budget_is_made_looked_at_changed_and_deleted(browsing, db, tenant, runtime, only):
    owner = await browsing()
    assert "No budget yet" in await owner.text("/budgets")
    words = {
        "name": "a month of <dollars>",
        "unit": "micro_usd",
        "limit": "12.50",
        "period": "month",
        "action": "pause",
    }
    assert (await owner.post("/budgets", **words)).status_code == 303
    budget = await only()
    assert (budget.amount, budget.warn_at) == (12_500_000, [50, 80, 95])
    here = f"/budgets/{text_id('bud', budget.id)}"
    assert "No runtime has asked for a part of it" in await owner.text(here)

    async with db.tenant(tenant.tenant_id) as tx:
        leased = await leasing.lease(tx, KEYRING, runtime.id, Ask())
        now = leased.slices.slices[1]
        uses = [Use(budget=now.budget, starts_ms=now.starts_ms, used=13_000_000, counted=False)]
        await leasing.lease(tx, KEYRING, runtime.id, Ask(held=leased, uses=uses))

    listed, page = await owner.text("/budgets"), await owner.text(here)
    assert "a month of &lt;dollars&gt;" in listed
    assert "104 %" in listed
    assert "warned at 95 %" in page
    assert "1 runtime writes" in page
    assert "over</span>" in page
    changed = await owner.post(here, name="less", unit="micro_usd", limit="1", warn_at="10 20", action="warn")
    assert changed.status_code == 303
    assert ((await only()).amount, (await only()).warn_at) == (1_000_000, [10, 20])
    assert "it was lowered since" in await owner.text(here)
    assert (await owner.post(f"{here}/delete")).status_code == 303
    assert "No budget yet" in await owner.text("/budgets")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"limit": "1.5"}, "a number: of tokens, or of dollars"),
        ({"limit": "10", "warn_at": "0"}, "from 1 to 100 per cent"),
        ({"limit": "10", "zone": "Mars/Olympus"}, "There is no such time zone"),
    ],
)
async def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(browsing, given, why):
    answer = await (await browsing()).post("/budgets", name="kept as typed", **given)

    assert why in answer.text
    assert 'value="kept as typed"' in answer.text


async def test_who_may_only_look_is_offered_nothing_and_turned_away(browsing, only):
    owner, viewer = await browsing(), await browsing("viewer")
    await owner.post("/budgets", name="all", limit="5")
    here = f"/budgets/{text_id('bud', (await only()).id)}"

    assert '<form method="post" action="/console/t/acme/budgets' not in await viewer.text(here)
    assert (await viewer.post(here, name="x", limit="1")).status_code == 403
