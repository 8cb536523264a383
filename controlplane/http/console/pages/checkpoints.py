"""Checkpoints of a session: which there are, what is in them, and going back to one."""

from datetime import datetime
from functools import partial
from typing import Annotated, Final, TypeAlias
from uuid import UUID

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain import checkpoints, commands, sessions
from controlplane.domain.checkpoints import Checkpoint, Filters
from controlplane.domain.commands import Command
from controlplane.domain.commands.receipts import Which
from controlplane.domain.content import reading
from controlplane.domain.content.reading import Standing
from controlplane.domain.newest import Reading
from controlplane.domain.sessions import Whole
from controlplane.http.console.pages import askers
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.problems import NotFound

ROWS: Final = 100
MOST_NAMES: Final = 200
MOST_COMMANDS: Final = 50

Word: TypeAlias = Annotated[str, QueryParameter(max_length=300)]


class Asked(Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    session: UUID
    node: str
    kind: str
    before: str


class CheckpointsPage(Struct, frozen=True, kw_only=True):
    session: Whole
    asked: Asked
    rows: list[Checkpoint]
    contents: dict[UUID, Standing]
    """What has come of their files."""
    nodes: list[str]
    kinds: list[str]
    older: str | None

    def comparable(self, checkpoint: Checkpoint) -> bool:
        """Whether what it holds can be looked into here."""
        found = self.contents.get(checkpoint.id)
        return found is not None and found.state == "complete" and found.policy == "plain"

    @property
    def pair(self) -> list[UUID]:
        """The two that are compared unless somebody chooses others: the newest, and the one before it."""
        return [row.id for row in self.rows if self.comparable(row)][:2]


class CheckpointPage(Struct, frozen=True, kw_only=True):
    now: datetime
    session: Whole
    checkpoint: Checkpoint
    content: Standing | None
    before: Checkpoint | None
    """The one before it, where the two can be compared."""
    commands: list[Command]
    """That are about it, newest first."""
    called: dict[str, str]
    """Who asked for them."""

    @property
    def fits(self) -> bool:
        """Whether the session could be brought back to it now."""
        return commands.fits("rollback", self.session)


class _Named(Struct, frozen=True):
    node: str | None
    type: str


async def page(
    screen: NamedDependency[Screen],
    session: FromPath[str],
    node: Word = "",
    kind: Word = "",
    before: Word = "",
) -> Response[str]:
    asked = Asked(session=identity("ses", session), node=node, kind=kind, before=before)
    return await screen.show(Page(template="checkpoints/page.html", parts=(), gather=partial(_gather, asked=asked)))


async def one(screen: NamedDependency[Screen], checkpoint: FromPath[str]) -> Response[str]:
    gather = partial(_gather_one, checkpoint_id=identity("cp", checkpoint))
    return await screen.show(Page(template="checkpoints/one.html", parts=(), gather=gather))


async def chosen(
    screen: NamedDependency[Screen],
    session: FromPath[str],
    older: Annotated[str, QueryParameter(name="from")] = "",
    newer: Annotated[str, QueryParameter(name="to")] = "",
) -> Redirect:
    """From the two that were chosen in the list to what is different in them."""
    before, after = identity("cp", older), identity("cp", newer)
    address = f"/checkpoints/{text_id('cp', before)}/compare/{text_id('cp', after)}"
    return Redirect(f"{screen.view.base}{address}", status_code=303)


async def _gather(tx: Reading, asked: Asked) -> CheckpointsPage:
    session = await sessions.get(tx, asked.session)
    before = parse_id("cp", asked.before) if asked.before else None
    if asked.before and before is None:
        raise NotFound
    wanted = Filters(session_id=session.id, node=asked.node or None, type=asked.kind or None)
    rows = await checkpoints.listing(tx, wanted, before=before, limit=ROWS + 1)
    its = t.checkpoints.c
    named = tx.select(t.checkpoints).where(its.session_id == session.id).with_only_columns(its.node, its.type)
    found = await tx.all(_Named, named.distinct().order_by(its.node, its.type).limit(MOST_NAMES))
    return CheckpointsPage(
        session=session,
        asked=asked,
        rows=rows[:ROWS],
        contents=await reading.standings(tx, session.tenant_id, [row.id for row in rows]),
        nodes=sorted({each.node for each in found if each.node}),
        kinds=sorted({each.type for each in found}),
        older=text_id("cp", rows[ROWS - 1].id) if len(rows) > ROWS else None,
    )


async def _gather_one(tx: Reading, checkpoint_id: UUID) -> CheckpointPage:
    checkpoint = await checkpoints.get(tx, checkpoint_id)
    session = await sessions.get(tx, checkpoint.session_id)
    earlier = Filters(session_id=session.id, until=checkpoint.created_at)
    found = await checkpoints.listing(tx, earlier, limit=1)
    standing = await reading.standings(tx, session.tenant_id, [checkpoint.id, *(each.id for each in found)])
    both = {each for each in standing.values() if each.state == "complete" and each.policy == "plain"}
    asked = await commands.listing(tx, Which(session_id=session.id), limit=MOST_COMMANDS)
    about = [each for each in asked if each.checkpoint_id == checkpoint.id]
    return CheckpointPage(
        now=tx.now,
        session=session,
        checkpoint=checkpoint,
        content=standing.get(checkpoint.id),
        before=found[0] if found and len(both) == 2 else None,
        commands=about,
        called=await askers.called(within(tx), [each.created_by for each in about]),
    )
