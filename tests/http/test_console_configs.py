"""Configuration in the console: the editor and its mistakes, versions, roll-outs, and what a runtime has."""

import pytest

from controlplane.chores.rollouts import advance_rollouts
from controlplane.domain.configs import documents, effective, standing
from controlplane.kit.ids import text_id
from controlplane.kit.wakeups import InMemory
from runtime_agent.wire.config import Standing

GREETING = '{"prompts": {"greeting": {"text": "Hello"}}}'


@pytest.fixture
def only(db, tenant):
    async def only():
        async with db.tenant(tenant.tenant_id) as tx:
            [found] = await documents.listing(tx, after=None, limit=2)
        return found

    return only


async def test_a_document_is_made_changed_and_looked_back_upon(browsing, db, tenant, runtime, only):
    owner = await browsing()
    assert "No document yet" in await owner.text("/configs")
    made = await owner.post("/configs", document=GREETING, percents="100", soak_s="0", note="to begin with")
    assert made.status_code == 303
    config = await only()
    here = f"/configs/{text_id('cfg', config.id)}"
    await advance_rollouts(db, InMemory())
    async with db.tenant(tenant.tenant_id) as tx:
        news = await effective.news(tx, runtime.id)
        said = Standing(status="failed", generation=news.generation, error="no room <here>")
        await standing.heard(tx, runtime.id, said)
    await advance_rollouts(db, InMemory())

    page = await owner.text(here)
    assert "1 of 1 runtimes of wave 1 have failed" in page
    assert "no room &lt;here&gt;" in page
    assert "failed" in await owner.text("/configs")
    saved = await owner.post(here, version="1", document=GREETING.replace("Hello", "Good day"), percents="100")
    assert saved.status_code == 303
    assert "<ins>+Good day</ins>" in await owner.text(f"{here}/versions/2")
    assert "<del>-Hello</del>" in await owner.text(f"{here}/texts/prompts/greeting")
    shown = await owner.text(f"/runtimes/{text_id('rt', runtime.id)}")
    assert "Configuration" in shown
    assert (await owner.post(f"{here}/versions/2/pause")).status_code == 303
    assert "Let it go on" in await owner.text(here)
    assert (await owner.post(f"{here}/versions/2/cancel")).status_code == 303


async def test_the_editor_says_where_the_mistake_is_and_keeps_what_was_typed(browsing):
    owner = await browsing()
    answer = await owner.post("/configs", document='{\n"agent": {\n"scan_intervall_s": 5}}')

    assert "line 3" in answer.text
    assert "agent.scan_intervall_s" in answer.text
    assert "there is no such setting" in answer.text
    assert "scan_intervall_s&#34;: 5}}</textarea>" in answer.text


async def test_what_somebody_else_has_changed_meanwhile_is_not_undone(browsing, only):
    owner = await browsing()
    await owner.post("/configs", document="{}")
    here = f"/configs/{text_id('cfg', (await only()).id)}"
    await owner.post(f"{here}/versions/1/cancel")
    assert (await owner.post(here, version="1", document=GREETING)).status_code == 303

    assert "Somebody else has changed this document" in (await owner.post(here, version="1", document="{}")).text


async def test_a_prompt_is_rewritten_on_a_page_of_its_own_and_the_rest_of_the_document_stays(
    browsing, db, tenant, only
):
    owner = await browsing()
    document = '{"agent": {"scan_interval_s": 30}, "prompts": {"greeting": {"text": "Hello"}}}'
    await owner.post("/configs", document=document)
    config = await only()
    here = f"/configs/{text_id('cfg', config.id)}"
    await owner.post(f"{here}/versions/1/cancel")
    assert ">\nHello</textarea>" in await owner.text(f"{here}/texts/prompts/greeting")

    saved = await owner.post(f"{here}/texts/prompts/greeting", version="1", text="Good\r\nday", note="kinder")

    assert saved.status_code == 303
    async with db.tenant(tenant.tenant_id) as tx:
        [newest, _] = await documents.versions(tx, config.id, limit=2)
    held = newest.content()
    assert (held["agent"], held["prompts"]["greeting"]["text"]) == ({"scan_interval_s": 30}, "Good\nday")
    assert newest.note == "kinder"
    late = await owner.post(f"{here}/texts/prompts/greeting", version="1", text="Late")
    assert "Somebody else has changed this document" in late.text
    assert ">\nLate</textarea>" in late.text
    assert (await owner.post(f"{here}/texts/prompts/absent", version="2", text="x")).status_code == 404
    assert (await owner.get(f"{here}/texts/plugins/greeting")).status_code == 404


async def test_who_may_only_look_is_offered_nothing_and_turned_away(browsing, only):
    owner, viewer = await browsing(), await browsing("viewer")
    await owner.post("/configs", document=GREETING)
    here = f"/configs/{text_id('cfg', (await only()).id)}"

    assert "<textarea" not in await viewer.text(here)
    assert "Hello" in await viewer.text(here)
    assert (await viewer.post(here, version="1", document="{}")).status_code == 403
