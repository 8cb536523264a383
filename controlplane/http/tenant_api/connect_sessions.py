"""/v1/tenants/{tenant}/connect-sessions: one attempt each to connect an account in a browser."""

from typing import Annotated, Any

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Person
from controlplane.domain.vault import connecting, return_urls
from controlplane.domain.vault.confirming import NotTheirs
from controlplane.domain.vault.connecting import ConnectSession, State
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import elsewhere, starting
from controlplane.http.connecting.desk import Desk, Vault
from controlplane.http.connecting.starting import Wanted
from controlplane.http.instants import Moment, moment
from controlplane.http.oauth_apps import ProviderName, Scopes, Variables
from controlplane.http.paths import identity, maybe
from controlplane.http.principals import AnyRequest
from controlplane.http.tenant_api.connections import ConnectionName, Labels, OwnerRef, Reference
from controlplane.kit.ids import ConnectSessionId, TenantId, text_id

Identity = Annotated[str, Meta(min_length=1, max_length=40)]


class NewConnectSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For a new connection say the provider, or the app; for one that is to be connected anew say which."""

    provider: ProviderName | None = None
    app: Identity | None = None
    """``app_…``; null: the only one there is for the provider, the tenant's own before the platform's."""
    connection: Identity | None = None
    """``con_…``: its account is connected anew, and it keeps its id."""
    other_account: bool = False
    """Whether it may become another account than before."""
    variables: Variables = {}
    """What the provider's addresses leave open and the app does not say."""
    scopes: Scopes | None = None
    """Null: those of the connection, or of the app."""
    name: ConnectionName | None = None
    """Null: the account's own."""
    project: Reference | None = None
    """Slug or id; null: for every project of the tenant."""
    owner_ref: OwnerRef = ""
    """The id of the end user who is to connect. A program has to say it, and to say it again when it confirms."""
    labels: Labels = {}
    return_url: Annotated[str, Meta(max_length=return_urls.MOST_CHARACTERS)] = ""
    """Where the browser goes afterwards, with `session` and `connection` or `problem` added: one of the tenant's
    return URLs, exactly."""


class ConnectSessionView(Struct, frozen=True, kw_only=True):
    id: str
    provider: str
    app: str
    connection: str | None
    """What is connected anew."""
    owner_ref: str
    scopes: list[str]
    return_url: str
    state: State
    failure: str
    """Code of what went wrong."""
    made: str | None
    """The connection that came of it, and is to be confirmed."""
    created_by: str
    created_at: Moment
    expires_at: Moment
    used_at: Moment | None


class CreatedConnectSession(ConnectSessionView, frozen=True, kw_only=True):
    url: str
    """The link for whoever is to connect: good for half an hour and for one time. Shown this once."""


class DeviceCodeView(Struct, frozen=True, kw_only=True):
    """For the person who is to consent. Show it to nobody else: whoever types it in connects their account."""

    user_code: str
    address: str
    """Where they type it in."""
    interval_s: int
    """How long to wait before asking what became of it, and again."""
    expires_at: Moment


class ConnectSessionsController(Controller):
    path = "/connect-sessions"
    tags = ("connect-sessions",)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "connection:connect"))
    async def create(
        self,
        data: JSONBody[NewConnectSession],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
        vault: NamedDependency[Vault],
    ) -> CreatedConnectSession:
        """Begin to connect an account, and get the link for whoever it belongs to.

        What comes back waits for ten minutes to be confirmed: by the same person where somebody signed in has begun
        it, else by the tenant's program for the same `owner_ref`. A link that was forwarded connects nothing.
        """
        wanted = Wanted(
            provider=data.provider or "",
            app_id=maybe("app", data.app),
            connection_id=maybe("con", data.connection),
            other_account=data.other_account,
            variables=data.variables,
            scopes=data.scopes,
            name=data.name or "",
            project=data.project,
            owner_ref=data.owner_ref,
            labels=data.labels,
            return_url=data.return_url,
        )
        new = await starting.session(tx, vault, request.user, wanted)
        session, ticket = await connecting.begin(tx, keyring.pepper, actor, new)
        return CreatedConnectSession(url=vault.link(ticket), **_facts(session))

    @get("/{connect_session:str}", opt=rule(Surface.TENANT, "connection:read"))
    async def show(self, tx: NamedDependency[TenantTx], connect_session: FromPath[str]) -> ConnectSessionView:
        """How far one attempt has got; kept for a day."""
        return ConnectSessionView(**_facts(await connecting.get(tx, identity("cns", connect_session))))

    @post("/{connect_session:str}/device", status_code=200, opt=rule(Surface.TENANT, "connection:connect"))
    async def device(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        connect_desk: NamedDependency[Desk],
        connect_session: FromPath[str],
    ) -> DeviceCodeView:
        """Get a code that the person types in on another device, instead of following the link, which is used up.

        Off unless an owner has turned `device_flow` on: a code can be shown to somebody who does not know what for.
        """
        session_id = ConnectSessionId(identity("cns", connect_session))
        tenant_id = await _theirs(connect_desk, request, session_id)
        found = await elsewhere.begin(connect_desk, actor, tenant_id, session_id)
        return DeviceCodeView(
            user_code=found.user_code,
            address=found.address,
            interval_s=found.interval_s,
            expires_at=moment(found.expires_at),
        )

    @post("/{connect_session:str}/poll", status_code=200, opt=rule(Surface.TENANT, "connection:connect"))
    async def poll(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        connect_desk: NamedDependency[Desk],
        connect_session: FromPath[str],
    ) -> ConnectSessionView:
        """Ask whether the person has consented on the other device by now. The provider is asked no more often than it
        lets us; in between the answer is `away`. What comes of it waits to be confirmed like every other."""
        session_id = ConnectSessionId(identity("cns", connect_session))
        tenant_id = await _theirs(connect_desk, request, session_id)
        return ConnectSessionView(**_facts(await elsewhere.ask(connect_desk, actor, tenant_id, session_id)))


async def _theirs(desk: Desk, request: AnyRequest, session_id: ConnectSessionId) -> TenantId:
    """
    Raises:
        NotFound: If there is no such session.
        NotTheirs: If somebody else has begun it.
    """
    tenant_id: TenantId = request.state.tenant_id
    async with desk.db.tenant(tenant_id) as tx:
        session = await connecting.get(tx, session_id)
    person_id = request.user.account_id if isinstance(request.user, Person) else None
    if session.person_id != person_id:
        raise NotTheirs
    return tenant_id


def _facts(its: ConnectSession) -> dict[str, Any]:
    app_id = its.app_id or its.platform_app_id
    assert app_id is not None, "every session goes through an app"
    return {
        "id": text_id("cns", its.id),
        "provider": its.provider,
        "app": text_id("app", app_id),
        "connection": text_id("con", its.connection_id) if its.connection_id else None,
        "owner_ref": its.owner_ref,
        "scopes": its.scopes,
        "return_url": its.return_url,
        "state": its.state,
        "failure": its.failure,
        "made": text_id("con", its.made_id) if its.made_id else None,
        "created_by": its.created_by,
        "created_at": moment(its.created_at),
        "expires_at": moment(its.expires_at),
        "used_at": moment(its.used_at),
    }
