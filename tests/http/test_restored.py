"""After a restore the first page and each runtime's own tell who brings what again, and what is lost."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from runtime_agent.wire.comparing import Found
from runtime_agent.wire.records import Gap
from runtime_agent.wire.sync import Diff, Hello
from tests.http.agents import Agent
from tests.logs import session

RESTORE = text("""
    UPDATE store SET store_id = gen_random_uuid(), made_at = :now, restored_to = :backup, restored_from = 'last-night'
""")


class Site:
    """A runtime whose first two records were in the backup."""

    def __init__(self, client, db, clock, agent, log, person):
        self.client, self.db, self.clock, self.agent, self.log, self.person = client, db, clock, agent, log, person

    async def restore(self):
        self.clock.forward(timedelta(minutes=2))
        async with self.db.platform() as tx:
            await tx.run(RESTORE.bindparams(now=tx.now, backup=tx.now - timedelta(minutes=1)))
        self.clock.forward(timedelta(minutes=1))

    async def hello(self, **given):
        facts = {
            "epoch": 1,
            "first_retained": 1,
            "head": self.log.head(given["last_seq"]).hex(),
            "boot_id": UUID(int=1),
        }
        reply = (await self.agent.post("/v1/runtime/sync/hello", Hello(**(facts | given)))).json()
        self.log.store_id = UUID(reply["store_id"])
        return reply

    async def story(self, page="/runtimes/{runtime}"):
        """What the page tells of the restore; empty: nothing."""
        address = f"/console/t/{self.agent.answer.tenant}{page}".format(runtime=self.agent.answer.runtime)
        shown = (await self.client.get(address, headers=self.person.headers)).text
        section = re.search(r'<section id="restored".*?</section>', shown, re.DOTALL)[0]
        return " ".join(re.sub(r"<[^>]*>", " ", section).split())


@pytest.fixture
async def site(client, clock, db, make, tenant):
    agent = Agent(client, clock)
    await agent.enroll(await make.join_token(tenant))
    log = await agent.log()
    log.write(*map(session, range(1, 5)))
    assert (await agent.send(log, 1, 2)).status_code == 200
    return Site(client, db, clock, agent, log, await make.person(tenant))


async def test_nothing_is_told_of_a_restore_that_there_was_not(site):
    assert (await site.story(), await site.story("/")) == ("", "")


async def test_what_had_been_acknowledged_and_is_sent_again_is_counted_until_it_is_here(site):
    await site.restore()
    assert "It notices with its next call" in await site.story()
    assert "1 has not been heard from since" in await site.story("/")

    await site.hello(last_seq=4, acked=4)
    under_way = await site.story()
    await site.agent.send(site.log, 3, 4)
    await site.hello(last_seq=4, acked=4)
    await site.agent.post("/v1/runtime/sync/manifest/found", Found(wanted=0, newer=0))

    assert "Being refilled" in under_way
    assert "It sends again 2 records that it still kept: 3 to 4 of epoch 1; 2 still to come." in under_way
    assert "3 to 4 of epoch 1; all of them are here." in await site.story()
    assert "Both sides hold the same. Nothing is lost" in await site.story()
    assert "Every runtime has refilled it No record is known to be lost." in await site.story("/")


async def test_a_new_epoch_tells_how_many_records_were_kept_and_how_many_of_them_missing(site):
    await site.restore()
    asked = Diff(record_ids=[UUID(int=1), UUID(int=2), UUID(int=3)])

    await site.hello(last_seq=4, acked=4, first_retained=4)
    await site.agent.post("/v1/runtime/sync/diff", asked)
    await site.hello(last_seq=4, acked=4, first_retained=4)  # the answer was lost: it begins once more
    await site.agent.post("/v1/runtime/sync/diff", asked)

    assert (
        "it began epoch 3. Of 3 records that it still kept, 3 were missing here and are sent again"
        in await site.story()
    )
    assert "1 sends again what was missing." in await site.story("/")


async def test_what_is_on_neither_side_any_more_is_said_to_be_lost(site):
    await site.restore()
    await site.hello(last_seq=4, acked=2)
    await site.agent.post("/v1/runtime/sync/manifest/found", Found(wanted=5, newer=0))
    gap = Gap(record_id=UUID(int=9), occurred_at=site.clock(), reason="not-in-source", count=2, detail="2 things")
    site.log.write(gap)
    await site.agent.send(site.log, 3, 5)
    await site.agent.post("/v1/runtime/sync/manifest/found", Found(wanted=0, newer=0))

    told = await site.story()

    assert "5 things were missing of which it kept no record any more" in told
    assert "Lost for good 2 records are on neither side any more" in told
    assert "2 records are known to be lost for good." in await site.story("/")


async def test_operators_see_all_tenants_and_that_refresh_tokens_rest(site, make):
    await site.restore()
    operator = await make.operator()

    page = (await site.client.get("/console/", headers=operator.headers)).text

    assert "0 of 1 runtime have refilled it" in page
    assert "controlplane db resume-refreshes" in page


async def test_who_joins_afterwards_has_nothing_to_bring_again(site, make, tenant):
    await site.restore()
    fresh = Agent(site.client, site.clock)
    await fresh.enroll(await make.join_token(tenant))
    site.agent, site.log = fresh, await fresh.log()

    assert await site.story() == ""
    assert "0 of 1 runtime have" in await site.story("/")
