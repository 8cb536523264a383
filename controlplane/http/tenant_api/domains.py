"""/v1/tenants/{tenant}/domains: which mail domains are the tenant's, by proof."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database, TenantTx
from controlplane.domain import domains
from controlplane.domain.audit import Actor
from controlplane.domain.domains import Domain, Finding, Status
from controlplane.http import looking_up
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.sso.desk import SignOn
from controlplane.kit.ids import text_id


class NewDomain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=253)]
    """As in addresses after the @."""


class TxtRecord(Struct, frozen=True, kw_only=True):
    """What has to stand in the DNS, as long as the domain is to be the tenant's."""

    name: str
    type: str
    value: str


class DomainView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    status: Status
    """``lapsed``: it was verified, and its record is gone."""
    record: TxtRecord
    finding: Finding
    """What the last look at the DNS found."""
    created_by: str
    created_at: Moment
    verified_at: Moment | None
    checked_at: Moment | None


class DomainsController(Controller):
    path = "/domains"
    tags = ("domains",)

    @get("/", opt=rule(Surface.TENANT, "domain:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[DomainView]:
        """The tenant's mail domains, newest first."""
        rows = await domains.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "domain:manage", fresh=True))
    async def create(
        self, data: JSONBody[NewDomain], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> DomainView:
        """Claim a domain. It counts once its record is in the DNS and `verify` has found it."""
        return _view(await domains.create(tx, actor, data.name))

    @get("/{domain:str}", opt=rule(Surface.TENANT, "domain:read"))
    async def show(self, tx: NamedDependency[TenantTx], domain: FromPath[str]) -> DomainView:
        """One domain."""
        return _view(await domains.get(tx, identity("dom", domain)))

    @post("/{domain:str}/verify", status_code=200, opt=rule(Surface.TENANT, "domain:manage", fresh=True))
    async def verify(
        self,
        request: AnyRequest,
        db: NamedDependency[Database],
        sign_on: NamedDependency[SignOn],
        actor: NamedDependency[Actor],
        domain: FromPath[str],
    ) -> DomainView:
        """Look for the record in the DNS now. `finding` says what was found; records take a while to be seen everywhere."""
        tenant_id = request.state.tenant_id
        return _view(await looking_up.domain(db, sign_on.records, actor, tenant_id, identity("dom", domain)))

    @delete("/{domain:str}", opt=rule(Surface.TENANT, "domain:manage", fresh=True))
    async def remove(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], domain: FromPath[str]) -> None:
        """Let the domain go. Nobody is connected by an address of it any more; who is connected stays."""
        await domains.delete(tx, actor, identity("dom", domain))


def _view(domain: Domain) -> DomainView:
    return DomainView(
        id=text_id("dom", domain.id),
        name=domain.name,
        status=domain.status,
        record=TxtRecord(name=domain.record, type="TXT", value=domain.value),
        finding=domain.finding,
        created_by=domain.created_by,
        created_at=moment(domain.created_at),
        verified_at=moment(domain.verified_at),
        checked_at=moment(domain.checked_at),
    )
