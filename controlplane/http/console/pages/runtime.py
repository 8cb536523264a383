"""One runtime and its ledger: is it telling us everything?"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import ServerSentEvent
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import agents, commands, departures, fleet, rekeying, runtime_locks, runtimes, sessions
from controlplane.domain.agents import Agent
from controlplane.domain.audit import Actor
from controlplane.domain.commands import Command, receipts
from controlplane.domain.configs import standing
from controlplane.domain.configs.standing import Kept
from controlplane.domain.fleet import Ledger, Member
from controlplane.domain.newest import Reading
from controlplane.domain.outcomes import Filters
from controlplane.domain.sessions import Session
from controlplane.domain.sync import comparing, refills
from controlplane.domain.sync.refills import Refill
from controlplane.domain.vault import leased
from controlplane.domain.vault.leased import Which
from controlplane.http.authorize import Surface, rule
from controlplane.http.console.pages import askers
from controlplane.http.console.pages.leases import Out, out
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import RuntimeId
from controlplane.kit.presence import Presence

DELIVERIES: Final = 8
SESSIONS: Final = 8
COMMANDS: Final = 8
MOST_AGENTS: Final = 50


class Trouble(Struct, frozen=True, kw_only=True):
    """What the runtime cannot mend itself."""

    code: str
    line: str = ""
    since: datetime | None = None


class LastWords(Struct, frozen=True, kw_only=True):
    """What a page shows of a runtime's last heartbeat."""

    wall_ms: int | None = None
    sessions_seen: int = 0
    quarantined: int = 0
    disk_free_bytes: int | None = None
    troubles: list[Trouble] = []
    tip: list[fleet.Tip] = []
    """Sessions that have not ended, as of the last heartbeat."""

    @property
    def its_time(self) -> datetime | None:
        """By the runtime's own clock."""
        return None if self.wall_ms is None else datetime.fromtimestamp(self.wall_ms / 1_000, UTC)


class Delivery(Struct, frozen=True, kw_only=True):
    """One batch as it came."""

    epoch: int
    first_seq: int
    last_seq: int
    bytes: int
    received_at: datetime


class RuntimePage(Struct, frozen=True, kw_only=True):
    now: datetime
    refill: Refill | None
    runtime: Member
    ledger: Ledger
    words: LastWords | None
    """None: it has never been heard from."""
    agents: list[Agent]
    deliveries: list[Delivery]
    sessions: list[Session]
    leases: Out
    commands: list[Command]
    called: dict[str, str]
    """Who asked for them."""
    configuration: Kept | None

    @property
    def waiting(self) -> int:
        """Records that it has and we have not."""
        return self.ledger.backlog.records if self.ledger.backlog else 0

    @property
    def still(self) -> int:
        """How many of the records that it sends again since the restore are still to come."""
        refill, ledger = self.refill, self.ledger
        if refill is None or refill.epoch != ledger.epoch:
            return 0
        upto = refill.again if refill.mode == "new_epoch" else refill.last_seq or 0
        return min(refill.again, max(0, upto - ledger.acknowledged))

    @property
    def complete(self) -> bool:
        return self.ledger.last_heard_at is not None and not self.waiting and not self.ledger.lost_records

    @property
    def shares(self) -> list[tuple[str, float, float]]:
        """The ledger as a bar: kind, start and width in per cent; what there is is never too small to see."""
        parts = [
            ("acknowledged", self.ledger.acknowledged),
            ("waiting", self.waiting),
            ("lost", self.ledger.lost_records),
        ]
        whole = sum(number for _, number in parts) or 1
        widths = [max(number / whole * 100, 1.5) if number else 0.0 for _, number in parts]
        scale = 100 / (sum(widths) or 1)
        out, x = [], 0.0
        for (kind, _), width in zip(parts, widths, strict=True):
            out.append((kind, round(x, 2), round(width * scale, 2)))
            x += width * scale
        return out


class _Report(Struct, frozen=True):
    report: dict[str, Any]


NEWEST_DELIVERIES: Final = text(
    """
    SELECT epoch, first_seq + skip AS first_seq, last_seq, octet_length(body) AS bytes, received_at
    FROM sync_batches
    WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id
    ORDER BY epoch DESC, last_seq DESC
    LIMIT :most
    """
)


