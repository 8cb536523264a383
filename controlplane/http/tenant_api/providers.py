"""/v1/tenants/{tenant}/providers: what can be connected, how, and how far what is known of it can be relied on."""

from typing import Annotated, Literal

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.provider import ID, Category, Kind, Proof, Provider, Verified, Way
from controlplane.http.authorize import Surface, rule
from controlplane.http.pages import Page, Paging
from controlplane.kit.oauth.dialect import Asking, Refreshing, Revoking


class VariableView(Struct, frozen=True, kw_only=True):
    """Something that the addresses of this provider hold, and that whoever connects says."""

    name: str
    title: str
    choices: list[str]
    """Values that it can have; empty: those of its form."""
    form: str | None
    """``label``, ``host``, ``shop`` and so on; null: the choices are all."""
    default: str | None
    """Null: it has to be given."""
    open: bool
    """With another value than the default, the tenant's own app is needed."""


class FieldView(Struct, frozen=True, kw_only=True):
    """Something that whoever connects types in."""

    name: str
    title: str
    secret: bool


class RefreshView(Struct, frozen=True, kw_only=True):
    by: Literal["refresh_token", "access_token", "minting", "nothing"]
    rotates: Literal["always", "sometimes", "never", "unknown"]
    replay: Literal["stable", "grace", "until_used", "strict", "unknown"]
    """What happens when a used refresh token is sent again; what is unknown is taken as strict."""
    grace_s: int | None
    kills_access_after_s: int | None
    """Seconds after a refresh at which tokens that were leased before it die; null: they live on."""
    idle_days: int | None
    longest_days: int | None


class VerifiedView(Struct, frozen=True, kw_only=True):
    """``doc``: read in the provider's documentation; ``cross``: two sources agree; ``recall``: to be tried first."""

    endpoints: Proof
    behavior: Proof
    lookup: Proof
    on: str
    """Year and month."""
    note: str


class ProviderView(Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(pattern=ID, examples=["google"])]
    name: str
    kind: Kind
    category: Category
    covers: list[str]
    verified: VerifiedView
    variables: list[VariableView]
    fields: list[FieldView]
    mints: list[Way]
    """How an app of the tenant's gets tokens there without a person: `POST …/connections/minted`."""
    own_app: bool
    """It is connected through an app of the tenant's, which brings the addresses."""
    scopes: Literal["asked", "unknown"]
    """``unknown``: the provider has no scopes to ask for."""
    scopes_required: list[str]
    pkce: Literal["required", "used", "unproved", "off"]
    lifetime_s: int | None
    """Of an access token, where the provider does not say another; null: it does not end, or nobody knows."""
    refresh: RefreshView
    revocation: Literal["grant", "token", "installation"] | None
    """What disconnecting ends at the provider; null: the person removes the app there."""
    api_hosts: list[str]
    narrows: str | None
    """How a token for less can be had."""
    notes: list[str]


class ProvidersController(Controller):
    path = "/providers"
    tags = ("providers",)
    opt = rule(Surface.TENANT, "provider:read")

    @get("/")
    async def listing(
        self,
        catalogue: NamedDependency[Catalogue],
        paging: NamedDependency[Paging],
        category: Annotated[Category | None, QueryParameter(description="Only those of one kind of service.")] = None,
    ) -> Page[ProviderView]:
        """Providers that can be connected, by id."""
        rows = [each for each in catalogue.listing() if category in (None, each.category)]
        rows = [each for each in rows if paging.after is None or each.id > paging.after]
        return paging.page(rows[: paging.fetch], lambda provider: provider.id, _view)

    @get("/{provider:str}")
    async def show(self, catalogue: NamedDependency[Catalogue], provider: FromPath[str]) -> ProviderView:
        """One provider: what it takes to connect it, and what is worth knowing."""
        return _view(catalogue.get(provider))


def _view(provider: Provider) -> ProviderView:
    asking: Asking = provider.dialect.asking
    revoking: Revoking | None = provider.dialect.revoking
    return ProviderView(
        id=provider.id,
        name=provider.name,
        kind=provider.kind,
        category=provider.category,
        covers=list(provider.covers),
        verified=_verified(provider.verified),
        variables=[
            VariableView(
                name=name,
                title=each.title,
                choices=list(each.choices),
                form=each.shape,
                default=each.default,
                open=each.open,
            )
            for name, each in provider.variables.items()
        ],
        fields=[FieldView(name=name, title=each.title, secret=each.secret) for name, each in provider.fields.items()],
        mints=list(provider.mints),
        own_app=provider.own_urls and provider.kind != "static",
        scopes=asking.scopes,
        scopes_required=list(asking.scopes_required),
        pkce=asking.pkce,
        lifetime_s=provider.dialect.answers.lifetime_s,
        refresh=_refresh(provider.dialect.refreshing),
        revocation=revoking.ends if revoking else None,
        api_hosts=list(provider.api.hosts),
        narrows=provider.narrows,
        notes=list(provider.notes),
    )


def _refresh(refreshing: Refreshing) -> RefreshView:
    return RefreshView(
        by=refreshing.by,
        rotates=refreshing.rotates,
        replay=refreshing.replay,
        grace_s=refreshing.grace_s,
        kills_access_after_s=refreshing.kills_access_after_s,
        idle_days=refreshing.idle_days,
        longest_days=refreshing.longest_days,
    )


def _verified(verified: Verified) -> VerifiedView:
    return VerifiedView(
        endpoints=verified.endpoints,
        behavior=verified.behavior,
        lookup=verified.lookup,
        on=verified.on,
        note=verified.note,
    )
