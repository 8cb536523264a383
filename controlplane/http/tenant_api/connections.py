"""/v1/tenants/{tenant}/connections: the tenant's accounts elsewhere. Secrets go in, and come out nowhere here."""

from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, replace

from controlplane.db.database import Database, TenantTx
from controlplane.domain import newest, projects
from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Person
from controlplane.domain.vault import confirming, connections, histories, leaving, statics
from controlplane.domain.vault.asking import Minting
from controlplane.domain.vault.connections import Auth, Change, Connection, Filters, State
from controlplane.domain.vault.histories import Entry
from controlplane.domain.vault.refreshing import Refresher
from controlplane.domain.vault.statics import NewStatic
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting.desk import Vault
from controlplane.http.instants import Moment, moment
from controlplane.http.oauth_apps import Named, ProviderName, Variables, provider_name
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.tenant_api import filters as narrowing
from controlplane.http.words import word
from controlplane.kit.guard import LONGEST_URL, Guard
from controlplane.kit.ids import text_id
from controlplane.kit.secret import Secret

ConnectionName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\u0000]*$")]
Reference: TypeAlias = Annotated[str, Meta(min_length=1, max_length=63)]
OwnerRef: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"^[^\u0000]*$")]
Label: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._/-]{0,62}$")]
Labels: TypeAlias = Annotated[
    dict[Label, Annotated[str, Meta(max_length=63, pattern=r"^[^\u0000]*$")]], Meta(max_length=20)
]
FieldValue: TypeAlias = Annotated[str, Meta(min_length=1, max_length=statics.MOST_CHARACTERS, pattern=r"^[^\u0000]*$")]
Fields: TypeAlias = Annotated[dict[Named, FieldValue], Meta(max_length=statics.MOST_FIELDS)]
Header: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,60}$")]
Template: TypeAlias = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x20-\x7e]+$")]


class NewStaticConnection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key, a name and password, a bearer token, a secret: whatever somebody types in."""

    provider: ProviderName
    """Of the kind ``static`` in the catalogue: one in particular, or ``generic-api-key``, ``generic-basic``,
    ``generic-bearer``, ``generic-custom``, ``secret``."""
    name: ConnectionName
    fields: Fields
    """What the catalogue says it consists of. They are shown nowhere, ever."""
    project: Reference | None = None
    """Slug or id; null: for every project of the tenant."""
    owner_ref: OwnerRef = ""
    """Whose it is, in your own words: the id of an end user."""
    labels: Labels = {}
    account_name: Annotated[str, Meta(max_length=200, pattern=r"^[^\u0000]*$")] = ""
    variables: Variables = {}
    """Which of the provider's places it is for, where the catalogue has several: Datadog's ``site``."""
    api_base: Annotated[str, Meta(max_length=LONGEST_URL)] = ""
    """Where it is used, for what is no provider in particular."""
    headers: Annotated[dict[Header, Template], Meta(max_length=20)] = {}
    """How requests carry it, with fields between braces, for what is no provider in particular."""


class Replacement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fields: Fields


class ConnectionChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays."""

    name: ConnectionName | UnsetType = UNSET
    project: Reference | UnsetType | None = UNSET
    owner_ref: OwnerRef | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET


class Disabling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(max_length=200, pattern=r"^[^\u0000]*$")] = ""


class ConnectionConfirmation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    owner_ref: OwnerRef = ""
    """For which end user, as the connect session named them. A person who has begun it leaves it out."""


class AccountView(Struct, frozen=True, kw_only=True):
    key: str | None
    """What it is called at the provider and stays; null: the provider does not say."""
    name: str
    email: str


class ScopesView(Struct, frozen=True, kw_only=True):
    requested: list[str]
    granted: list[str]
    missing: list[str]
    """Asked for and not granted: people can leave single ones out."""


class FailingView(Struct, frozen=True, kw_only=True):
    kind: str | None
    count: int
    """Of this kind, one after the other."""


class MintingView(Struct, frozen=True, kw_only=True):
    """What the app asks for by itself, beside scopes; empty: what the provider gives without being asked."""

    subject: str
    audience: str
    repositories: list[str]
    permissions: dict[str, str]


