"""Having logs collected, at the API and in the console: who may, of what, and what the receipt shows."""

import msgspec
import pytest

from controlplane.domain import commands, projects, roles
from controlplane.domain.commands.receipts import Which
from controlplane.kit.ids import RuntimeId, parse_id, text_id
from tests.domain.test_collecting import BUNDLE
from tests.domain.test_commands import say
from tests.http.agents import code
from tests.http.browsing import Browser
from tests.make import SHELL, bearer
from tests.rows import Rows
from tests.runtimes import Joined

SINCE = "2025-12-31T12:00:00.000Z"


@pytest.fixture
async def runtime(db, tenant, agent):
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.named(tx, projects.DEFAULT)
    return Joined(tenant.tenant_id, project.id, RuntimeId(agent.answer.runtime_id))


async def collect(api, **said):
    headers = said.pop("headers", None)
    return await api("POST", "/commands/collect-logs", said, headers)


async def test_from_asking_to_a_receipt_that_says_what_the_file_is_and_not_what_is_in_it(api, agent, db, runtime):
    asked = await collect(api, runtime=agent.answer.runtime, since=SINCE, logs=["raw", "details", "raw"])
    assert asked.status_code == 201
    assert asked.json()["collecting"] == {"logs": ["raw", "details"], "since": SINCE, "until": None}

    polled = await agent.client.get("/v1/runtime/poll", headers=bearer(agent.token))
    [order] = polled.json()["orders"]
    assert order["command"]["collecting"] == {"logs": ["raw", "details"], "since": SINCE}
    await agent.post("/v1/runtime/commands/ack", {"commands": [order["command"]["command"]]})
    async with db.tenant(runtime.tenant_id) as tx:
        command = await commands.get(tx, parse_id("cmd", asked.json()["id"]))
    await say(db, runtime, command, "succeeded", bundle=BUNDLE)

    shown = (await api("GET", f"/commands/{asked.json()['id']}")).json()
    assert (shown["kind"], shown["state"]) == ("collect-logs", "succeeded")
    assert shown["bundle"] == msgspec.to_builtins(BUNDLE)
    [recorded] = (await api("GET", "/audit-events?action=command.created")).json()["data"]
    assert recorded["facts"]["logs"] == "raw,details"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, (400, "command-misdirected")),
        ({"runtime": "rt_" + "0" * 26, "session": "ses_" + "0" * 26}, (400, "command-misdirected")),
        ({"runtime": "rt_" + "0" * 26, "since": SINCE}, (404, "not-found")),
        ({"session": "ses_" + "0" * 26}, (404, "not-found")),
        ({"session": "ses_" + "0" * 26, "logs": []}, (400, "validation-failed")),
        ({"session": "ses_" + "0" * 26, "logs": ["state.json"]}, (400, "validation-failed")),
    ],
)
async def test_it_is_asked_of_one_thing_and_of_logs_that_there_are(api, said, expected):
    assert code(await collect(api, **said)) == expected


async def test_it_says_since_when(api, agent):
    assert code(await collect(api, runtime=agent.answer.runtime)) == (400, "range-unfit")


async def test_it_takes_both_permissions_of_asking_and_of_looking(api, make, db, tenant, agent):
    held = {"asks": ["command:create"], "looks": ["log:tail"], "does-both": ["command:create", "log:tail"]}
    async with db.tenant(tenant.tenant_id) as tx:
        for name, permissions in held.items():
            await roles.create(tx, SHELL, name, permissions)

    for name, status in (("asks", 403), ("looks", 403), ("does-both", 201)):
        key = await make.api_key(tenant, name)
        answer = await collect(api, runtime=agent.answer.runtime, since=SINCE, headers=key)
        assert answer.status_code == status, name


async def test_the_console_asks_for_it_and_shows_the_receipt(client, make, tenant, db, runtime):
    owner = Browser(client, tenant, await make.person(tenant))
    session = f"/sessions/{text_id('ses', await Rows(db).session(runtime))}"
    place = f"/runtimes/{text_id('rt', runtime.id)}"
    for page in (session, place):
        assert f"{page}/collect-logs" in await owner.text(page)

    assert (await owner.post(f"{session}/collect-logs", raw="yes", comment="for a ticket")).status_code == 303
    assert (await owner.post(f"{place}/collect-logs", hours="24")).status_code == 303
    assert (await owner.post(f"{place}/collect-logs")).status_code == 400
    async with db.tenant(tenant.tenant_id) as tx:
        found = {each.session_id is not None: each for each in await commands.listing(tx, Which())}
    of_runtime, of_session = found[False], found[True]
    await say(db, runtime, of_session, "succeeded", line=str(BUNDLE), bundle=BUNDLE)

    assert (of_session.logs, of_session.comment) == (["details", "tools", "raw"], "for a ticket")
    assert (of_runtime.logs, of_runtime.logged_since is None) == (["details", "tools"], False)
    page = await owner.text(session)
    assert BUNDLE.name in page
    assert BUNDLE.sha256 in page


async def test_who_may_not_look_is_not_offered_it(client, make, tenant, db, runtime):
    viewer = Browser(client, tenant, await make.person(tenant, "viewer"))
    page = f"/runtimes/{text_id('rt', runtime.id)}"

    assert "collect-logs" not in await viewer.text(page)
    assert (await viewer.post(f"{page}/collect-logs", hours="1")).status_code == 403
