"""POST /v1/tenants/{tenant}/commands/collect-logs: have a runtime put logs into a bundle, which stays in its network."""

from datetime import datetime
from typing import Annotated, Final, TypeAlias

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct, field

from controlplane.db.database import TenantTx
from controlplane.domain import commands
from controlplane.domain.audit import Actor
from controlplane.domain.commands import COLLECT, Range, Wanted
from controlplane.domain.logs import LOGS, Log
from controlplane.http.authorize import Surface, rule
from controlplane.http.manners import plain_answer
from controlplane.http.paths import identity
from controlplane.http.tenant_api.commands import CommandMisdirected, CommandView, Id, view

COLLECTS: Final = rule(Surface.TENANT, "command:create", also=frozenset({"log:tail"}))

Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]


class NewCollection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one session, or of all of a runtime that wrote logs in a time."""

    runtime: Id | None = None
    session: Id | None = None
    logs: Annotated[list[Log], Meta(min_length=1, max_length=len(LOGS))] = field(
        default_factory=lambda: ["details", "tools"]
    )
    """``raw``: every file in the folders of logs as it stands, without what looks like a secret."""
    since: Instant | None = None
    """What was last written before is left out. A whole runtime takes one."""
    until: Instant | None = None
    """What began later is left out. Null: until the bundle is made."""
    comment: Annotated[str, Meta(max_length=1000, pattern=r"^[^\u0000]*$")] = ""
    not_after: Instant | None = None
    """What has not begun by then does not begin. Null: an hour from now."""


class CollectingController(Controller):
    path = "/commands/collect-logs"
    tags = ("commands",)

    @post("/", status_code=201, opt={**COLLECTS, **plain_answer()})
    async def collect(
        self, data: JSONBody[NewCollection], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> CommandView:
        """Ask for a bundle. Its receipt says what the file is called and how long it is, and its SHA-256.

        The file stays on the runtime's machine, for a week: whoever may go there fetches it.
        """
        if (data.session is None) == (data.runtime is None):
            raise CommandMisdirected("collect-logs takes a session or a runtime")
        asked = Wanted(
            kind=COLLECT,
            runtime_id=identity("rt", data.runtime) if data.runtime is not None else None,
            session_id=identity("ses", data.session) if data.session is not None else None,
            comment=data.comment,
            not_after=data.not_after,
            collecting=Range(logs=tuple(dict.fromkeys(data.logs)), since=data.since, until=data.until),
        )
        return view(await commands.create(tx, actor, asked))