class ConnectionView(Struct, frozen=True, kw_only=True):
    """Never what opens the account."""

    id: str
    provider: str
    auth: Auth
    name: str
    project: str | None
    owner_ref: str
    labels: dict[str, str]
    app: str | None
    """Through which OAuth app; null: it was typed in."""
    account: AccountView
    scopes: ScopesView
    facts: dict[str, Any]
    """What the provider said beside the tokens."""
    minting: MintingView | None
    """Null: no app gets its tokens by itself."""
    state: State
    state_reason: str
    state_since: Moment
    confirm_until: Moment | None
    """Until when somebody has to confirm it; then it is taken back."""
    replaces: str | None
    """What it takes the place of, once it is confirmed."""
    cred_version: int
    expires_at: Moment | None
    """Of what is leased; null: it does not expire, or nobody knows. Over, where an app has not asked yet for another."""
    refresh_expires_at: Moment | None
    failing: FailingView
    """Why the next token was not to be had the last time; null and 0: it was."""
    next_refresh_at: Moment | None
    """When the next token is got, or tried for again, without anybody asking; null: not before somebody sees to it."""
    refreshed_at: Moment | None
    last_used_at: Moment | None
    created_by: str
    created_at: Moment
    changed_at: Moment


class HistoryView(Struct, frozen=True, kw_only=True):
    type: str
    actor: str
    cred_version: int
    facts: dict[str, Any]
    occurred_at: Moment


def provide_filters(
    provider: FromQuery[str | None] = None,
    only: Annotated[State | None, QueryParameter(name="state")] = None,
    app: FromQuery[str | None] = None,
    owner_ref: FromQuery[str | None] = None,
    label: Annotated[list[str] | None, QueryParameter(name="label", description="``name=value``; all of them.")] = None,
) -> Filters:
    """
    Raises:
        Invalid: If *app* is no id, or another is no :func:`word`.
    """
    labels = [word("label", each) or "" for each in label or []]
    return Filters(
        provider=provider_name(provider),
        state=only,
        app_id=narrowing.identity("app", "app", app),
        owner_ref=word("owner_ref", owner_ref),
        labels=dict(each.partition("=")[::2] for each in labels),
    )


class ConnectionsController(Controller):
    path = "/connections"
    tags = ("connections",)

    @get(
        "/",
        opt=rule(Surface.TENANT, "connection:read"),
        dependencies={"filters": Provide(provide_filters, sync_to_thread=False)},
    )
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        filters: NamedDependency[Filters],
        project: FromQuery[str | None] = None,
    ) -> Page[ConnectionView]:
        """Connections, newest first. Those that are gone only with ``state=deleted`` or ``state=revoking``."""
        if (meant := word("project", project)) is not None:
            filters = replace(filters, project_ids=await newest.project_ids(tx, meant))
        rows = await connections.listing(tx, filters, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, connection_view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "connection:write", fresh=True))
    async def create(
        self,
        data: JSONBody[NewStaticConnection],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
        guard: NamedDependency[Guard],
    ) -> ConnectionView:
        """Put a credential in. Accounts that are connected in a browser begin at ``connect-sessions``."""
        if data.api_base:
            guard.check(data.api_base)
        project = await projects.named(tx, data.project) if data.project is not None else None
        given = {name: value for name, value in asdict(data).items() if name not in ("provider", "project", "fields")}
        new = NewStatic(fields=_secrets(data.fields), project_id=project.id if project else None, **given)
        return connection_view(await statics.create(tx, actor, vault.provider(data.provider), new))

    @get("/{connection:str}", opt=rule(Surface.TENANT, "connection:read"))
    async def show(self, tx: NamedDependency[TenantTx], connection: FromPath[str]) -> ConnectionView:
        """One connection: whose account it is, how it stands, and never what opens it."""
        return connection_view(await connections.get(tx, identity("con", connection)))

    @patch("/{connection:str}", opt=rule(Surface.TENANT, "connection:write", fresh=True))
    async def change(
        self,
        data: JSONBody[ConnectionChange],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        connection: FromPath[str],
    ) -> ConnectionView:
        """Name or label it anew, or give it to another project. Policies look at labels and projects."""
        given = {name: value for name, value in asdict(data).items() if name != "project"}
        if not isinstance(data.project, UnsetType):
            given["project_id"] = (await projects.named(tx, data.project)).id if data.project is not None else None
        return connection_view(await connections.change(tx, actor, identity("con", connection), Change(**given)))

    @delete("/{connection:str}", opt=rule(Surface.TENANT, "connection:write", fresh=True))
    async def delete(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], connection: FromPath[str]
    ) -> None:
        """Destroy what is kept for it, at once, and have the provider told. Its history says when the provider was."""
        await leaving.delete(tx, actor, identity("con", connection))

    @post("/{connection:str}/replace", status_code=200, opt=rule(Surface.TENANT, "connection:write", fresh=True))
    async def replace(
        self,
        data: JSONBody[Replacement],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        vault: NamedDependency[Vault],
        connection: FromPath[str],
    ) -> ConnectionView:
        """Put another credential into its place, as the next version. Accounts are connected anew instead."""
        its = await connections.get(tx, identity("con", connection))
        provider = vault.provider(its.provider)
        return connection_view(await statics.replace(tx, actor, provider, its.id, _secrets(data.fields)))

    @post("/{connection:str}/disable", status_code=200, opt=rule(Surface.TENANT, "connection:write", fresh=True))
    async def disable(
        self,
        data: JSONBody[Disabling],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        connection: FromPath[str],
    ) -> ConnectionView:
        """Lease nothing of it from now on, until it is enabled again."""
        return connection_view(await leaving.disable(tx, actor, identity("con", connection), data.reason))

    @post("/{connection:str}/enable", status_code=200, opt=rule(Surface.TENANT, "connection:write", fresh=True))
    async def enable(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], connection: FromPath[str]
    ) -> ConnectionView:
        """Lease from it again."""
        return connection_view(await leaving.enable(tx, actor, identity("con", connection)))

    @post("/{connection:str}/refresh", status_code=200, opt=rule(Surface.TENANT, "connection:write"))
    async def refresh(
        self,
        request: AnyRequest,
        db: NamedDependency[Database],
        refresher: NamedDependency[Refresher],
        actor: NamedDependency[Actor],
        connection: FromPath[str],
    ) -> ConnectionView:
        """Get the next token now, although it has failed lately. Nothing is asked if there was one in the last minute.

        The answer comes when the provider has answered, or after some seconds: then it goes on without whoever waits.
        """
        tenant_id, connection_id = request.state.tenant_id, identity("con", connection)
        async with db.tenant(tenant_id) as tx:
            await connections.asked(tx, actor, connection_id)
        await refresher.refresh(tenant_id, connection_id)
        async with db.tenant(tenant_id) as tx:
            return connection_view(await connections.get(tx, connection_id))

    @post("/{connection:str}/confirm", status_code=200, opt=rule(Surface.TENANT, "connection:connect"))
    async def confirm(
        self,
        data: JSONBody[ConnectionConfirmation],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        connection: FromPath[str],
    ) -> ConnectionView:
        """Say that the account that was connected is that of whoever has begun it. Until then nothing is leased of it.

        For a program: call this when the browser is back at your return URL, with the end user who is signed in there.
        """
        person_id = request.user.account_id if isinstance(request.user, Person) else None
        connection_id = identity("con", connection)
        owner_ref = data.owner_ref
        return connection_view(
            await confirming.confirm(tx, actor, connection_id, person_id=person_id, owner_ref=owner_ref)
        )

    @get("/{connection:str}/history", opt=rule(Surface.TENANT, "connection:read"))
    async def history(
        self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging], connection: FromPath[str]
    ) -> Page[HistoryView]:
        """What became of it, newest first; kept for a year. The proof is in the audit log."""
        its = await connections.get(tx, identity("con", connection))
        rows = await histories.listing(tx, its.id, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, _entry)


