"""Writing events: with what they tell, last before the commit, behind a lock on the tenant's number."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain.events.catalogue import Act, Doer, Party, catalogue
from controlplane.kit.ids import new_id

APPEND: Final = text("""
    WITH head AS (
        INSERT INTO event_heads AS h (tenant_id, seq, pruned) VALUES (CAST(:tenant_id AS uuid), :number, 0)
        ON CONFLICT (tenant_id) DO UPDATE SET seq = h.seq + excluded.seq
        RETURNING seq
    )
    INSERT INTO events (tenant_id, seq, id, type, occurred_at, data)
    SELECT CAST(:tenant_id AS uuid), head.seq - :number + e.place, e.id, e.type, CAST(:now AS timestamptz), e.data
    FROM head, jsonb_to_recordset(CAST(:rows AS jsonb)) AS e(place bigint, id uuid, type text, data jsonb)
""")
"""The head stays locked until the commit, so whoever sees a number has seen all that are smaller."""

LAST: Final = 1
"""After the audit chain's head: whoever takes both locks takes them in this order."""


def tell(tx: TenantTx, name: str, data: Struct) -> None:
    """Have an event written when *tx* commits.

    Args:
        name: A type of the catalogue.
        data: An instance of that type's ``data``.
    """
    its = catalogue()[name]
    assert isinstance(data, its.data), f"{name} tells of {its.data.__name__}"
    if not tx.told:
        tx.before_commit(lambda: _append(tx), order=LAST)
    tx.told.append({"place": len(tx.told) + 1, "id": new_id(tx.now), "type": name, "data": data})


def acted(
    tx: TenantTx, name: str, actor: Doer, target: tuple[str, str], facts: Mapping[str, object], request: str
) -> None:
    """Tell of an act that goes into the audit log, if the catalogue has a type of that name.

    Args:
        target: Kind and id.
        facts: Of the audit event; those that the type names are told.
        request: Id of the request that it was done in.
    """
    its = catalogue().get(name)
    if its is None or not issubclass(its.data, Act):
        return
    told: dict[str, Any] = {fact: facts[fact] for fact in its.facts if fact in facts}
    told |= {"actor": actor, "object": Party(kind=target[0], id=target[1])}
    tell(tx, name, its.data(request_id=request, **told))


async def _append(tx: TenantTx) -> None:
    rows = msgspec.json.encode(tx.told).decode()
    await tx.load(APPEND, number=len(tx.told), now=tx.now, rows=rows)
