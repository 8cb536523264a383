import pytest

from controlplane.domain import agents
from controlplane.kit.problems import NotFound
from tests.rows import Rows
from tests.runtimes import join


@pytest.fixture
def rows(db):
    return Rows(db)


async def test_agents_are_found_by_runtime_and_project(db, rows):
    runtime = await join(db)
    staging = await rows.project(runtime, "staging")
    other = await join(db, runtime.tenant_id, staging)
    here, there = await rows.agent(runtime), await rows.agent(other)

    async with db.tenant(runtime.tenant_id) as tx:
        assert [agent.id for agent in await agents.listing(tx)] == sorted([here, there], reverse=True)
        assert [agent.id for agent in await agents.listing(tx, runtime_id=runtime.id)] == [here]
        assert [agent.id for agent in await agents.listing(tx, project="staging")] == [there]
        assert [agent.id for agent in await agents.listing(tx, before=here)] == [
            each for each in [there] if each < here
        ]


async def test_another_tenants_agent_is_not_found(db, rows):
    mine, theirs = await join(db), await join(db)
    agent_id = await rows.agent(theirs)

    async with db.tenant(mine.tenant_id) as tx:
        assert await agents.listing(tx, runtime_id=theirs.id) == []
        with pytest.raises(NotFound):
            await agents.get(tx, agent_id)
