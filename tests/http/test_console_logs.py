"""The console's page of a log that is looked at where it is."""

import asyncio

from controlplane.domain import projects
from controlplane.kit.ids import RuntimeId, text_id
from tests.http.test_console_live import Stream
from tests.make import bearer
from tests.rows import Rows
from tests.runtimes import Joined


async def looked_at(db, tenant, agent):
    await agent.post("/v1/runtime/heartbeat", agent.beat())
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.named(tx, projects.DEFAULT)
    runtime = Joined(tenant.tenant_id, project.id, RuntimeId(agent.answer.runtime_id))
    return f"/console/t/{tenant.slug}/sessions/{text_id('ses', await Rows(db).session(runtime))}"


async def test_a_page_asks_for_the_lines_that_its_stream_brings(client, app, db, make, tenant, agent):
    session, person = await looked_at(db, tenant, agent), await make.person(tenant)
    assert f'href="{session}/logs"' in (await client.get(session, headers=person.headers)).text
    page = await client.get(f"{session}/logs?log=raw&path=run.log", headers=person.headers)
    assert f'data-tail="{session}/logs/tail?log=raw&amp;path=run.log"' in page.text

    stream = Stream(app, f"{session}/logs/tail?log=raw&path=run.log", person.headers)
    waiting = asyncio.ensure_future(
        client.get("/v1/runtime/poll", params={"tails": "-", "wait": 20}, headers=bearer(agent.token))
    )
    await stream.open()
    [ask] = (await waiting).json()["tails"]
    await stream.close()

    assert (stream.status, ask["tail"]["log"], ask["tail"]["path"]) == (200, "raw", "run.log")


async def test_who_may_not_look_is_not_offered_it(client, db, make, tenant, agent):
    session, person = await looked_at(db, tenant, agent), await make.person(tenant, "viewer")

    assert "/logs" not in (await client.get(session, headers=person.headers)).text
    for place in ("logs", "logs/tail"):
        assert (await client.get(f"{session}/{place}", headers=person.headers)).status_code == 403
