"""Desired configuration: what documents come to for a runtime, and how a version gets there or is taken back."""

import asyncio
import hashlib
from base64 import urlsafe_b64decode
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.chores.rollouts import advance_rollouts
from controlplane.domain import events, keys, runtimes
from controlplane.domain.configs import (
    advancing,
    differences,
    documents,
    effective,
    planning,
    rollouts,
    standing,
    texts,
)
from controlplane.domain.configs.documents import Edit, Scope
from controlplane.domain.configs.planning import Candidate, Plan, PlanUnfit
from controlplane.kit.problems import NotFound
from controlplane.kit.wakeups import InMemory
from runtime_agent.wire.config import Standing
from tests.conftest import KEYRING
from tests.make import SHELL
from tests.runtimes import join
from tests.waiting import until_it_waits

AT_ONCE = Plan(percents=(100,), soak_s=0)
STEPS = Plan(percents=(50, 100), soak_s=0, max_failed_percent=0)


class Fleet:
    """Some runtimes of one tenant, and whoever configures them."""

    def __init__(self, db, clock, members):
        self.db, self.clock, self.members = db, clock, members
        self.tenant_id = members[0].tenant_id

    async def within(self, work):
        async with self.db.tenant(self.tenant_id) as tx:
            return await work(tx)

    async def make(self, document, plan=AT_ONCE, rank=documents.RANK, **scope):
        edit = Edit(document=document, plan=plan)
        return await self.within(lambda tx: documents.create(tx, SHELL, Scope(**scope), edit, rank))

    async def save(self, config, document, plan=AT_ONCE, **more):
        edit = Edit(document=document, plan=plan)
        return await self.within(lambda tx: documents.save(tx, SHELL, config.id, edit, **more))

    async def advance(self):
        await advance_rollouts(self.db, InMemory())

    async def has(self, member):
        """What the runtime is handed after it was told that there is something; None: nothing."""
        if not (await self.within(lambda tx: effective.news(tx, member.id))).generation:
            return None
        return (await self.within(lambda tx: standing.desired(tx, KEYRING, member.id))).effective

    async def takes(self, member, error=""):
        """The runtime fetches what there is and takes it, or does not."""
        its = await self.has(member)
        known = await self.within(lambda tx: standing.of_runtime(tx, member.id))
        said = Standing(status="applied", generation=its.generation, applied=its.generation, hash=its.hash)
        if error:
            before = {"applied": known.applied, "hash": known.applied_hash}
            said = replace(said, status="failed", error=error, **before)
        await self.within(lambda tx: standing.heard(tx, member.id, said))
        return its

    async def rollout(self, config):
        return await self.within(lambda tx: rollouts.get(tx, config.id, config.version))

    async def word(self, member):
        return (await self.within(lambda tx: standing.of_runtime(tx, member.id))).word

    async def told(self):
        found = await self.within(lambda tx: events.after(tx, 0, 200, []))
        return [each.type for each in found if each.type.startswith(("config.", "rollout."))]


@pytest.fixture
async def fleet(db, clock):
    first = await join(db, labels={"zone": "eu", "ring": "canary"})
    others = [await join(db, first.tenant_id, first.project_id, {"zone": "us"}) for _ in range(3)]
    return Fleet(db, clock, [first, *others])


async def everywhere(fleet, config):
    """A roll-out to its end, every runtime taking it."""
    for _ in range(10):
        await fleet.advance()
        for member in fleet.members:
            if await fleet.has(member):
                await fleet.takes(member)


async def test_each_runtime_has_what_its_documents_come_to_signed(fleet):
    eu, us = fleet.members[:2]
    every = [
        await fleet.make({"agent": {"scan_interval_s": 30}, "prompts": {"greeting": {"text": "Hello"}}}),
        await fleet.make({"agent": {"scan_interval_s": 20}}, level="project", project_id=eu.project_id),
        await fleet.make({"agent": {"scan_interval_s": 10}}, level="label", label="zone", value="eu"),
        await fleet.make({"agent": {"log_level": "debug"}}, level="runtime", runtime_id=us.id),
    ]
    for config in every:
        await everywhere(fleet, config)

    signed = await fleet.within(lambda tx: standing.desired(tx, KEYRING, eu.id))

    its = signed.effective
    assert its.document == '{"agent":{"scan_interval_s":10},"prompts":{"greeting":{"text":"Hello","version":1}}}'
    assert its.hash == hashlib.sha256(its.document.encode()).hexdigest()
    key = keys.lease_keys(KEYRING)[signed.key].public_key()
    key.verify(urlsafe_b64decode(signed.signature + "=="), its.signed())
    assert '"log_level":"debug","scan_interval_s":20' in (await fleet.has(us)).document
    assert await fleet.word(eu) == "applied"


