"""Both sides are compared: the agent's own memory against the server's tables, through the door, and what is missing comes back."""

from datetime import timedelta

import httpx
import pytest
from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from runtime_agent import comparing, joining, verifying
from runtime_agent import identity as identities
from runtime_agent.agent import Post, opened
from runtime_agent.http import Http
from runtime_agent.once import Progress, _once
from runtime_agent.outbox import refilling
from runtime_agent.settings import Settings
from runtime_agent.wire.join import Facts
from tests.agent.homes import NOW, SessionFolder, checkpoint

LOSE = {
    "sessions": text("DELETE FROM sessions WHERE tenant_id = :tenant_id"),
    "checkpoints": text("DELETE FROM checkpoints WHERE tenant_id = :tenant_id"),
    "older": text("UPDATE sessions SET changed_at = changed_at - interval '1 hour' WHERE tenant_id = :tenant_id"),
    "newer": text("UPDATE sessions SET changed_at = changed_at + interval '1 hour' WHERE tenant_id = :tenant_id"),
}


class Count(Struct, frozen=True):
    n: int


class Site:
    """An EngineX home of three sessions, and the agent beside it, that speaks to the app itself."""

    def __init__(self, app, clock, db, tenant, folder):
        self.app, self.clock, self.db, self.tenant, self.folder = app, clock, db, tenant, folder
        self.engine = folder / "engine"
        self.folders = [SessionFolder(self.engine, name=f"session_20260101_00000{n}_0a1b2c3d") for n in range(3)]
        for each in self.folders:
            each.state()
            each.summary()
            each.checkpoint(checkpoint("node_start", "intake", NOW))
        settings = Settings(sources=[f"engine:{self.engine}"], source_timezone="UTC")
        self.post = Post(folder / "agent", settings, identities.load(folder / "agent"))

    async def once(self):
        post = self.post._replace(identity=identities.load(self.post.home))
        async with opened(post, self.clock, httpx.ASGITransport(self.app)) as agent:
            return await _once(agent, Progress())

    async def compared(self):
        post = self.post._replace(identity=identities.load(self.post.home))
        async with opened(post, self.clock, httpx.ASGITransport(self.app)) as agent:
            return verifying._verdict(
                verifying.position(agent.outbox), *await comparing.compare(agent.outbox, agent.server)
            )

    async def lose(self, what):
        async with self.db.tenant(self.tenant.tenant_id) as tx:
            await tx.load(LOSE[what])

    async def store_changes(self):
        async with self.db.platform() as tx:
            await tx.run(text("UPDATE store SET store_id = gen_random_uuid()"))

    async def held(self, table):
        async with self.db.tenant(self.tenant.tenant_id) as tx:
            return len(await tx.all(Id, tx.select(table)))


class Id(Struct, frozen=True):
    id: identities.UUID


@pytest.fixture
async def site(app, clock, db, make, tenant, tmp_path):
    clock.forward(NOW - clock())
    (tmp_path / "agent").mkdir(mode=0o700)
    identity = joining.prepared(tmp_path / "agent", "http://test")
    ticket = joining.Ticket(await make.join_token(tenant), "vpc-1", Facts())
    async with Http("http://test", clock, httpx.ASGITransport(app)) as http:
        await joining.join(http, tmp_path / "agent", identity, ticket, clock)
    site = Site(app, clock, db, tenant, tmp_path)
    await site.once()
    return site


async def test_what_was_sent_is_identical_and_the_server_knows_that_it_was_compared(site, client, make):
    verdict = await site.compared()

    assert (verdict.identical, verdict.missing, verdict.only_there) == (True, {}, 0)
    assert list(verifying.lines(verdict)) == ["identical"]
    owner = await make.api_key(site.tenant)
    [shown] = (await client.get(f"/v1/tenants/{site.tenant.slug}/runtimes", headers=owner)).json()["data"]
    assert shown["ledger"]["compared"].items() >= {"wanted": 0, "newer": 0}.items()


@pytest.mark.parametrize(
    ("lost", "kind"), [("sessions", "session"), ("checkpoints", "checkpoint"), ("older", "session")]
)
async def test_what_the_server_lost_is_seen_and_said_anew_once_the_store_has_changed(site, lost, kind):
    await site.lose(lost)
    verdict = await site.compared()
    assert (verdict.identical, verdict.missing) == (False, {kind: 3})

    await site.store_changes()
    await site.once()

    assert (await site.compared()).identical
    assert (await site.held(t.sessions), await site.held(t.checkpoints)) == (3, 3)


async def test_what_is_newer_there_is_a_difference_and_nothing_is_said_of_it(site):
    await site.lose("newer")

    verdict = await site.compared()

    assert (verdict.identical, verdict.missing, verdict.newer) == (False, {}, 3)


async def test_a_deleted_session_that_the_server_lost_too_is_named(site, client, make):
    site.folders[0].path.joinpath("checkpoints").rename(site.folder / "away")
    await site.lose("checkpoints")
    await site.store_changes()
    await site.once()

    await site.once()

    owner = await make.api_key(site.tenant)
    [shown] = (await client.get(f"/v1/tenants/{site.tenant.slug}/runtimes", headers=owner)).json()["data"]
    [loss] = shown["ledger"]["lost"]
    assert (loss["kind"], loss["records"], loss["reason"]) == ("gap", 1, refilling.GONE)
    assert (await site.compared()).identical


async def test_it_is_compared_once_a_day(site):
    await site.lose("sessions")
    site.clock.forward(timedelta(hours=23))
    await site.once()
    not_yet = await site.held(t.sessions)

    site.clock.forward(timedelta(hours=2))
    await site.once()

    assert (not_yet, await site.held(t.sessions)) == (0, 3)


async def test_somebody_can_have_it_compared_now(site, client, make):
    owner = await make.api_key(site.tenant)
    at = f"/v1/tenants/{site.tenant.slug}/runtimes/{site.post.identity.runtime}"
    await site.lose("sessions")
    assert (await client.post(f"{at}/compare", headers=owner)).json()["compare_wanted_at"]

    await site.once()

    shown = (await client.get(at, headers=owner)).json()
    assert (shown["compare_wanted_at"], shown["ledger"]["compared"]["wanted"]) == (None, 3)
    assert await site.held(t.sessions) == 3


async def test_records_that_wait_are_a_difference(site):
    site.folders[1].checkpoint(checkpoint("node_complete", "intake", NOW))
    post = site.post._replace(identity=identities.load(site.post.home))
    async with opened(post, site.clock, httpx.ASGITransport(site.app)) as agent:
        for scanner in agent.scanners:
            agent.look(scanner)

    verdict = await site.compared()

    assert (verdict.identical, verdict.waiting, verdict.missing) == (False, 1, {"checkpoint": 1})
    assert "1 records wait to be sent" in list(verifying.lines(verdict))
