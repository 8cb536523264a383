"""One session: what happened, where did it stop, what did it cost?"""

from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import ServerSentEvent
from msgspec import Struct
from sqlalchemy import text

from controlplane.domain import checkpoints, commands, runs, sessions
from controlplane.domain.checkpoints import Checkpoint
from controlplane.domain.commands import Command, Undoable
from controlplane.domain.commands.receipts import Which
from controlplane.domain.content import reading
from controlplane.domain.content.reading import Standing
from controlplane.domain.newest import MARGIN, Reading
from controlplane.domain.outcomes import Filters
from controlplane.domain.runs import Run
from controlplane.domain.sessions import Detail, Whole
from controlplane.http.console import timeline
from controlplane.http.console.pages import askers
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.console.timeline import Timeline
from controlplane.http.console.view import View
from controlplane.http.paths import identity
from controlplane.kit.ids import born_at, first_id

MOST_CHECKPOINTS: Final = 500
MOST_RUNS: Final = 50
MOST_COMMANDS: Final = 10


class Cost(Struct, frozen=True, kw_only=True):
    """What one node spent on one model or tool."""

    node: str | None
    what: str
    calls: int
    input_tokens: int
    output_tokens: int
    micro_usd: int


class Heard(Struct, frozen=True, kw_only=True):
    """Where the state that is shown came from."""

    runtime: str | None
    """None: the runtime is gone."""
    received_at: datetime
    epoch: int
    seq: int


class SessionPage(Struct, frozen=True, kw_only=True):
    now: datetime
    session: Whole
    detail: Detail
    heard: Heard
    runs: list[Run]
    checkpoints: list[Checkpoint]
    contents: dict[UUID, Standing]
    """What has come of their files."""
    costs: list[Cost]
    timeline: Timeline
    commands: list[Command]
    called: dict[str, str]
    """Who asked for them."""
    undoable: Undoable | None
    """The rollback that can be taken back."""

    @property
    def fitting(self) -> list[str]:
        """Kinds of commands that could come to something now."""
        return [kind for kind in commands.FITTING if commands.fits(kind, self.session)]

    @property
    def micro_usd(self) -> int | None:
        """None: the source said nothing about costs."""
        return sum(cost.micro_usd for cost in self.costs) if self.costs else None

    @property
    def models(self) -> list[str]:
        return sorted({cost.what for cost in self.costs if cost.input_tokens or cost.output_tokens})

    @property
    def attention(self) -> list[str]:
        """Why the source asks for attention, where it says more than the error does."""
        line = self.session.error.line if self.session.error else ""
        return [reason for reason in self.session.attention if not (line and line in reason)]

    @property
    def stopped_at(self) -> str | None:
        """The node where it stopped or is now; None for one that went through."""
        return self.session.current_node if self.session.status != "succeeded" else None

    @property
    def took_ms(self) -> int | None:
        """As the source says; of one that runs so far, of others to the last sign of life."""
        if self.session.duration_ms is not None:
            return self.session.duration_ms
        running = self.session.status == "running"
        last = self.now if running else self.session.ended_at or self.session.updated_at
        return int((last - self.session.started_at).total_seconds() * 1_000) if last else None


HEARD: Final = text(
    """
    SELECT r.name AS runtime, s.received_at, s.epoch, s.seq
    FROM sessions s
    LEFT JOIN runtimes r ON r.tenant_id = s.tenant_id AND r.id = s.runtime_id
    WHERE s.tenant_id = :tenant_id AND s.id = :session_id
    """
)

COST_BY_NODE: Final = text(
    """
    SELECT node, coalesce(model, tool, type) AS what, count(*) AS calls,
        CAST(least(sum(input_tokens), 9223372036854775807) AS bigint) AS input_tokens, CAST(least(sum(output_tokens), 9223372036854775807) AS bigint) AS output_tokens,
        CAST(least(sum(micro_usd), 9223372036854775807) AS bigint) AS micro_usd
    FROM cost_entries
    WHERE tenant_id = :tenant_id AND session_id = :session_id AND id >= :oldest
    GROUP BY node, coalesce(model, tool, type)
    ORDER BY sum(micro_usd) DESC, sum(input_tokens) DESC
    LIMIT 100
    """
)


async def gather(tx: Reading, session_id: UUID) -> SessionPage:
    """
    Raises:
        NotFound: If there is none that *tx* can see.
    """
    session = await sessions.get(tx, session_id)
    detail = sessions.detail(session)
    made = await checkpoints.listing(tx, checkpoints.Filters(session_id=session.id), limit=MOST_CHECKPOINTS)
    executions = await runs.listing(tx, Filters(), session_id=session.id, limit=MOST_RUNS)
    [heard] = await tx.query(Heard, HEARD, tenant_id=session.tenant_id, session_id=session.id)
    costs = await tx.query(
        Cost,
        COST_BY_NODE,
        tenant_id=session.tenant_id,
        session_id=session.id,
        oldest=first_id(min(born_at(session.id), session.started_at) - MARGIN),
    )
    asked = await commands.listing(tx, Which(session_id=session.id), limit=MOST_COMMANDS)
    return SessionPage(
        now=tx.now,
        session=session,
        detail=detail,
        heard=heard,
        runs=sorted(executions, key=lambda run: run.started_at),
        checkpoints=sorted(made, key=lambda checkpoint: (checkpoint.created_at, checkpoint.id)),
        contents=await reading.standings(tx, session.tenant_id, [checkpoint.id for checkpoint in made]),
        costs=costs,
        timeline=timeline.draw(session, detail, made, executions, tx.now),
        commands=asked,
        called=await askers.called(within(tx), [each.created_by for each in asked]),
        undoable=(await commands.undoable(tx, [session.tenant_id], [session.id])).get(session.id),
    )


async def page(screen: NamedDependency[Screen], session: FromPath[str]) -> Response[str]:
    return await screen.show(_page(screen.view, session))


async def live(screen: NamedDependency[Screen], session: FromPath[str], seen: FromQuery[str] = "") -> ServerSentEvent:
    return screen.follow(_page(screen.view, session), seen=seen)


def _page(view: View, session: str) -> Page:
    parts = ("head", "commands", "path", "runs", "checkpoints", "cost", "facts")
    return Page(
        template="session/page.html",
        parts=tuple(f"session/{part}" for part in parts),
        gather=partial(gather, session_id=identity("ses", session)),
        stream=f"{view.base}/sessions/{session}/live",
    )
