"""How long audit events are kept, and how the oldest ones go: a closed prefix, under a signed checkpoint, on record."""

from datetime import timedelta
from typing import Final

from msgspec import Struct
from sqlalchemy import BigInteger, bindparam, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.audit import checkpoints
from controlplane.domain.audit.events import PRUNED, Actor, Target
from controlplane.domain.audit.writing import record
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal

DEFAULT_DAYS: Final = 400
SHORTEST_DAYS: Final = 30

CHORE: Final = Actor(kind="chore", id="prune-audit-logs")

DELETE = text("DELETE FROM audit_events WHERE tenant_id = :tenant_id AND seq <= :through").bindparams(
    bindparam("through", type_=BigInteger)
)
DELETE_READS = text("DELETE FROM vault_reads WHERE tenant_id = :tenant_id AND sealed_by <= :through").bindparams(
    bindparam("through", type_=BigInteger)
)
"""Reads of credentials go with the events that hold the roots over them."""


class RetentionInvalid(Refusal):
    code, status, title = "audit-retention-invalid", 400, "Audit events cannot be kept that briefly"
    hint = f"{SHORTEST_DAYS} days or more."


class Retention(Struct, frozen=True):
    days: int | None = None
    """None: :data:`DEFAULT_DAYS`."""
    held: str | None = None
    """Why nothing may be deleted, whatever its age: a legal hold."""


async def retention(tx: TenantTx) -> Retention:
    return await tx.first(Retention, tx.select(t.audit_retention)) or Retention()


async def keep_for(tx: TenantTx, actor: Actor, days: int) -> None:
    """
    Raises:
        RetentionInvalid: If that is less than :data:`SHORTEST_DAYS`.
    """
    if days < SHORTEST_DAYS:
        raise RetentionInvalid
    await _change(tx, days=days)
    record(tx, actor, "audit-retention.changed", _target(tx), days=days)


async def hold(tx: TenantTx, actor: Actor, reason: str) -> None:
    """Have nothing deleted until :func:`release`. *reason* is shown to the tenant's auditors."""
    await _change(tx, held=reason)
    record(tx, actor, "audit-retention.held", _target(tx))


async def release(tx: TenantTx, actor: Actor) -> None:
    await _change(tx, held=None)
    record(tx, actor, "audit-retention.released", _target(tx))


async def prune(tx: TenantTx) -> int:
    """Delete what is older than it need be kept and return how many events that were.

    Only what a checkpoint covers goes, up to its last event. The event that says so has what verification needs to
    begin behind it: number and hash of that last event, the tree over all that went, and the checkpoint itself.
    """
    rule = await retention(tx)
    if rule.held is not None:
        return 0
    days = rule.days or DEFAULT_DAYS
    table = t.audit_checkpoints
    old_enough = tx.select(table).where(table.c.made_at <= tx.now - timedelta(days=days)).order_by(table.c.size.desc())
    covering = await tx.first(checkpoints.Stored, old_enough)
    if covering is None or covering.size <= (await checkpoints.start_of(tx)).head.seq:
        return 0
    async with tx.as_pruner():
        deleted = await tx.run(DELETE.bindparams(tenant_id=tx.tenant_id, through=covering.size))
        await tx.run(DELETE_READS.bindparams(tenant_id=tx.tenant_id, through=covering.size))
    record(
        tx,
        CHORE,
        PRUNED,
        _target(tx),
        through=covering.size,
        hash=covering.hash.hex(),
        edge=[node.hex() for node in covering.edge],
        checkpoint=covering.note,
        days=days,
    )
    return deleted


async def _change(tx: TenantTx, **changed: object) -> None:
    row = {**changed, "changed_at": tx.now}
    insert = tx.insert(t.audit_retention).values(**row)
    await tx.run(insert.on_conflict_do_update(index_elements=["tenant_id"], set_=row))


def _target(tx: TenantTx) -> Target:
    return "tenant", text_id("ten", tx.tenant_id)