def _secrets(fields: dict[str, str]) -> dict[str, Secret]:
    return {name: Secret(value) for name, value in fields.items()}


def connection_view(its: Connection) -> ConnectionView:
    app_id = its.app_id or its.platform_app_id
    return ConnectionView(
        id=text_id("con", its.id),
        provider=its.provider,
        auth=its.auth,
        name=its.name,
        project=text_id("prj", its.project_id) if its.project_id else None,
        owner_ref=its.owner_ref,
        labels=its.labels,
        app=text_id("app", app_id) if app_id else None,
        account=AccountView(key=its.account_key, name=its.account_name, email=its.account_email),
        scopes=ScopesView(requested=its.requested_scopes, granted=its.granted_scopes, missing=its.missing_scopes),
        facts=its.facts,
        minting=_minting(its.minting) if its.minting is not None else None,
        state=its.state,
        state_reason=its.state_reason,
        state_since=moment(its.state_at),
        confirm_until=moment(its.confirm_until),
        replaces=text_id("con", its.replaces_id) if its.replaces_id else None,
        cred_version=its.cred_version,
        expires_at=moment(its.access_exp),
        refresh_expires_at=moment(its.refresh_exp),
        failing=FailingView(kind=its.fail_class, count=its.fail_count),
        next_refresh_at=moment(its.next_refresh_at),
        refreshed_at=moment(its.refreshed_at),
        last_used_at=moment(its.last_used_at),
        created_by=its.created_by,
        created_at=moment(its.created_at),
        changed_at=moment(its.changed_at),
    )


def _minting(minting: dict[str, Any]) -> MintingView:
    its = msgspec.convert(minting, Minting)
    return MintingView(
        subject=its.subject,
        audience=its.audience,
        repositories=list(its.repositories),
        permissions=its.permissions,
    )


def _entry(entry: Entry) -> HistoryView:
    return HistoryView(
        type=entry.type,
        actor=f"{entry.actor_kind} {entry.actor_id}".strip(),
        cred_version=entry.cred_version,
        facts=entry.facts,
        occurred_at=moment(entry.occurred_at),
    )
