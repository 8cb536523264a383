"""Configuration at the doors: who may decide, two editors, what a runtime gets to hear, and what is told of it."""

import asyncio

import httpx
import msgspec
import pytest

from controlplane.chores.rollouts import advance_rollouts
from runtime_agent import joining
from runtime_agent.agent import Post, opened
from runtime_agent.http import Http
from runtime_agent.settings import Settings
from runtime_agent.wire.join import Facts
from tests.agent.homes import NOW, SessionFolder
from tests.domain.sync.test_turns import statements
from tests.http.agents import Agent, code
from tests.make import bearer

AT_ONCE = {"percents": [100], "soak_s": 0}
DOCUMENT = {"agent": {"scan_interval_s": 30}, "prompts": {"greeting": {"text": "Hello"}}}


@pytest.fixture
def advance(db, app):
    async def advance():
        await advance_rollouts(db, app.state.wakeups)

    return advance


async def beat(agent, **config):
    said = agent.beat()
    return (await agent.post("/v1/runtime/heartbeat", {**_plain(said), "config": config} if config else said)).json()


def _plain(said):
    return msgspec.to_builtins(said)


async def test_from_a_document_to_the_runtime_and_back(api, agent, advance):
    made = await api("POST", "/configs", {"document": DOCUMENT, "plan": AT_ONCE, "note": "first"})
    assert made.status_code == 201
    config = made.json()["id"]
    assert (await beat(agent))["config"]["generation"] == 0
    await advance()
    news = (await beat(agent))["config"]

    fetched = await agent.client.get("/v1/runtime/config", headers=bearer(agent.token))
    same = {**bearer(agent.token), "if-none-match": fetched.headers["etag"]}
    assert (await agent.client.get("/v1/runtime/config", headers=same)).status_code == 304
    its = fetched.json()["effective"]
    assert (its["generation"], its["hash"]) == (1, news["hash"])
    await beat(agent, status="applied", generation=1, applied=1, hash=news["hash"])
    await advance()

    shown = (await api("GET", f"/runtimes/{agent.answer.runtime}/configuration")).json()
    assert (shown["state"], shown["parts"]) == ("applied", [{"config": config, "version": 1}])
    assert shown["document"]["prompts"] == {"greeting": {"text": "Hello", "version": 1}}
    rollout = (await api("GET", f"/configs/{config}/versions/1/rollout")).json()
    assert (rollout["state"], rollout["waves"]) == ("finished", [{"wave": 1, "outcomes": {"applied": 1}}])
    [target] = (await api("GET", f"/configs/{config}/versions/1/rollout/runtimes")).json()["data"]
    assert (target["runtime"], target["outcome"]) == (agent.answer.runtime, "applied")
    recorded = (await api("GET", "/audit-events?action=config.created")).json()["data"]
    assert [each["target"]["id"] for each in recorded] == [config]
    told = (await api("GET", "/events?types=rollout.finished,config.created")).json()["data"]
    assert [each["type"] for each in told] == ["config.created", "rollout.finished"]


@pytest.fixture
def newcomer(app, clock, make, tenant, tmp_path):
    """Of a machine that joins now, what its first look writes down, the control plane being away by then."""
    folder = tmp_path / "engine"

    async def newcomer():
        clock.forward(NOW - clock())
        SessionFolder(folder).state()
        identity = joining.prepared(tmp_path, "http://test")
        ticket = joining.Ticket(await make.join_token(tenant), "late", Facts())
        async with Http("http://test", clock, httpx.ASGITransport(app)) as http:
            joined = await joining.join(http, tmp_path, identity, ticket, clock)
        post = Post(tmp_path, Settings(sources=[f"engine:{folder}"], source_timezone="UTC"), joined)
        async with opened(post, clock, httpx.MockTransport(lambda _: httpx.Response(503))) as late:
            late.look(late.scanners[0])
            return b"".join(row[0] for row in late.outbox.rows("SELECT line FROM log"))

    return newcomer


async def test_the_first_look_of_a_machine_that_joins_keeps_in_what_was_decided_before(api, agent, advance, newcomer):
    await api("POST", "/configs", {"document": {"redaction": {"withhold": ["nodes"]}}, "plan": AT_ONCE})
    await advance()
    news = (await beat(agent))["config"]
    await beat(agent, status="applied", generation=1, applied=1, hash=news["hash"])
    await advance()

    lines = await newcomer()

    assert b'"steps":1' in lines
    assert b"intake" not in lines


