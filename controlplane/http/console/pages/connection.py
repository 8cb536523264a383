"""One connection: does it work, whose account is it, and what became of it."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor, reads
from controlplane.domain.audit.reads import Read
from controlplane.domain.newest import Reading
from controlplane.domain.people import Account
from controlplane.domain.projects import Project
from controlplane.domain.vault import confirming, connections, disclosures, histories, leaving, revocations, statics
from controlplane.domain.vault.connections import Connection
from controlplane.domain.vault.disclosures import Disclosure
from controlplane.domain.vault.histories import Entry
from controlplane.domain.vault.leased import State, Which
from controlplane.domain.vault.provider import Provider
from controlplane.domain.vault.revocations import Revocation
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import starting
from controlplane.http.connecting.desk import Vault
from controlplane.http.console import forms
from controlplane.http.console.pages.connections import OF_A_FIELD, brought
from controlplane.http.console.pages.leases import Out, named, out
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound, Refusal
from controlplane.kit.secret import Secret

ROWS: Final = 50
READS: Final = 10
LATEST: Final = 10
"""Disclosures; the rest is at the API and in the audit log."""


class Turn(Struct, frozen=True, kw_only=True):
    to: Literal["disabled", "enabled"]


class Shown(Struct, frozen=True):
    """A disclosure with the names of both."""

    row: Disclosure
    state: disclosures.State
    asked: Account | None
    agreed: Account | None


class ConnectionPage(Struct, frozen=True, kw_only=True):
    now: datetime
    connection: Connection
    provider: Provider | None
    """None: the catalogue has it no more."""
    app: str | None
    project: Project | None
    history: list[Entry]
    older: str | None
    revocation: Revocation | None
    leases: Out
    reads: list[Read]
    """The newest, refused ones too."""
    readers: dict[UUID, str]
    """Names of the runtimes that asked."""
    disclosures: list[Shown]
    """Newest first, as many as are of interest."""


async def page(
    screen: NamedDependency[Screen],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
    before: FromQuery[str | None] = None,
    leases: FromQuery[Literal["active", "ended", "revoked"]] = "active",
) -> Response[str]:
    return await screen.show(one_page(vault, connection, before, leases))


async def confirm(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
) -> Response[Any]:
    """Say that it is the right account."""
    try:
        async with screen.inside() as tx:
            person_id = screen.view.person.account_id
            made = await confirming.confirm(tx, actor, identity("con", connection), person_id=person_id)
    except NotFound:
        raise
    except Refusal as problem:
        return await screen.show(one_page(vault, connection), problem)
    return await screen.show(one_page(vault, text_id("con", made.id)))


async def turn(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
) -> Response[Any]:
    """Disable or enable it."""
    wanted = await forms.read(request, Turn)

    async def work(tx: TenantTx) -> None:
        change = leaving.disable if wanted.to == "disabled" else leaving.enable
        await change(tx, actor, identity("con", connection))

    return await screen.act(work, f"/connections/{connection}", one_page(vault, connection))


async def replace(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    vault: NamedDependency[Vault],
    connection: FromPath[str],
) -> Response[Any]:
    """Put another credential into its place."""
    fields = {name: Secret(value) for name, value in (await brought(request, OF_A_FIELD)).items()}

    async def work(tx: TenantTx) -> None:
        its = await connections.get(tx, identity("con", connection))
        await statics.replace(tx, actor, vault.provider(its.provider), its.id, fields)

    return await screen.act(work, f"/connections/{connection}", one_page(vault, connection))


async def delete(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    connection: FromPath[str],
) -> Response[Any]:
    """Destroy what is kept for it, and have the provider told."""

    async def work(tx: TenantTx) -> None:
        await leaving.delete(tx, actor, identity("con", connection))

    return await screen.act(work, f"/connections/{connection}")


async def _gather(tx: Reading, vault: Vault, connection: str, before: str | None, leases: State) -> ConnectionPage:
    own = within(tx)
    its = await connections.get(own, identity("con", connection))
    rows = await histories.listing(own, its.id, after=identity("evt", before) if before else None, limit=ROWS + 1)
    asked = await reads.listing(own, None, its.id, limit=READS)
    return ConnectionPage(
        now=tx.now,
        connection=its,
        provider=vault.catalogue.find(its.provider),
        app=await _app(own, its),
        project=await projects.get(own, its.project_id) if its.project_id else None,
        history=rows[:ROWS],
        older=text_id("evt", rows[ROWS - 1].id) if len(rows) > ROWS else None,
        revocation=await revocations.of_connection(own, its.id),
        leases=await out(own, Which(connection_id=its.id), leases),
        reads=asked,
        readers=await named(own, t.runtimes, [read.runtime_id for read in asked]),
        disclosures=await _disclosures(own, its),
    )


async def _disclosures(tx: TenantTx, its: Connection) -> list[Shown]:
    rows = await disclosures.listing(tx, its.id, limit=LATEST)
    known = await disclosures.accounts(tx, rows)
    return [
        Shown(
            row, row.state(tx.now), known.get(row.requested_by), known.get(row.approved_by) if row.approved_by else None
        )
        for row in rows
    ]


async def _app(tx: TenantTx, its: Connection) -> str | None:
    """The name of the app it goes through; None: through none, or that is gone."""
    app_id = its.app_id or its.platform_app_id
    if app_id is None:
        return None
    try:
        return (await starting.app_of(tx, app_id)).name
    except NotFound:
        return None


def one_page(vault: Vault, connection: str, before: str | None = None, leases: State = "active") -> Page:
    gather = partial(_gather, vault=vault, connection=connection, before=before, leases=leases)
    context = {"before": before, "which": leases}
    return Page(template="connections/one.html", parts=(), gather=gather, context=context)


SHOWS: Final = frozenset({"connection:read"})


def _hung(address: str, act: Any, takes: str = "connection:write", *, fresh: bool = True) -> HTTPRouteHandler:
    return post(address, status_code=200, opt=rule(Surface.CONSOLE, takes, SHOWS, fresh=fresh))(act)


HANDLERS: Final[Sequence[HTTPRouteHandler]] = (
    get("/connections/{connection:str}", opt=rule(Surface.CONSOLE, "connection:read"))(page),
    _hung("/connections/{connection:str}/confirm", confirm, "connection:connect", fresh=False),
    _hung("/connections/{connection:str}/turn", turn),
    _hung("/connections/{connection:str}/replace", replace),
    _hung("/connections/{connection:str}/delete", delete),
)
"""Where this page hangs, below a tenant."""
