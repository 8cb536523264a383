"""Who could use a connection: every runtime of the tenant, asked of the policies, with the one that decided."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.vault import connections, deciding, policies
from controlplane.domain.vault.connections import Connection
from controlplane.domain.vault.deciding import MODES, Asking, Decision, Mode, Rule, Wanted
from controlplane.kit.ids import ProjectId, RuntimeId, text_id
from controlplane.kit.problems import NotFound


class Runtime(Struct, frozen=True):
    id: RuntimeId
    name: str
    project_id: ProjectId
    labels: dict[str, Any]
    revoked_at: datetime | None


class Access(Struct, frozen=True, kw_only=True):
    """Of one runtime, for one agent of it."""

    runtime: Runtime
    agent: str | None
    """As some policy names it, ``*`` included; None: any that no policy names."""
    modes: dict[Mode, Decision]


async def access(
    tx: TenantTx, connection_id: UUID, *, after: UUID | None = None, limit: int
) -> tuple[list[Runtime], list[Access]]:
    """A page of runtimes, the one that joined last first, and what each could do whenever and for whichever purpose.

    Raises:
        NotFound: If this tenant has no such connection.
    """
    connection = await connections.get(tx, connection_id)
    rules = (await policies.rules(tx)).rules
    wanted = tx.select(t.runtimes).where(t.runtimes.c.revoked_at.is_(None))
    if after is not None:
        wanted = wanted.where(t.runtimes.c.id < after)
    found = await tx.all(Runtime, wanted.order_by(t.runtimes.c.id.desc()).limit(limit))
    return found, [each for runtime in found for each in _of(runtime, rules, wanted_of(connection))]


async def tried(
    tx: TenantTx, connection_id: UUID, runtime_id: UUID, *, agent: str = "", purpose: str = ""
) -> dict[Mode, Decision]:
    """What a runtime would be answered now: nothing is asked of anybody, and nothing is handed out or written down.

    Raises:
        NotFound: If this tenant has no such connection, or no such runtime that is let in.
    """
    connection = await connections.get(tx, connection_id)
    mine = tx.select(t.runtimes).where(t.runtimes.c.id == runtime_id, t.runtimes.c.revoked_at.is_(None))
    runtime = await tx.first(Runtime, mine)
    if runtime is None:
        raise NotFound
    rules = (await policies.rules(tx)).rules
    asking = asking_of(runtime, agent, purpose)
    return {mode: deciding.decide(rules, asking, wanted_of(connection), mode, tx.now) for mode in MODES}


def wanted_of(connection: Connection) -> Wanted:
    return Wanted(
        connection=text_id("con", connection.id),
        provider=connection.provider,
        project=text_id("prj", connection.project_id) if connection.project_id else None,
        owner=connection.owner_ref,
        labels=connection.labels,
        scopes=connection.granted_scopes,
    )


def asking_of(runtime: Runtime, agent: str, purpose: str | None) -> Asking:
    return Asking(
        runtime=text_id("rt", runtime.id),
        project=text_id("prj", runtime.project_id),
        labels=runtime.labels,
        agent=agent,
        purpose=purpose,
    )


def _of(runtime: Runtime, rules: Sequence[Rule], wanted: Wanted) -> list[Access]:
    """For any agent, and for each that a policy names, where that makes a difference."""
    agents: list[str | None] = [None, *sorted({name for rule in rules for name in rule.subject.agents})]
    found: list[Access] = []
    for agent in agents:
        asking = asking_of(runtime, agent or "", None)
        modes: dict[Mode, Decision] = {mode: deciding.decide(rules, asking, wanted, mode, None) for mode in MODES}
        if not found or modes != found[0].modes:
            found.append(Access(runtime=runtime, agent=agent, modes=modes))
    return found
