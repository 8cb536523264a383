"""Looks again whether domains still carry their record. No transaction is open while the DNS is asked."""

from controlplane.db.database import Database
from controlplane.domain import domains
from controlplane.kit.problems import NotFound
from controlplane.kit.txt_records import NotAnswered, TxtRecords


async def check_domains(db: Database, records: TxtRecords) -> int:
    """Look at every verified domain that is due, and return how many were. Works inside one tenant at a time."""
    async with db.operator() as across:
        late = await domains.due(across)
    looked = 0
    for each in late:
        try:
            found = await records.at(f"{domains.RECORD}.{each.name}")
        except NotAnswered:
            found = None
        try:
            async with db.tenant(each.tenant_id) as tx:
                await domains.settle(tx, domains.CHORE, each.id, found)
        except (NotFound, domains.DomainTaken):
            continue  # deleted meanwhile
        looked += 1
    return looked
