"""POST /v1/runtime/heartbeat and /bye: alive, and gone for good."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec.structs import replace

from controlplane.db.database import Database
from controlplane.domain import departures, reports, runtime_locks, runtimes
from controlplane.domain.configs import standing as configs
from controlplane.domain.permissions import Runtime
from controlplane.domain.runtime_locks import RuntimeLocked
from controlplane.domain.sync.cursors import Cursor
from controlplane.domain.sync.pulses import Pulses, Seen
from controlplane.domain.vault import leased
from controlplane.http.authorize import Surface, rule
from controlplane.http.runtime_api import standing
from controlplane.http.runtime_api.admission import HEARTBEAT, at
from controlplane.kit.presence import Presence
from controlplane.kit.wakeups import Wakeups
from runtime_agent.wire.config import Standing
from runtime_agent.wire.heartbeat import Bye, Heartbeat, Pulse
from runtime_agent.wire.leases import Notice


class HeartbeatController(Controller):
    @post(
        "/heartbeat",
        status_code=200,
        opt=rule(Surface.RUNTIME, "sync:write"),
        before_request=at(HEARTBEAT),
        summary="Report a runtime's state",
    )
    async def heartbeat(
        self,
        data: JSONBody[Heartbeat],
        request: Request[Runtime, Any, Any],
        db: NamedDependency[Database],
        presence: NamedDependency[Presence],
        wakeups: NamedDependency[Wakeups],
    ) -> Pulse:
        """Answer with the server's own cursor, so that a regression shows by itself.

        The database is written only where the runtime's state turns.
        """
        runtime = request.user
        pulses: Pulses = request.app.state.pulses
        word = await presence.last(runtime.id)
        before = reports.REMEMBERED.decode(word) if word else None
        cursor = standing.may_call(await pulses.of(runtime.tenant_id, runtime.id), runtime)
        now = db.clock()
        report = reports.heard(runtime.tenant_id, runtime.id, data, now, before)
        copied = before is not None and before.boots is not None and before.boots.takes_turns(data)
        state, reason = reports.state_of(data)
        turned = copied or cursor.state != state
        said = data.config or Standing()
        news, notices = cursor.news, list[Notice]()
        if turned or cursor.noticed or news is None or configs.is_new(news, cursor.told, said):
            async with db.tenant(runtime.tenant_id) as tx:
                notices = await leased.notices(tx, runtime.id)
                news = await configs.heard(tx, runtime.id, said)
                if copied:
                    await runtime_locks.lock(tx, runtime.id, "boots")
                elif turned:
                    await runtimes.turn(tx, runtime.id, state, reason)
        await presence.hear(runtime.id, msgspec.json.encode(report), keep=report.to_be_kept)
        if turned:
            await wakeups.nudge(f"tenant:{runtime.tenant_id}")
            await wakeups.nudge("fleet")
        if copied:
            raise RuntimeLocked
        window_ms: int = request.app.state.admission.window_ms
        return replace(_pulse(cursor, now), reconnect_window_ms=window_ms, leases=notices, config=news)

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


def _pulse(cursor: Seen, now: datetime) -> Pulse:
    return Pulse(
        server_ms=int(now.timestamp() * 1000),
        store_id=cursor.store_id,
        epoch=cursor.epoch,
        acked=cursor.last_seq,
        head=cursor.known_head(cursor.runtime_id).hex(),
        durable=cursor.durable,
        next_ms=runtimes.HEARTBEAT_MS,
        flags=_flags(cursor),
        cmds_waiting=cursor.asked,
        content=cursor.content(),
        budgets=cursor.budgets,
    )


def _flags(cursor: Cursor) -> list[str]:
    """What the runtime is asked to do, until it has."""
    wanted = {
        "ROTATE_KEY": cursor.key_wanted_at,
        "MANIFEST": cursor.compare_wanted_at,
        "DRAIN": cursor.leave_wanted_at,
    }
    return [flag for flag, at in wanted.items() if at is not None]
