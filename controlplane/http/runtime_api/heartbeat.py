"""POST /v1/runtime/heartbeat and /bye: alive, and gone for good."""

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from controlplane.db.database import Database
from controlplane.domain import commands, departures, reports, runtime_locks, runtimes
from controlplane.domain.configs import standing as configs
from controlplane.domain.permissions import Runtime
from controlplane.domain.reports import Report
from controlplane.domain.runtime_locks import RuntimeLocked
from controlplane.domain.sync.cursors import Cursor
from controlplane.domain.vault import leased
from controlplane.http.authorize import Surface, rule
from controlplane.http.runtime_api import standing
from controlplane.kit.presence import Presence
from controlplane.kit.wakeups import Wakeups
from runtime_agent.wire.config import Standing
from runtime_agent.wire.heartbeat import Bye, Heartbeat, Pulse


class HeartbeatController(Controller):
    @post("/heartbeat", status_code=200, opt=rule(Surface.RUNTIME, "sync:write"), summary="Report a runtime's state")
    async def heartbeat(
        self,
        data: JSONBody[Heartbeat],
        runtime: NamedDependency[Runtime],
        db: NamedDependency[Database],
        presence: NamedDependency[Presence],
        wakeups: NamedDependency[Wakeups],
    ) -> Pulse:
        """Answer with the server's own cursor, so that a regression shows by itself.

        The database is written only where the runtime's state turns.
        """
        now, word = db.clock(), await presence.last(runtime.id)
        boots = msgspec.json.decode(word, type=Report).boots if word else None
        report = reports.heard(runtime.tenant_id, runtime.id, data, now, boots)
        state, reason = reports.state_of(data)
        async with db.tenant(runtime.tenant_id) as tx:
            cursor = await standing.seen(tx, runtime)
            notices = await leased.notices(tx, runtime.id)
            asked = await commands.waits(tx, runtime.id)
            news = await configs.heard(tx, runtime.id, data.config or Standing())
            turned = cursor.state != state
            if copied := boots is not None and boots.takes_turns(data):
                await runtime_locks.lock(tx, runtime.id, "boots")
            elif turned:
                await runtimes.turn(tx, runtime.id, state, reason)
        await presence.hear(runtime.id, msgspec.json.encode(report))
        if turned or copied:
            await wakeups.nudge(f"tenant:{runtime.tenant_id}")
            await wakeups.nudge("fleet")
        if copied:
            raise RuntimeLocked
        return Pulse(
            server_ms=int(now.timestamp() * 1000),
            store_id=cursor.store_id,
            epoch=cursor.epoch,
            acked=cursor.last_seq,
            head=cursor.known_head(runtime.id).hex(),
            durable=cursor.durable,
            next_ms=runtimes.HEARTBEAT_MS,
            flags=_flags(cursor),
            leases=notices,
            cmds_waiting=asked,
            content=cursor.content(),
            config=news,
        )

    @post("/bye", status_code=200, opt=rule(Surface.RUNTIME, "sync:write"), summary="Say goodbye for good")
    async def bye(
        self, data: JSONBody[Bye], runtime: NamedDependency[Runtime], db: NamedDependency[Database]
    ) -> dict[str, bool]:
        """End the runtime's access, and note whether its log is complete here."""
        async with db.tenant(runtime.tenant_id) as tx:
            cursor = await standing.locked(tx, runtime)
            held = (cursor.epoch, cursor.last_seq, cursor.known_head(runtime.id).hex())
            complete = held == (data.epoch, data.last_seq, data.head)
            if data.epoch == cursor.epoch:
                unsent = {"epoch": cursor.epoch, "first_seq": cursor.last_seq + 1, "last_seq": data.last_seq}
                await departures.name_the_unsent(tx, runtime.id, **unsent, since=cursor.moved_at)
            await runtimes.leave(tx, runtime.id, complete=complete)
        return {"complete": complete}


def _flags(cursor: Cursor) -> list[str]:
    """What the runtime is asked to do, until it has."""
    wanted = {
        "ROTATE_KEY": cursor.key_wanted_at,
        "MANIFEST": cursor.compare_wanted_at,
        "DRAIN": cursor.leave_wanted_at,
    }
    return [flag for flag, at in wanted.items() if at is not None]
