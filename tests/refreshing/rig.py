"""What the tests of refreshing share: durations, a connection at the strict server, and who refreshes it."""

from datetime import timedelta

from controlplane.db import schema as t
from controlplane.domain.vault import confirming, connections
from controlplane.domain.vault.pace import Pace
from controlplane.domain.vault.refreshing import Refresher, Shared
from controlplane.kit.guard import Guard
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.secret import Secret
from tests.domain.vault.begun import begin
from tests.make import SHELL
from tests.refreshing.providers import catalogue

QUICK = Pace(
    call_s=0.6,
    deadline_s=1.0,
    adopt_s=1.5,
    block_s=4.0,
    poll_s=0.03,
    herd_s=0.2,
    least_left_s=0.1,
    first_retry_s=0.05,
    longest_retry_s=0.5,
    commit_retry_s=0.05,
    pause_s=0.2,
    longest_pause_s=0.5,
    bucket_every_s=0.001,
    again_s=0.001,
)
"""Everything as for a token of an hour, for one of two seconds."""


class Rig:
    """A tenant with one connection at *server*."""

    def __init__(self, db, make, server, *, guard=None, pace=QUICK, replay="strict", **refreshing):
        self.db, self.make, self.server, self.pace, self.replay = db, make, server, pace, replay
        self.catalogue = catalogue(**refreshing)
        self.guard = guard or Guard(loopback=True)
        self.refreshers = []

    async def connect(self, *, lasts_s=3600.0, tenant=None):
        """Connect an account: its token is over after *lasts_s*."""
        self.tenant = tenant or await self.make.tenant()
        self.tenant_id = self.tenant.tenant_id
        self.grant, access = self.server.grant()
        async with self.db.tenant(self.tenant_id) as tx:
            session, _ = await begin(tx, provider=self.replay)
            arrived = confirming.Arrived(
                access=access,
                refresh=Secret(self.grant.refresh),
                access_exp=tx.now + timedelta(seconds=lasts_s),
                endpoints=self.server.endpoints(),
            )
            pending = await confirming.arrive(tx, SHELL, session, arrived)
            made = await confirming.confirm(tx, SHELL, pending.id, owner_ref="u-7")
        self.id, self.app_id = made.id, made.app_id
        return self

    def refresher(self, *, caller=None, **shared):
        """One more process, as far as the database can tell."""
        caller = caller or Caller(self.guard, self.db.clock, within_s=self.pace.call_s)
        made = Refresher(self.db, self.catalogue, caller, str, self.pace, Shared(**shared))
        self.refreshers.append(made)
        return made

    async def seen(self):
        async with self.db.tenant(self.tenant_id) as tx:
            return await connections.get(tx, self.id)

    async def access(self):
        """The token as a caller gets it."""
        async with self.db.tenant(self.tenant_id) as tx:
            _, access = await connections.access(tx, self.id)
        return access.token.reveal()

    async def row(self):
        async with self.db.tenant(self.tenant_id) as tx:
            [row] = await tx.rows(tx.select(t.connections).where(t.connections.c.id == self.id))
        return row

    async def orphans(self):
        async with self.db.tenant(self.tenant_id) as tx:
            return await tx.rows(tx.select(t.refresh_orphans))

    async def write(self, **values):
        """As nothing of ours would."""
        async with self.db.tenant(self.tenant_id) as tx:
            tx.audited = True
            await tx.run(tx.update(t.connections).where(t.connections.c.id == self.id).values(**values))

    async def close(self):
        for each in self.refreshers:
            await each.close()
        await self.guard.close()
