"""Budgets at the doors: who may decide, what a runtime gets to hear and to lease, and what is told of it."""

import msgspec

from controlplane.kit.ids import new_id
from runtime_agent.wire.budgets import Ask, Leased, Use
from runtime_agent.wire.records import BudgetState
from tests.http.agents import code

BUDGET = {"name": "a day", "limit": 1000, "period": "day", "zone": "Europe/Berlin", "action": "pause"}


async def lease(agent, **said):
    answer = await agent.post("/v1/runtime/budgets", Ask(**said))
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Leased)


async def test_from_a_budget_to_the_runtime_and_back(api, agent, clock):
    made = await api("POST", "/budgets", BUDGET)
    assert made.status_code == 201
    budget = made.json()["id"]
    assert (await agent.post("/v1/runtime/heartbeat", agent.beat())).json()["budgets"] == 1
    leased = await lease(agent)
    now = leased.slices.slices[1]
    assert (now.budget, now.limit, now.action, now.warn_at) == (budget, 1000, "pause", [50, 80, 95])
    used = [Use(budget=budget, starts_ms=now.starts_ms, used=500)]
    await lease(agent, held=leased, uses=used)

    stands = (await api("GET", f"/budgets/{budget}/standing")).json()
    assert (stands["used"], stands["limit"], stands["runtimes"], stands["awaited"]) == (500, 1000, 1, 0)
    assert stands["leased"] + stands["left"] == 1000
    [its] = (await api("GET", f"/budgets/{budget}/slices")).json()["data"]
    assert (its["runtime"], its["used"], its["left"]) == (agent.answer.runtime, 500, its["leased"] - 500)
    warned = (await api("GET", "/events?types=budget.warned")).json()["data"]
    assert [each["data"]["percent"] for each in warned] == [50]


async def test_what_a_runtime_says_in_its_log_is_told_once(api, agent, clock):
    budget = (await api("POST", "/budgets", BUDGET)).json()["id"]
    log = await agent.log()
    said = BudgetState(
        record_id=new_id(clock()),
        occurred_at=clock(),
        budget=budget,
        starts_at=clock(),
        state="unenforced",
        code="not-allowed",
        line="this machine does not allow pause",
    )
    log.write(said)
    for _ in range(2):
        assert (await agent.send(log, 1, 1)).status_code == 200

    [told] = (await api("GET", "/events?types=budget.unenforced")).json()["data"]
    assert (told["data"]["code"], told["data"]["runtime"]) == ("not-allowed", agent.answer.runtime)


async def test_a_budget_is_changed_by_who_has_seen_it_and_deleted(api, agent):
    made = await api("POST", "/budgets", BUDGET)
    here = f"/budgets/{made.json()['id']}"
    seen = (await api("GET", here)).headers["etag"]
    changed = await api("PATCH", here, {"limit": 2000, "warn_at": [90, 10, 10]}, **{"If-Match": seen})
    assert (changed.json()["limit"], changed.json()["warn_at"]) == (2000, [10, 90])
    assert code(await api("PATCH", here, {"limit": 1}, **{"If-Match": seen})) == (412, "precondition-failed")

    assert (await api("DELETE", here, **{"If-Match": (await api("GET", here)).headers["etag"]})).status_code == 204
    assert code(await api("GET", here)) == (404, "not-found")
    assert (await agent.post("/v1/runtime/heartbeat", agent.beat())).json()["budgets"] == 3
    assert (await lease(agent)).slices.slices == []
    acts = [each["action"] for each in (await api("GET", "/audit-events?action=budget.")).json()["data"]]
    assert acts[:3] == ["budget.deleted", "budget.changed", "budget.created"]


async def test_what_is_no_budget_is_refused(api):
    assert code(await api("POST", "/budgets", {**BUDGET, "zone": "Mars/Olympus"})) == (400, "zone-unknown")
    assert code(await api("POST", "/budgets", {**BUDGET, "limit": -1})) == (400, "validation-failed")
    assert code(await api("POST", "/budgets", {**BUDGET, "warn_at": [0]})) == (400, "validation-failed")
    assert code(await api("POST", "/budgets", {**BUDGET, "project": "nowhere"})) == (404, "not-found")
    both = {**BUDGET, "project": "default", "runtime": "rt_" + "0" * 26}
    assert code(await api("POST", "/budgets", both)) == (400, "parts-at-odds")


async def test_there_are_only_so_many(api, db, tenant, monkeypatch):
    monkeypatch.setattr("controlplane.domain.budgets.definitions.MOST", 1)
    assert (await api("POST", "/budgets", BUDGET)).status_code == 201

    assert code(await api("POST", "/budgets", BUDGET)) == (409, "budget-limit")


async def test_who_may_only_look_decides_nothing(api, make, tenant):
    viewer = await make.api_key(tenant, role="viewer")

    assert (await api("GET", "/budgets", headers=viewer)).status_code == 200
    assert code(await api("POST", "/budgets", BUDGET, headers=viewer)) == (403, "permission-denied")