async def gather(tx: Reading, runtime_id: UUID, presence: Presence) -> RuntimePage:
    """
    Raises:
        NotFound: If there is none that *tx* can see.
    """
    runtime = await fleet.get(tx, runtime_id)
    ledgers = await fleet.ledgers(tx, [runtime], presence)
    said = await tx.first(_Report, tx.select(t.runtime_reports).where(t.runtime_reports.c.runtime_id == runtime_id))
    word = (await fleet.last_words(presence, [runtime_id])).get(runtime_id)
    asked = await commands.listing(tx, receipts.Which(runtime_id=runtime.id), limit=COMMANDS)
    return RuntimePage(
        now=tx.now,
        refill=await refills.of_runtime(tx, runtime.tenant_id, runtime.id),
        runtime=runtime,
        ledger=ledgers[runtime.id],
        words=_words(said, word),
        agents=await agents.listing(tx, runtime_id=runtime.id, limit=MOST_AGENTS),
        deliveries=await tx.query(
            Delivery, NEWEST_DELIVERIES, tenant_id=runtime.tenant_id, runtime_id=runtime.id, most=DELIVERIES
        ),
        sessions=await sessions.listing(tx, Filters(runtime_id=runtime.id), limit=SESSIONS),
        leases=await out(within(tx), Which(runtime_id=runtime.id)),
        commands=asked,
        called=await askers.called(within(tx), [each.created_by for each in asked]),
        configuration=await standing.of_runtime(within(tx), RuntimeId(runtime.id)),
    )


def _words(written: _Report | None, word: fleet.Word | None) -> LastWords | None:
    """What was written, and what passes by and is only remembered."""
    found = msgspec.convert(written.report, LastWords) if written else None
    if found is None or word is None:
        return found
    return replace(found, wall_ms=word.said.wall_ms, disk_free_bytes=word.said.disk_free_bytes, tip=word.said.tip)


async def page(screen: NamedDependency[Screen], runtime: FromPath[str]) -> Response[str]:
    return await screen.show(_page(screen, runtime))


async def live(screen: NamedDependency[Screen], runtime: FromPath[str], seen: FromQuery[str] = "") -> ServerSentEvent:
    return screen.follow(_page(screen, runtime), seen=seen)


async def revoke(tx: TenantTx, actor: Actor, runtime_id: RuntimeId) -> None:
    """End its access, and its leases, now."""
    await runtimes.revoke(tx, actor, runtime_id)
    await leased.revoke_all(tx, actor, Which(runtime_id=runtime_id))


def _button(
    address: str, work: Callable[[TenantTx, Actor, RuntimeId], Awaitable[None]], *, fresh: bool = True
) -> HTTPRouteHandler:
    """What does *work* with the runtime of the page, and comes back to it."""

    async def act(
        screen: NamedDependency[Screen], actor: NamedDependency[Actor], runtime: FromPath[str]
    ) -> Response[Any]:
        runtime_id = RuntimeId(identity("rt", runtime))
        page = _page(screen, runtime)
        return await screen.act(lambda tx: work(tx, actor, runtime_id), f"/runtimes/{runtime}", page)

    return post(
        f"/runtimes/{{runtime:str}}/{address}",
        status_code=200,
        opt=rule(Surface.CONSOLE, "runtime:write", SHOWS, fresh=fresh),
    )(act)


SHOWS: Final = frozenset({"session:read", "run:read", "checkpoint:read", "agent:read", "runtime:read"})

ACTS: Final[Sequence[HTTPRouteHandler]] = (
    _button("release", runtime_locks.release),
    _button("rotate-key", rekeying.ask, fresh=False),
    _button("compare", comparing.ask, fresh=False),
    _button("decommission", departures.ask),
    _button("revoke", revoke),
)
"""What the page's buttons do, below a tenant."""


def _page(screen: Screen, runtime: str) -> Page:
    parts = ("head", "acts", "restored", "ledger", "commands", "configuration", "sessions", "leases", "words", "facts")
    return Page(
        template="runtime/page.html",
        parts=tuple(f"runtime/{part}" for part in parts),
        gather=partial(gather, runtime_id=identity("rt", runtime), presence=screen.presence),
        stream=f"{screen.view.base}/runtimes/{runtime}/live",
    )
