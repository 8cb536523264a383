"""The proof in its short form: three processes, and what they can survive one after the other."""

import asyncio

from tests.refreshing.proof import LASTS_S, Proof, Through, wrong
from tests.refreshing.strict import serving


async def test_a_grant_survives_what_happens_to_three_processes(app_url, admin_url, redis_url, tmp_path):
    async with Through(redis_url) as redis, serving(lasts_s=LASTS_S) as server:
        proof = Proof(app_url, admin_url, redis, tmp_path, callers=34, rest_s=0.5)
        await proof.begin(server)
        assert await proof.herd() == 1, "102 callers on an expired token make one call"

        await proof.all_say("on")
        server.faults = ["status:503", "slow:0.8", "status:503"]
        await asyncio.sleep(1.5)
        redis.shut()
        proof.fault("kill-before")
        await proof.suffered("kill-before")
        await asyncio.sleep(6.5)
        await proof.all_say("off")
        await proof.all_heard()

        state = (await proof.rig.seen()).state
        await proof.end()
    assert (server.grants and proof.rig.grant.alive, proof.rig.grant.reused, state) == (True, 0, "active")
    assert (wrong(proof), proof.killed) == ({}, 1)
