"""A look at the DNS for a domain's record, for the API and for the console alike. No transaction is open meanwhile."""

from uuid import UUID

from controlplane.db.database import Database
from controlplane.domain import domains
from controlplane.domain.audit import Actor
from controlplane.domain.domains import Domain
from controlplane.kit.ids import TenantId
from controlplane.kit.txt_records import NotAnswered, TxtRecords


async def domain(db: Database, records: TxtRecords, actor: Actor, tenant_id: TenantId, domain_id: UUID) -> Domain:
    """Look, write down what was found, and return the domain as it is now.

    Raises:
        NotFound: If the tenant has no such domain.
        DomainTaken: If the record is right, and another tenant has the domain.
    """
    async with db.tenant(tenant_id) as tx:
        wanted = await domains.get(tx, domain_id)
    try:
        found = await records.at(wanted.record)
    except NotAnswered:
        found = None
    async with db.tenant(tenant_id) as tx:
        return await domains.settle(tx, actor, domain_id, found)
