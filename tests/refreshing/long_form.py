"""The proof in its long form: ``make refreshes``. A minute of everything that can be survived, and what cannot."""

import asyncio
import contextlib
import random
import time

import pytest

from tests.refreshing.proof import LASTS_S, Proof, Through, wrong
from tests.refreshing.strict import serving

SECONDS = 60.0
CALLERS = 20
"""In each of three processes."""

SURVIVED = ("slow", "503", "429", "reset", "kill-before", "stall-before", "stall-after", "commit", "redis")
"""What a grant survives; ``kill-after`` and ``drop`` are what it cannot."""


@contextlib.asynccontextmanager
async def proving(app_url, admin_url, redis_url, tmp_path):
    async with Through(redis_url) as redis, serving(lasts_s=LASTS_S) as server:
        proof = Proof(app_url, admin_url, redis, tmp_path, callers=CALLERS, rest_s=0.5)
        await proof.begin(server)
        yield proof, server
        await proof.end()


async def test_a_minute_of_what_can_be_survived(app_url, admin_url, redis_url, tmp_path):
    async with proving(app_url, admin_url, redis_url, tmp_path) as (proof, server):
        assert await proof.herd() == 1
        await proof.all_say("on")
        began, suffered = time.monotonic(), []
        while time.monotonic() - began < SECONDS or set(suffered) != set(SURVIVED):
            to_come = [each for each in SURVIVED if suffered.count(each) <= len(suffered) // len(SURVIVED)]
            suffered.append(random.choice(to_come))
            await suffer(suffered[-1], proof, server)
            await proof.replaced()
            await served(proof, server)
        await proof.all_say("off")
        await proof.all_heard()

        state = (await proof.rig.seen()).state
    assert (proof.rig.grant.alive, proof.rig.grant.reused, state) == (True, 0, "active"), suffered
    assert wrong(proof) == {}, (suffered, proof.broke)
    assert proof.went_wrong["served"] > 0


@pytest.mark.parametrize("fault", ["kill-after", "drop"])
async def test_what_cannot_be_survived_is_said(app_url, admin_url, redis_url, tmp_path, fault):
    async with proving(app_url, admin_url, redis_url, tmp_path) as (proof, server):
        if fault == "drop":
            server.faults = ["drop"]
        else:
            proof.fault(fault)
        await proof.all_say("on")
        await until_it_is(proof, "needs_reauth")
        await asyncio.sleep(1)
        await proof.all_say("off")
        await proof.all_heard()

        seen = await proof.rig.seen()
    assert (seen.state, seen.state_reason) == ("needs_reauth", "lost_response")
    assert set(wrong(proof)) == {"connection-needs-reauth lost_response"}


async def suffer(which, proof, server):
    """One fault, to its end."""
    if which in ("slow", "503", "429", "reset"):
        server.faults += {
            "slow": ["slow:1.0"],
            "503": ["status:503"] * 3,
            "429": ["status:429:slow_down"],
            "reset": ["hang:2"],
        }[which]
    elif which == "commit":
        await proof.database_refuses(2.0)
    elif which == "redis":
        await proof.herd_is_away(2.0)
    else:
        proof.fault(which)
        await proof.suffered(which)


async def served(proof, server):
    """Until the grant has been refreshed again after what it has suffered."""
    before, until = server.refreshed, time.monotonic() + 40
    while server.faults or server.refreshed == before:
        assert time.monotonic() < until, "nobody refreshes any more"
        await asyncio.sleep(0.05)


async def until_it_is(proof, state):
    until = time.monotonic() + 40
    while (await proof.rig.seen()).state != state:
        assert time.monotonic() < until, f"it is not {state}"
        await asyncio.sleep(0.1)