async def test_of_two_editors_the_second_has_to_look_again(api):
    config = (await api("POST", "/configs", {"document": {}, "plan": AT_ONCE})).json()["id"]
    seen = (await api("GET", f"/configs/{config}")).headers["etag"]
    assert code(await api("PUT", f"/configs/{config}", {"document": {}})) == (428, "precondition-required")
    assert code(await api("PUT", f"/configs/{config}", {"document": {}}, **{"If-Match": '"other"'})) == (
        412,
        "precondition-failed",
    )
    under_way = await api("PUT", f"/configs/{config}", {"document": {}}, **{"If-Match": seen})
    assert code(under_way) == (409, "rollout-under-way")
    await api("POST", f"/configs/{config}/versions/1/rollout/cancel")

    saved = await api("PUT", f"/configs/{config}", {"document": DOCUMENT}, **{"If-Match": seen})

    assert saved.json()["version"] == 2
    assert code(await api("PUT", f"/configs/{config}", {"document": {}}, **{"If-Match": seen})) == (
        412,
        "precondition-failed",
    )
    changes = (await api("GET", f"/configs/{config}/versions/2/changes")).json()["differences"]
    assert [each["name"] for each in changes] == ["document", "prompts.greeting"]
    [wording] = (await api("GET", f"/configs/{config}/texts/prompts/greeting")).json()["data"]
    assert (wording["version"], wording["changed"][-1]) == (1, "+Hello")
    versions = (await api("GET", f"/configs/{config}/versions?limit=1")).json()
    assert ([each["version"] for each in versions["data"]], versions["page"]["has_more"]) == ([2], True)


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"document": {"agents": {}}}, "config-invalid"),
        ({"document": {"plugins": {"../x": {"version": "1"}}}}, "config-invalid"),
        ({"document": {"agent": {"scan_interval_s": "5"}}}, "config-invalid"),
        ({"document": {"prompts": {f"p{n}": {"text": "x" * 60_000} for n in range(3)}}}, "config-invalid"),
        ({"document": {}, "plan": {"percents": [50]}}, "plan-unfit"),
        ({"document": {}, "plan": {"percent": [50]}}, "validation-failed"),
        ({"document": [], "plan": None}, "validation-failed"),
        ({"document": {}, "scope": {"label": "zone"}}, "validation-failed"),
        ({"document": {}, "scope": {"project": "default", "runtime": "rt_x"}}, "validation-failed"),
    ],
)
async def test_what_is_no_document_is_refused(api, said, refused):
    assert code(await api("POST", "/configs", said)) == (400, refused)


async def test_another_tenants_project_and_runtime_are_not_there(api, make, client, clock):
    other = await make.tenant()
    stranger = Agent(client, clock)
    await stranger.enroll(await make.join_token(other))

    for scope in ({"runtime": stranger.answer.runtime}, {"project": "prj_" + "0" * 26}):
        assert code(await api("POST", "/configs", {"document": {}, "scope": scope})) == (404, "not-found")


async def test_deciding_takes_a_permission_and_looking_another(api, make, tenant):
    config = (await api("POST", "/configs", {"document": {}})).json()["id"]
    viewer, billing = await make.api_key(tenant, "viewer"), await make.api_key(tenant, "billing")

    assert (await api("GET", f"/configs/{config}", headers=viewer)).status_code == 200
    assert (await api("POST", "/configs", {"document": {}}, headers=viewer)).status_code == 403
    assert (await api("GET", "/configs", headers=billing)).status_code == 403


async def test_who_waits_for_commands_hears_of_a_configuration_at_once(api, agent, advance):
    waiting = asyncio.ensure_future(
        agent.client.get("/v1/runtime/poll", params={"wait": 20, "config": 0}, headers=bearer(agent.token))
    )
    await asyncio.sleep(0)
    await api("POST", "/configs", {"document": DOCUMENT, "plan": AT_ONCE})
    await advance()

    async with asyncio.timeout(10):
        assert (await waiting).json()["config"] == 1


async def test_a_runtime_that_says_the_same_again_takes_no_transaction(api, agent, advance, db):
    await api("POST", "/configs", {"document": DOCUMENT, "plan": AT_ONCE})
    await advance()
    news = (await beat(agent))["config"]
    applied = {"status": "applied", "generation": 1, "applied": 1, "hash": news["hash"]}
    await beat(agent, **applied)

    with statements(db) as noted:
        again = await beat(agent, **applied)
        polled = await agent.client.get("/v1/runtime/poll", params={"config": 1}, headers=bearer(agent.token))

    assert (again["config"], polled.json()["config"], noted) == (news, 0, [])


async def test_a_runtime_that_says_what_cannot_be_kept_is_refused(agent):
    said = {**_plain(agent.beat()), "config": {"status": "failed", "error": "a\0b"}}

    assert code(await agent.post("/v1/runtime/heartbeat", said)) == (400, "heartbeat-unfit")


async def test_the_other_refusals_say_what_to_do(api, agent):
    config = (await api("POST", "/configs", {"document": {}, "plan": AT_ONCE})).json()["id"]

    assert code(await api("POST", "/configs", {"document": {}})) == (409, "config-exists")
    assert code(await api("POST", f"/runtimes/{agent.answer.runtime}/configuration/retry")) == (
        409,
        "nothing-to-retry",
    )
    await api("POST", f"/configs/{config}/versions/1/rollout/pause")
    await api("POST", f"/configs/{config}/versions/1/rollout/resume")
    await api("POST", f"/configs/{config}/versions/1/rollout/cancel")
    assert code(await api("POST", f"/configs/{config}/versions/1/rollout/cancel")) == (409, "rollout-ended")
    seen = (await api("GET", f"/configs/{config}")).headers["etag"]
    assert (await api("DELETE", f"/configs/{config}", **{"If-Match": seen})).status_code == 204
    assert code(await api("GET", f"/configs/{config}")) == (404, "not-found")
