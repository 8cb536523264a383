"""/v1/tenants/{tenant}/commands: what runtimes are asked to do, and the receipt of each."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import commands
from controlplane.domain.audit import Actor
from controlplane.domain.commands import Bundle, Command, State, Wanted
from controlplane.domain.commands.receipts import Which
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity, maybe
from controlplane.http.tenant_api import filters
from controlplane.http.words import word
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal

OfRuntime: TypeAlias = Literal["rescan", "drain"]
OfSession: TypeAlias = Literal["pause", "resume", "cancel", "rollback", "undo"]
PLACED: Final = frozenset({"rollback", "resume"})
"""What may say from which checkpoint."""

Id: TypeAlias = Annotated[str, Meta(max_length=40)]


class NewCommand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Decisions on what waits for approval are made at ``approvals``."""

    kind: OfRuntime | OfSession
    runtime: Id | None = None
    """For ``rescan`` and ``drain``."""
    session: Id | None = None
    """For the others."""
    checkpoint: Id | None = None
    """For ``rollback``: one of the session's; for ``resume``, if it is to go on from there."""
    though_lost: bool = False
    """A session that looks lost was not touched for ten minutes; its process may live. True: you have made sure that it
    does not."""
    comment: Annotated[str, Meta(max_length=1000, pattern=r"^[^\u0000]*$")] = ""
    not_after: Annotated[datetime, Meta(tz=True)] | None = None
    """What has not begun by then does not begin. Null: an hour from now."""


class Collecting(Struct, frozen=True, kw_only=True):
    logs: list[str]
    since: Moment | None
    until: Moment | None


class CommandView(Struct, frozen=True, kw_only=True):
    id: str
    runtime: str
    session: str | None
    kind: str
    state: State
    code: str
    """Why it did not succeed."""
    detail: str
    comment: str
    created_by: str
    created_at: Moment
    not_after: Moment
    delivered_at: Moment | None
    """The runtime has it on its disk."""
    started_at: Moment | None
    """By the runtime's clock."""
    ended_at: Moment | None
    superseded_by: str | None
    checkpoint: str | None
    """Where a rollback goes, or a resume goes on from."""
    undoes: str | None
    """The rollback that an undo takes back."""
    collecting: Collecting | None
    """What a collection of logs is to hold."""
    bundle: Bundle | None
    """What the runtime says of the file that came of it. The file itself stays in its network."""


class CommandMisdirected(Refusal):
    """It names what it cannot be for, or not what it is for."""

    code, status, title = "command-misdirected", 400, "The command is for something else than was named"
    hint = "Sessions are paused, resumed and rolled back, runtimes do the rest; a rollback goes to a checkpoint."


class CommandsController(Controller):
    path = "/commands"
    tags = ("commands",)
    opt = rule(Surface.TENANT, "command:read")

    @get("/")
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        runtime: FromQuery[str | None] = None,
        session: FromQuery[str | None] = None,
        kind: FromQuery[str | None] = None,
        in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    ) -> Page[CommandView]:
        """Commands, newest first."""
        which = Which(
            runtime_id=filters.identity("rt", "runtime", runtime),
            session_id=filters.identity("ses", "session", session),
            kind=word("kind", kind),
            state=in_state,
        )
        rows = await commands.listing(tx, which, before=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "command:create"))
    async def create(
        self, data: JSONBody[NewCommand], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> CommandView:
        """Ask a runtime to do something. What was asked of the same thing and not yet delivered is superseded."""
        of_session = data.kind in commands.FITTING
        if (data.session is None) == of_session or (data.runtime is None) != of_session:
            wanted, unwanted = ("session", "runtime") if of_session else ("runtime", "session")
            raise CommandMisdirected(f"{data.kind} takes a {wanted}, and no {unwanted}")
        if (data.checkpoint is None and data.kind == "rollback") or (data.checkpoint and data.kind not in PLACED):
            raise CommandMisdirected(f"rollback takes a checkpoint, resume may, {data.kind} does not")
        asked = Wanted(
            kind=data.kind,
            runtime_id=maybe("rt", data.runtime),
            session_id=maybe("ses", data.session),
            checkpoint_id=maybe("cp", data.checkpoint),
            though_lost=data.though_lost,
            comment=data.comment,
            not_after=data.not_after,
        )
        return view(await commands.create(tx, actor, asked))

    @get("/{command:str}")
    async def show(self, tx: NamedDependency[TenantTx], command: FromPath[str]) -> CommandView:
        """One command: its receipt."""
        return view(await commands.get(tx, identity("cmd", command)))

    @post("/{command:str}/cancel", status_code=200, opt=rule(Surface.TENANT, "command:withdraw"))
    async def cancel(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], command: FromPath[str]
    ) -> CommandView:
        """Take it back, which works until its runtime has it. Doing it again changes nothing."""
        return view(await commands.withdraw(tx, actor, identity("cmd", command)))


def view(its: Command) -> CommandView:
    return CommandView(
        id=text_id("cmd", its.id),
        runtime=text_id("rt", its.runtime_id),
        session=text_id("ses", its.session_id) if its.session_id else None,
        kind=its.kind,
        state=its.state,
        code=its.code,
        detail=its.detail,
        comment=its.comment,
        created_by=its.created_by,
        created_at=moment(its.created_at),
        not_after=moment(its.not_after),
        delivered_at=moment(its.delivered_at),
        started_at=moment(its.started_at),
        ended_at=moment(its.ended_at),
        superseded_by=text_id("cmd", its.superseded_by) if its.superseded_by else None,
        checkpoint=text_id("cp", its.checkpoint_id) if its.checkpoint_id else None,
        undoes=text_id("cmd", its.undoes) if its.undoes else None,
        collecting=_collecting(its),
        bundle=msgspec.convert(its.bundle, Bundle) if its.bundle else None,
    )


def _collecting(its: Command) -> Collecting | None:
    if its.logs is None:
        return None
    return Collecting(logs=its.logs, since=moment(its.logged_since), until=moment(its.logged_until))
