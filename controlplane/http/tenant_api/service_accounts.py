"""/v1/tenants/{tenant}/service-accounts: programs that hold roles and keys."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import api_keys, handing_on, holdings, service_accounts
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.service_accounts import ServiceAccount, Status
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.tenant_api.holding import HeldView, held_view
from controlplane.kit.ids import text_id

Name = Annotated[str, Meta(min_length=1, max_length=service_accounts.MAX_NAME)]
Description = Annotated[str, Meta(max_length=500)]


class NewServiceAccount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    description: Description = ""


class ServiceAccountChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not given stays."""

    name: Name | None = None
    description: Description | None = None
    status: Status | None = None
    """The keys of a disabled one open nothing."""


class ServiceAccountView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str
    status: Status
    created_by: str
    created_at: Moment


class ServiceAccountsController(Controller):
    path = "/service-accounts"
    tags = ("service-accounts",)

    @get("/", opt=rule(Surface.TENANT, "service-account:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ServiceAccountView]:
        """Service accounts, newest first."""
        rows = await service_accounts.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda account: account.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "service-account:write", fresh=True))
    async def create(
        self, data: JSONBody[NewServiceAccount], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> ServiceAccountView:
        """Make one. It can do nothing until it is given a role."""
        return _view(await service_accounts.create(tx, actor, data.name, data.description))

    @get("/{service_account:str}", opt=rule(Surface.TENANT, "service-account:read"))
    async def show(self, tx: NamedDependency[TenantTx], service_account: FromPath[str]) -> ServiceAccountView:
        """One of them."""
        return _view(await service_accounts.get(tx, identity("sa", service_account)))

    @get("/{service_account:str}/permissions", opt=rule(Surface.TENANT, "role:read"))
    async def permissions(self, tx: NamedDependency[TenantTx], service_account: FromPath[str]) -> list[HeldView]:
        """What it may do, and why."""
        account = await service_accounts.get(tx, identity("sa", service_account))
        return held_view(await holdings.of(tx, Holder("service-account", account.id)))

    @patch("/{service_account:str}", opt=rule(Surface.TENANT, "service-account:write", fresh=True))
    async def change(
        self,
        data: JSONBody[ServiceAccountChange],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        service_account: FromPath[str],
    ) -> ServiceAccountView:
        """Change it. The keys of a disabled one open nothing from the next call on."""
        account_id = identity("sa", service_account)
        await handing_on.take_from(tx, request.user, Holder("service-account", account_id))
        changed = await service_accounts.change(
            tx, actor, account_id, name=data.name, description=data.description, status=data.status
        )
        return _view(changed)

    @delete("/{service_account:str}", opt=rule(Surface.TENANT, "service-account:write", fresh=True))
    async def remove(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        service_account: FromPath[str],
    ) -> None:
        """Delete it with its keys, which open nothing from the next call on."""
        account_id = identity("sa", service_account)
        await handing_on.take_from(tx, request.user, Holder("service-account", account_id))
        await api_keys.delete_service_account(tx, actor, account_id)


def _view(account: ServiceAccount) -> ServiceAccountView:
    return ServiceAccountView(
        id=text_id("sa", account.id),
        name=account.name,
        description=account.description,
        status=account.status,
        created_by=account.created_by,
        created_at=moment(account.created_at),
    )