async def test_a_document_reaches_the_canary_first_then_everybody(fleet):
    plan = Plan(canary={"ring": "canary"}, percents=(50, 100), soak_s=60, most_at_once=1)
    config = await fleet.make({"agent": {"scan_interval_s": 30}}, plan)
    canary, *others = fleet.members

    await fleet.advance()
    assert [await fleet.has(each) is not None for each in fleet.members] == [True, False, False, False]
    await fleet.takes(canary)
    await fleet.advance()
    await fleet.advance()
    assert (await fleet.rollout(config)).wave == 1  # it soaks
    for wave in (2, 3, 4):
        fleet.clock.forward(timedelta(seconds=61))
        await fleet.advance()
        assert (await fleet.rollout(config)).wave == wave
        [new] = [each for each in others if await fleet.has(each) and await fleet.word(each) == "behind"]
        await fleet.takes(new)
        await fleet.advance()
    fleet.clock.forward(timedelta(seconds=61))
    await fleet.advance()

    assert (await fleet.rollout(config)).state == "finished"
    assert (await fleet.within(lambda tx: documents.get(tx, config.id))).stable == 1
    assert (await fleet.told())[-1] == "rollout.finished"
    late = await join(fleet.db, canary.tenant_id, canary.project_id)
    assert await fleet.has(late) is not None


async def test_too_many_failures_stop_it_and_everybody_goes_back(fleet):
    config = await fleet.make({"agent": {"scan_interval_s": 30}})
    await everywhere(fleet, config)
    before = {each.id: (await fleet.has(each)).hash for each in fleet.members}

    changed = await fleet.save(config, {"agent": {"scan_interval_s": 5}}, STEPS)
    await fleet.advance()
    released = [each for each in fleet.members if (await fleet.has(each)).hash != before[each.id]]
    assert len(released) == 2
    await fleet.takes(released[0])
    await fleet.takes(released[1], error="the agent died of it")
    assert await fleet.word(released[1]) == "failed"
    await fleet.advance()

    ended = await fleet.rollout(changed)
    assert (ended.state, ended.reason) == ("failed", "1 of 2 runtimes of wave 1 have failed")
    assert {each.id: (await fleet.has(each)).hash for each in fleet.members} == before
    assert (await fleet.has(released[0])).generation == 3
    assert "config.failed" in await fleet.told()
    assert "rollout.failed" in await fleet.told()
    assert (await fleet.within(lambda tx: documents.get(tx, config.id))).stable == 1


async def test_of_two_versions_that_come_together_it_is_known_which_one_a_runtime_failed_at(fleet):
    deadly = await fleet.make({"agent": {"scan_interval_s": 5}})
    fleet.clock.forward(timedelta(seconds=1))
    sound = await fleet.make({"agent": {"log_level": "debug"}}, level="label", label="zone", value="us")
    await fleet.advance()
    found = [(await fleet.takes(fleet.members[1])).document for _ in range(2)]
    await fleet.takes(fleet.members[2], error="the agent died of it")
    await fleet.advance()
    await everywhere(fleet, sound)

    assert found == ['{"agent":{"scan_interval_s":5}}', '{"agent":{"log_level":"debug","scan_interval_s":5}}']
    assert [(await fleet.rollout(each)).state for each in (deadly, sound)] == ["failed", "finished"]


async def test_who_has_fetched_it_and_falls_silent_has_failed_and_who_was_away_has_not(fleet):
    plan = replace(AT_ONCE, answer_s=60, max_failed_percent=100)
    config = await fleet.make({"agent": {"scan_interval_s": 30}}, plan)
    await fleet.advance()
    await fleet.takes(fleet.members[0])
    await fleet.has(fleet.members[1])
    await fleet.within(lambda tx: runtimes.revoke(tx, SHELL, fleet.members[2].id))
    fleet.clock.forward(timedelta(seconds=61))
    await fleet.advance()
    await fleet.advance()

    assert (await fleet.rollout(config)).state == "finished"
    assert await fleet.within(lambda tx: outcomes(tx, config)) == {
        fleet.members[0].id: "applied",
        fleet.members[1].id: "failed",
        fleet.members[2].id: "missed",
        fleet.members[3].id: "missed",
    }


async def test_a_wave_of_which_nobody_was_there_proves_nothing_until_somebody_waves_it_through(fleet):
    config = await fleet.make({"agent": {"scan_interval_s": 30}}, replace(STEPS, answer_s=60))
    await fleet.advance()
    fleet.clock.forward(timedelta(seconds=61))
    await fleet.advance()
    await fleet.advance()
    assert (await fleet.rollout(config)).state == "paused"

    await fleet.within(lambda tx: rollouts.resume(tx, SHELL, config.id, 1))
    await fleet.advance()

    assert (await fleet.rollout(config)).wave == 2


async def test_a_roll_out_that_is_cancelled_is_taken_back_and_one_at_a_time_is_enough(fleet):
    config = await fleet.make({"agent": {"scan_interval_s": 30}}, STEPS)
    await fleet.advance()
    member, _ = [each for each in fleet.members if await fleet.has(each)]
    with pytest.raises(documents.RolloutUnderWay):
        await fleet.save(config, {})
    with pytest.raises(documents.RolloutUnderWay):
        await fleet.within(lambda tx: documents.delete(tx, SHELL, config.id))

    await fleet.within(lambda tx: rollouts.pause(tx, SHELL, config.id, 1))
    await fleet.advance()
    assert (await fleet.rollout(config)).state == "paused"
    await fleet.within(lambda tx: rollouts.cancel(tx, SHELL, config.id, 1))

    assert (await fleet.has(member)).document == "{}"
    with pytest.raises(rollouts.RolloutEndedAlready):
        await fleet.within(lambda tx: rollouts.resume(tx, SHELL, config.id, 1))


