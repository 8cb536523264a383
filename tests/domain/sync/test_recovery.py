"""Hello, new epoch, diff: the server's half of finding one's place again."""

from uuid import UUID

import msgspec
import pytest
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain.sync.recovery import Reported
from controlplane.domain.sync.refusals import EpochSpent
from tests.logs import session


class LossRow(Struct, frozen=True):
    epoch: int
    first_seq: int
    last_seq: int
    reason: str


async def losses(site):
    async with site.db.tenant(site.tenant_id) as tx:
        return await tx.all(LossRow, tx.select(t.sync_losses))


async def sent(site, count=3):
    log = await site.log()
    log.write(*map(session, range(1, count + 1)))
    await site.append(log, 1, count)
    return log


async def test_a_fresh_agent_is_granted_the_first_epoch(site):
    welcome = await site.hello()

    assert (welcome.mode, welcome.epoch, welcome.from_seq) == ("new_epoch", 1, 1)


async def test_an_agent_in_its_place_goes_on_from_there(site):
    log = await sent(site)

    welcome = await site.hello(epoch=1, last_seq=3, head=log.head(3).hex())

    assert (welcome.mode, welcome.epoch, welcome.from_seq, welcome.head) == ("resume", 1, 4, log.head(3).hex())


async def test_an_agent_that_is_ahead_sends_again_what_is_not_held(site):
    log = await sent(site)
    log.write(session(4), session(5))

    welcome = await site.hello(epoch=1, last_seq=5, head=log.head(5).hex())

    assert (welcome.mode, welcome.from_seq) == ("resume", 4)


async def test_there_is_an_end_to_epochs_and_it_is_not_passed(site):
    last = await site.hello(epoch=2**53 - 1)

    with pytest.raises(EpochSpent):
        await site.hello(epoch=2**53)

    assert last.epoch == (await site.cursor()).epoch == 2**53


CANNOT_GO_ON = {
    "an older epoch": {"epoch": 0, "last_seq": 0},
    "a shorter log": {"last_seq": 2},
    "another history of the same length": {"last_seq": 3, "head": "0" * 64},
    "another history, found by the agent": {"last_seq": 5, "diverged": True},
    "nothing left to go on from": {"last_seq": 9, "first_retained": 6},
}


@pytest.mark.parametrize("case", CANNOT_GO_ON)
async def test_whoever_cannot_go_on_is_granted_a_new_epoch(site, case):
    await sent(site)

    welcome = await site.hello(**({"epoch": 1} | CANNOT_GO_ON[case]))

    assert (welcome.mode, welcome.epoch, welcome.from_seq) == ("new_epoch", 2, 1)


async def test_the_new_epoch_is_beyond_the_agents_own(site):
    welcome = await site.hello(epoch=41, last_seq=7)

    assert welcome.epoch == 42


async def test_diff_names_what_is_not_held_in_the_order_asked(site):
    log = await sent(site)
    known = [msgspec.json.decode(text)["record_id"] for text in log.lines]
    unknown = [UUID(int=1), UUID(int=2**128 - 1)]

    assert await site.missing(unknown[1], *map(UUID, known), unknown[0]) == [unknown[1], unknown[0]]


async def test_diff_remembers_every_epoch(site):
    log = await sent(site)
    await site.hello()

    assert await site.missing(*(UUID(msgspec.json.decode(text)["record_id"]) for text in log.lines)) == []


async def test_what_vanished_with_an_outbox_is_named(site):
    await sent(site)

    await site.hello(Reported(epoch=1, last_seq=44))

    assert await losses(site) == [LossRow(1, 4, 44, "outbox-replaced")]


async def test_what_a_rolled_back_disk_no_longer_has_is_named(site):
    log = await sent(site)

    await site.hello(Reported(epoch=1, last_seq=9), epoch=1, last_seq=2, head=log.head(2).hex())

    assert await losses(site) == [LossRow(1, 4, 9, "rolled-back")]


async def test_nothing_is_called_lost_that_the_agent_still_has(site):
    log = await sent(site)
    log.write(session(4))

    await site.hello(Reported(epoch=1, last_seq=4), epoch=1, last_seq=4, head="0" * 64, diverged=True)

    assert await losses(site) == []
