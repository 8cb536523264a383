"""Ending many at once: after a theft, or with an app. Some at a time, so that whoever asks sees how far it is."""

from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, func

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.vault import connections, leaving
from controlplane.domain.vault.connections import GONE, SERVED
from controlplane.kit.ids import ConnectionId, text_id

How: TypeAlias = Literal["revoke", "needs_reauth"]
"""``revoke``: destroyed here, and the provider is told. ``needs_reauth``: nothing is leased until a person has connected
the account anew, which keeps the id; what was typed in or is minted wants no person, and stays."""

AT_ONCE: Final = 100
"""In one transaction, which holds the row of each."""


class Which(Struct, frozen=True, kw_only=True):
    """Connections that have all of this in common; nothing said: all of the tenant."""

    provider: str | None = None
    app_id: UUID | None = None
    """The tenant's app, or the platform's."""

    def facts(self) -> dict[str, Any]:
        """For the audit log."""
        app = {"app": text_id("app", self.app_id)} if self.app_id is not None else {}
        return {**app, **({"provider": self.provider} if self.provider is not None else {})}


class Progress(Struct, frozen=True, kw_only=True):
    done: int
    left: int


async def end(tx: TenantTx, actor: Actor, which: Which, how: How, reason: str) -> Progress:
    """End up to :data:`AT_ONCE` of them, the oldest first. To be done again until nothing is left.

    Args:
        reason: For people, and for the history of each.
    """
    of_them = _conditions(which, how)
    wanted = tx.select(t.connections).where(*of_them).order_by(t.connections.c.id).limit(AT_ONCE)
    found = await tx.all(_Id, wanted)
    for each in found:
        if how == "revoke":
            await leaving.delete(tx, actor, each.id, reason)
        else:
            await connections.needs_reauth(tx, actor, each.id, reason)
    left = await tx.scalar(tx.select(t.connections).with_only_columns(func.count()).where(*of_them))
    progress = Progress(done=len(found), left=left)
    if found:
        facts = {"how": how, "connections": progress.done, "left": progress.left, **which.facts()}
        audit.record(tx, actor, "connections.ended", ("tenant", text_id("ten", tx.tenant_id)), **facts)
    return progress


def _conditions(which: Which, how: How) -> list[ColumnElement[bool]]:
    its = t.connections.c
    kinds: list[ColumnElement[bool]] = [its.state.not_in(sorted(GONE)), its.replaces_id.is_(None)]
    if how == "needs_reauth":
        kinds = [its.state.in_(sorted(SERVED)), its.auth == "oauth2"]
    if which.provider is not None:
        kinds.append(its.provider == which.provider)
    if which.app_id is not None:
        kinds.append(func.coalesce(its.app_id, its.platform_app_id) == which.app_id)
    return kinds


class _Id(Struct, frozen=True):
    id: ConnectionId