async def test_two_that_advance_at_once_let_each_wave_go_once(fleet):
    config = await fleet.make({"agent": {"scan_interval_s": 30}}, STEPS)

    async with fleet.db.tenant(fleet.tenant_id) as first:
        woken = await advancing.advance(first)
        second = asyncio.create_task(fleet.within(advancing.advance))
        await until_it_waits(fleet.db, second)

    assert (len(woken), await second, (await fleet.rollout(config)).wave) == (2, [], 1)
    assert (await fleet.told()).count("rollout.advanced") == 1


async def test_every_text_that_a_prompt_ever_had_is_kept_and_numbered(fleet):
    config = await fleet.make({"prompts": {"greeting": {"text": "Hello\nyou"}, "other": {"text": "x"}}})
    await everywhere(fleet, config)
    for words in ("Hello\nthere", None, "Hello\nyou"):
        entry = {"text": words} if words else None
        config = await fleet.save(config, {"prompts": {"greeting": entry, "other": {"text": "x", "version": 9}}})
        await everywhere(fleet, config)

    async def look(tx):
        wording = await texts.history(tx, config.id, "prompts", "greeting")
        older, newer = await documents.version(tx, config.id, 1), await documents.version(tx, config.id, 2)
        return wording, differences.between(older.content(), newer.content())

    wording, found = await fleet.within(look)
    assert [(each.version, each.config_version) for each in wording] == [(3, 4), (2, 2), (1, 1)]
    assert [each.name for each in found] == ["document", "prompts.greeting"]
    assert found[1].lines == ["@@ -1,2 +1,2 @@", " Hello", "-you", "+there"]
    assert '"other":{"text":"x","version":1}' in (await fleet.has(fleet.members[0])).document


async def test_two_editors_do_not_undo_each_others_work(fleet):
    config = await fleet.make({})
    await everywhere(fleet, config)
    await everywhere(fleet, await fleet.save(config, {"agent": {"scan_interval_s": 5}}, seen=1))

    with pytest.raises(documents.ConfigMoved):
        await fleet.save(config, {"agent": {"scan_interval_s": 6}}, seen=1)
    with pytest.raises(documents.ConfigExists):
        await fleet.make({})


async def test_another_tenants_project_and_runtime_are_not_there(fleet, db):
    other = await join(db)

    for scope in (
        {"level": "project", "project_id": other.project_id},
        {"level": "runtime", "runtime_id": other.id},
    ):
        with pytest.raises(NotFound):
            await fleet.make({}, **scope)


async def test_what_was_changed_there_is_drift_and_what_failed_can_be_tried_again(fleet):
    config = await fleet.make({"agent": {"scan_interval_s": 30}}, replace(AT_ONCE, max_failed_percent=100))
    await fleet.advance()
    member = fleet.members[0]
    its = await fleet.takes(member, error="no room")
    await fleet.within(lambda tx: standing.retry(tx, SHELL, member.id))
    assert (await fleet.has(member)).generation == its.generation + 1
    its = await fleet.takes(member)
    with pytest.raises(standing.NothingToRetry):
        await fleet.within(lambda tx: standing.retry(tx, SHELL, member.id))
    assert (await fleet.within(lambda tx: outcomes(tx, config)))[member.id] == "applied"

    said = Standing(status="applied", generation=its.generation, applied=its.generation, hash=its.hash)
    await fleet.within(lambda tx: standing.heard(tx, member.id, replace(said, drift=["prompts/a.md"])))

    assert await fleet.word(member) == "drifted"


async def test_there_are_so_many_documents_and_no_more(fleet):
    many = text("""
        INSERT INTO configs SELECT :tenant_id, gen_random_uuid(), 'label', 'label:n=' || n, NULL, NULL, 'n', CAST(n AS text),
            1, 1, 1, 'tests', now(), now()
        FROM generate_series(1, :most) AS n
    """)
    await fleet.within(lambda tx: tx.load(many, most=documents.MOST))

    with pytest.raises(documents.TooManyConfigs):
        await fleet.make({})


async def outcomes(tx, config):
    found = await rollouts.targets(tx, await rollouts.get(tx, config.id, config.version))
    return {each.runtime_id: each.outcome for each in found}


def test_waves_reach_everybody_once_and_the_last_is_everybody():
    members = [Candidate(number, {}) for number in range(7)]

    cut = list(planning.waves(Plan(percents=(10, 50, 100), most_at_once=3), members, "x"))

    assert [len(each) for each in cut] == [1, 3, 3]
    assert sorted(each for wave in cut for each in wave) == list(range(7))
    for percents in ((50,), (50, 20, 100), (100, 100)):
        with pytest.raises(PlanUnfit):
            list(planning.waves(Plan(percents=percents), members, "x"))
