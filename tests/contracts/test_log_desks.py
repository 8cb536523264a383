"""Lines on their way between two replicas: they arrive, wait for room, and leave nothing in Redis."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from controlplane.domain.logs import CreditExceeded, Desk, desk, looks
from controlplane.domain.logs.tails import OpenTail
from controlplane.kit.channels import Channels
from runtime_agent.wire.logs import CAP_BYTES, CHUNK_BYTES, Chunk
from tests.conftest import KEYRING

TENANT = UUID(int=1)


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
def desks(redis):
    """Two replicas."""
    return Desk(KEYRING, Channels(redis)), Desk(KEYRING, Channels(redis))


@pytest.fixture
def tail():
    facts = {"agent": "a", "source_id": "s", "log": "raw", "path": "run.log", "first_byte": 0, "follow": True}
    ids = {"id": uuid4(), "runtime_id": uuid4(), "session_id": uuid4()}
    return OpenTail(**facts, **ids, most=CAP_BYTES, not_after=datetime(2026, 1, 1, tzinfo=UTC))


def chunk(number, *lines):
    return Chunk(number=number, offset=0, next=0, size=0, lines=list(lines))


async def test_lines_go_to_the_replica_where_they_are_looked_at_and_none_is_kept_or_readable(desks, tail, redis):
    here, there = desks
    marker, passed = f"marker-{tail.id}", []
    async with here.looking(TENANT, tail) as look, redis.pubsub() as spy:
        await spy.subscribe(f"tail:{tail.id}")
        granted = await there.deliver(tail.id, chunk(1, marker))
        again = await there.deliver(tail.id, chunk(1, marker))
        assert (await look.next(5)).lines == [marker]
        while message := await spy.get_message(timeout=0.2):
            passed.append(str(message))

    assert (granted.number, granted.credit, granted.live) == (again.number, again.credit, again.live)
    assert (granted.number, granted.credit, granted.live) == (1, CHUNK_BYTES, True)
    assert len(passed) >= 3
    assert marker not in "".join(passed)
    assert [key async for key in redis.scan_iter(f"*{tail.id}*")] == []


async def test_an_agent_waits_while_nobody_takes_what_it_sent(desks, tail, monkeypatch):
    monkeypatch.setattr(looks, "HELD_S", 0.05)
    here, there = desks
    whole = ["x" * 1024] * (CHUNK_BYTES // 1024)
    async with here.looking(TENANT, tail) as look:
        for number in range(1, 5):
            granted = await there.deliver(tail.id, chunk(number, *whole))
        assert granted.credit == 0
        with pytest.raises(CreditExceeded):
            await there.deliver(tail.id, chunk(5, "more"))
        assert look.held == looks.ROOM_BYTES
        assert look.broken


async def test_more_than_was_asked_for_is_not_taken(desks, tail):
    here, there = desks
    small = replace(tail, most=10)
    async with here.looking(TENANT, small) as look:
        await there.deliver(tail.id, chunk(1, "x" * CHUNK_BYTES))
        await look.next(1)
        with pytest.raises(CreditExceeded):
            await there.deliver(tail.id, chunk(2, "more than ten"))


async def test_room_that_is_made_lets_the_agent_go_on(desks, tail):
    here, there = desks
    whole = ["x" * 1024] * (CHUNK_BYTES // 1024)
    async with here.looking(TENANT, tail) as look:
        for number in range(1, 4):
            await there.deliver(tail.id, chunk(number, *whole))
        waiting = asyncio.ensure_future(there.deliver(tail.id, chunk(4, *whole)))
        for _ in range(3):
            await look.next(1)
        assert (await waiting).credit == CHUNK_BYTES


async def test_a_replica_that_was_killed_answers_nothing_and_the_agent_asks_again(desks, tail, monkeypatch):
    monkeypatch.setattr(desk, "UNHEARD_S", 0.05)
    granted = await desks[1].deliver(tail.id, chunk(3, "x"))

    assert (granted.number, granted.credit, granted.live) == (2, 0, True)


async def test_what_somebody_else_says_there_is_not_heard(desks, tail, redis):
    here, _ = desks
    async with here.looking(TENANT, tail) as look:
        for said in (b"", b"{}", bytes(200)):
            await redis.publish(f"tail:{tail.id}", said)
        assert await look.next(0.2) is None
