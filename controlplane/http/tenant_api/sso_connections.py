"""/v1/tenants/{tenant}/sso-connections: which identity provider lets the tenant's people in."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from controlplane.db.database import Database, TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.sso import connections
from controlplane.domain.sso.connections import (
    Change,
    ClientId,
    ClientSecret,
    Connection,
    Issuer,
    Name,
    NewConnection,
    Status,
)
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.sso import setting_up
from controlplane.http.sso.desk import SignOn
from controlplane.http.sso.setting_up import Step
from controlplane.kit.guard import Guard
from controlplane.kit.ids import text_id
from controlplane.kit.openid.exchange import ClientAuth
from controlplane.kit.secret import Secret

DefaultRole = Annotated[str, Meta(max_length=60)]


class NewSsoConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    issuer: Issuer
    """Exactly as the provider's discovery document names it. It never changes."""
    client_id: ClientId
    client_secret: ClientSecret
    client_auth: ClientAuth = "client_secret_basic"
    default_role: DefaultRole | None = None
    """What somebody new becomes; null: nobody new comes in this way. No more than one's own permissions."""
    trusts_addresses: bool = False
    """Whether addresses of the tenant's domains count as verified where the provider does not say: Entra never does."""


class SsoConnectionChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; the rest stays. Client and secret have to be tested again."""

    name: Name | UnsetType = UNSET
    client_id: ClientId | UnsetType = UNSET
    client_secret: ClientSecret | UnsetType = UNSET
    client_auth: ClientAuth | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    """``disabled`` ends every session that came from it."""
    enforced: bool | UnsetType = UNSET
    """Whether the tenant is entered this way only."""
    default_role: DefaultRole | UnsetType | None = UNSET
    trusts_addresses: bool | UnsetType = UNSET


class SsoConnectionView(Struct, frozen=True, kw_only=True):
    """Never its secret."""

    id: str
    name: str
    issuer: str
    client_id: str
    client_auth: ClientAuth
    status: Status
    enforced: bool
    default_role: str | None
    trusts_addresses: bool
    redirect_uri: str
    """To be registered at the provider."""
    backchannel_logout_uri: str
    """To be registered at the provider, where it knows back-channel logout."""
    created_by: str
    created_at: Moment
    changed_at: Moment
    tested_at: Moment | None
    """When somebody last came back from it as it is set now."""


class TestStep(Struct, frozen=True, kw_only=True):
    step: str
    passed: bool
    detail: str


class SsoTestAnswer(Struct, frozen=True, kw_only=True):
    passed: bool
    steps: list[TestStep]


class SsoConnectionsController(Controller):
    path = "/sso-connections"
    tags = ("sso-connections",)

    @get("/", opt=rule(Surface.TENANT, "sso:read"))
    async def listing(
        self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging], sign_on: NamedDependency[SignOn]
    ) -> Page[SsoConnectionView]:
        """Connections to identity providers, newest first."""
        rows = await connections.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, lambda row: _view(row, sign_on))

    @post("/", status_code=201, opt=rule(Surface.TENANT, "sso:manage", fresh=True))
    async def create(
        self,
        data: JSONBody[NewSsoConnection],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        sign_on: NamedDependency[SignOn],
        guard: NamedDependency[Guard],
    ) -> SsoConnectionView:
        """Set up a connection. It lets nobody in before it was tested and made active."""
        new = NewConnection(**(asdict(data) | {"client_secret": Secret(data.client_secret)}))
        await setting_up.check(tx, guard, request.user, new)
        return _view(await connections.create(tx, actor, new), sign_on)

    @get("/{connection:str}", opt=rule(Surface.TENANT, "sso:read"))
    async def show(
        self, tx: NamedDependency[TenantTx], sign_on: NamedDependency[SignOn], connection: FromPath[str]
    ) -> SsoConnectionView:
        """One connection, without its secret."""
        return _view(await connections.get(tx, identity("sso", connection)), sign_on)

    @patch("/{connection:str}", opt=rule(Surface.TENANT, "sso:manage", fresh=True))
    async def change(
        self,
        data: JSONBody[SsoConnectionChange],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        sign_on: NamedDependency[SignOn],
        connection: FromPath[str],
    ) -> SsoConnectionView:
        """Change, activate, disable or enforce a connection."""
        if isinstance(data.default_role, str):
            await setting_up.check_role(tx, request.user, data.default_role)
        if data.enforced is True:
            setting_up.check_way_back(request.user, tx.tenant_id)
        given = asdict(data)
        if isinstance(data.client_secret, str):
            given["client_secret"] = Secret(data.client_secret)
        changed = await connections.change(tx, actor, identity("sso", connection), Change(**given))
        return _view(changed, sign_on)

    @delete("/{connection:str}", opt=rule(Surface.TENANT, "sso:manage", fresh=True))
    async def remove(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], connection: FromPath[str]
    ) -> None:
        """Forget a connection, who is who there, and every session that came from it."""
        await connections.delete(tx, actor, identity("sso", connection))

    @post("/{connection:str}/test", status_code=200, opt=rule(Surface.TENANT, "sso:manage"))
    async def test(
        self,
        request: AnyRequest,
        db: NamedDependency[Database],
        sign_on: NamedDependency[SignOn],
        connection: FromPath[str],
    ) -> SsoTestAnswer:
        """Ask the provider for what can be asked without a person. A sign-in as a test begins in the console."""
        async with db.tenant(request.state.tenant_id) as tx:
            wanted = await connections.get(tx, identity("sso", connection))
        steps = await setting_up.examine(sign_on.providers, wanted.issuer, wanted.client_auth)
        shown = [_step(each) for each in steps]
        return SsoTestAnswer(passed=all(each.passed for each in shown), steps=shown)


def _step(step: Step) -> TestStep:
    return TestStep(step=step.name, passed=step.passed, detail=step.detail)


def _view(connection: Connection, sign_on: SignOn) -> SsoConnectionView:
    return SsoConnectionView(
        id=text_id("sso", connection.id),
        name=connection.name,
        issuer=connection.issuer,
        client_id=connection.client_id,
        client_auth=connection.client_auth,
        status=connection.status,
        enforced=connection.enforced,
        default_role=connection.default_role,
        trusts_addresses=connection.trusts_addresses,
        redirect_uri=sign_on.redirect_uri,
        backchannel_logout_uri=sign_on.backchannel_logout_uri(connection.id),
        created_by=connection.created_by,
        created_at=moment(connection.created_at),
        changed_at=moment(connection.changed_at),
        tested_at=moment(connection.tested_at),
    )
