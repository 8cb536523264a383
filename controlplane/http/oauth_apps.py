"""OAuth apps as they are set up, changed and shown, by tenants and by operators alike."""

import re
from typing import Annotated, Any, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from controlplane.domain.vault.apps import App, Change, NewApp, State
from controlplane.domain.vault.provider import ID as PROVIDER_ID
from controlplane.domain.vault.sealed import Proof
from controlplane.http.connecting.desk import Vault
from controlplane.http.instants import Moment, moment
from controlplane.http.problems import Invalid
from controlplane.kit.guard import LONGEST_URL
from controlplane.kit.ids import text_id
from controlplane.kit.oauth.dialect import ClientAuth
from controlplane.kit.secret import Secret

ProviderName: TypeAlias = Annotated[str, Meta(pattern=PROVIDER_ID)]
AppName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\u0000]*$")]
ClientId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$")]
ClientSecret: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4_000, pattern=r"^[^\u0000]*$")]
PrivateKey: TypeAlias = Annotated[str, Meta(min_length=1, max_length=20_000, pattern=r"^[^\u0000]*$")]
KeyId: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"^[^\u0000]*$")]
Named: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Value: TypeAlias = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[^\u0000]*$")]
Address: TypeAlias = Annotated[str, Meta(min_length=8, max_length=LONGEST_URL)]
Scope: TypeAlias = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
Scopes: TypeAlias = Annotated[list[Scope], Meta(max_length=200)]
Variables: TypeAlias = Annotated[dict[Named, Value], Meta(max_length=20)]
Overrides: TypeAlias = Annotated[dict[Named, Address], Meta(max_length=20)]

PROOF: Final = ("client_secret", "private_key")


class NewSharedApp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An app of the platform. Its addresses are the catalogue's, always: its secret goes where no tenant says."""

    provider: ProviderName
    """In the catalogue. It never changes."""
    name: AppName
    client_id: ClientId
    client_secret: ClientSecret | None = None
    """Without it and without a key the client is public. It is shown nowhere, ever."""
    private_key: PrivateKey | None = None
    """As PEM, for providers that take one. It is shown nowhere, ever."""
    key_id: KeyId = ""
    client_auth: ClientAuth | None = None
    """How it says at the token endpoint who it is; null: as the catalogue says."""
    variables: Variables = {}
    """What the provider's addresses leave open, such as a subdomain, where it is the same for all connections."""
    scopes: Scopes = []
    """What is asked for unless somebody asks for something else."""


class SharedAppChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; the rest stays. Secret and key are one: what is left out beside the other is gone."""

    name: AppName | UnsetType = UNSET
    client_id: ClientId | UnsetType = UNSET
    client_secret: ClientSecret | UnsetType | None = UNSET
    private_key: PrivateKey | UnsetType | None = UNSET
    key_id: KeyId | UnsetType = UNSET
    client_auth: ClientAuth | UnsetType | None = UNSET
    variables: Variables | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET


class OAuthAppView(Struct, frozen=True, kw_only=True):
    """Never its secret, nor its key."""

    id: str
    provider: str
    name: str
    shared: bool
    """The platform's, for every tenant."""
    client_id: str
    has_proof: bool
    """Whether there is a secret or a key."""
    key_id: str
    client_auth: ClientAuth | None
    variables: dict[str, str]
    overrides: dict[str, str]
    scopes: list[str]
    redirect_uri: str
    """To be registered at the provider; another one for every app."""
    state: State
    """`broken`: the provider does not take its credentials. Nothing is refreshed through it until they are changed."""
    state_reason: str
    created_by: str
    created_at: Moment
    changed_at: Moment


def new_app(data: NewSharedApp) -> NewApp:
    """What the room takes."""
    given = {name: value for name, value in asdict(data).items() if name not in PROOF}
    return NewApp(proof=_proof(data.client_secret, data.private_key), **given)


def change_of(data: SharedAppChange) -> Change:
    given: dict[str, Any] = {name: value for name, value in asdict(data).items() if name not in PROOF}
    if data.client_secret is not UNSET or data.private_key is not UNSET:
        given["proof"] = _proof(data.client_secret or None, data.private_key or None)
    return Change(**given)


def _proof(secret: str | None, key: str | None) -> Proof:
    return Proof(secret=Secret(secret) if secret else None, key=Secret(key) if key else None)


def app_view(app: App, vault: Vault) -> OAuthAppView:
    return OAuthAppView(
        id=text_id("app", app.id),
        provider=app.provider,
        name=app.name,
        shared=app.is_platform,
        client_id=app.client_id,
        has_proof=app.secret_version > 0,
        key_id=app.key_id,
        client_auth=app.client_auth,
        variables=app.variables,
        overrides=app.overrides,
        scopes=app.scopes,
        redirect_uri=vault.redirect_uri(app.id),
        state=app.state,
        state_reason=app.state_reason,
        created_by=app.created_by,
        created_at=moment(app.created_at),
        changed_at=moment(app.changed_at),
    )


def provider_name(given: str | None) -> str | None:
    """What the query parameter ``provider`` asks for.

    Raises:
        Invalid: If no provider can be called that.
    """
    if given is not None and not re.fullmatch(PROVIDER_ID, given):
        raise Invalid(
            [{"in": "query", "name": "provider", "detail": "expected the id of a provider, as google is one"}]
        )
    return given
