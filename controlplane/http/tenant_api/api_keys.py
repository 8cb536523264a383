"""/v1/tenants/{tenant}/api-keys: credentials for a tenant's automation."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import api_keys, handing_on
from controlplane.domain.api_keys import Wanted
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.keys import Keyring
from controlplane.domain.permission_names import PERMISSIONS
from controlplane.http import bulk
from controlplane.http.authorize import Surface, rule
from controlplane.http.bulk import Batch, BatchResult
from controlplane.http.instants import Moment, moment
from controlplane.http.manners import plain_answer
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.http.problems import AtOdds
from controlplane.http.tenant_api import filters
from controlplane.kit.ids import text_id

Seconds = Annotated[int, Meta(ge=60, le=int(api_keys.LONGEST.total_seconds()))]
LIFETIME_S = int(api_keys.LIFETIME.total_seconds())


class NewApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key of one's own; or of a service account, or of a new one that holds *role*."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    service_account: Annotated[str, Meta(max_length=40)] | None = None
    """Its id. No more than one's own permissions can be handed on."""
    role: Annotated[str, Meta(max_length=63)] | None = None
    """Name or id: a service account with it, called like the key, is made along."""
    scopes: Annotated[list[str], Meta(max_length=len(PERMISSIONS))] | None = None
    """Permissions of the owner that it is narrowed to; null: it can do what its owner can."""
    networks: Annotated[list[Annotated[str, Meta(max_length=50)]], Meta(max_length=api_keys.MOST_NETWORKS)] = []
    """Where it may be used from, as ``203.0.113.0/24``; none: from everywhere."""
    expires_in: Seconds = LIFETIME_S
    """Seconds."""


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overlap: Annotated[int, Meta(ge=0, le=int(api_keys.LONGEST_OVERLAP.total_seconds()))] = int(
        api_keys.OVERLAP.total_seconds()
    )
    """Seconds that the old key still works."""
    expires_in: Seconds | None = None
    """Seconds that the new one works; left out, as long as the old one from its making to its end."""


class ApiKeyView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    owner: str
    """Whose it is: ``usr_…`` or ``sa_…``. It can do what they can, as long as they can."""
    scopes: list[str] | None
    networks: list[str]
    hint: str
    rotated_from: str | None
    created_by: str
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    """To the minute or so."""
    last_used_from: str | None
    revoked_at: Moment | None


class CreatedApiKey(ApiKeyView, frozen=True, kw_only=True):
    key: str
    """Shown this once."""


class ApiKeysController(Controller):
    path = "/api-keys"
    tags = ("api-keys",)

    @get("/", opt=rule(Surface.TENANT, "api-key:read"))
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        user: FromQuery[str | None] = None,
        service_account: FromQuery[str | None] = None,
    ) -> Page[ApiKeyView]:
        """API keys, newest first; revoked and expired ones included."""
        person, program = (
            filters.identity("usr", "user", user),
            filters.identity("sa", "service_account", service_account),
        )
        if person is not None and program is not None:
            raise AtOdds("user and service_account: a key has one owner")
        owner = Holder("user", person) if person else Holder("service-account", program) if program else None
        rows = await api_keys.listing(tx, after=paging.after_id, limit=paging.fetch, owner=owner)
        return paging.page(rows, lambda key: key.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "api-key:create", fresh=True))
    async def create(
        self,
        data: JSONBody[NewApiKey],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
    ) -> CreatedApiKey:
        """Make a key. Its secret is in the answer and nowhere else, ever."""
        wanted = Wanted(
            name=data.name,
            owner=await _owner(tx, actor, request, data),
            lifetime=timedelta(seconds=data.expires_in),
            scopes=data.scopes,
            networks=data.networks,
        )
        await handing_on.key(tx, request.user, wanted.owner, wanted.scopes)
        key, secret = await api_keys.create(tx, actor, keyring.pepper, wanted)
        return CreatedApiKey(key=secret, **_facts(key))

    @post("/revoke", status_code=200, opt={**rule(Surface.TENANT, "api-key:revoke", fresh=True), **plain_answer()})
    async def revoke_many(
        self, data: JSONBody[Batch], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> BatchResult:
        """Revoke many at once, each for itself or all of them or none."""
        return await bulk.each(tx, data, lambda given: api_keys.revoke(tx, actor, identity("key", given)))

    @get("/{key:str}", opt=rule(Surface.TENANT, "api-key:read"))
    async def show(self, tx: NamedDependency[TenantTx], key: FromPath[str]) -> ApiKeyView:
        """One key, without its secret."""
        return _view(await api_keys.get(tx, identity("key", key)))

    @post("/{key:str}/rotate", status_code=201, opt=rule(Surface.TENANT, "api-key:create", fresh=True))
    async def rotate(
        self,
        data: JSONBody[Rotation],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
        key: FromPath[str],
    ) -> CreatedApiKey:
        """A new key that can do the same. The old one stays for a while, so that nothing stands still."""
        old = await api_keys.get(tx, identity("key", key))
        await handing_on.key(tx, request.user, old.owner, old.scopes)
        overlap = timedelta(seconds=data.overlap)
        lifetime = None if data.expires_in is None else timedelta(seconds=data.expires_in)
        made, secret = await api_keys.rotate(tx, actor, keyring.pepper, old, overlap=overlap, lifetime=lifetime)
        return CreatedApiKey(key=secret, **_facts(made))

    @delete("/{key:str}", opt=rule(Surface.TENANT, "api-key:revoke", fresh=True))
    async def revoke(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], key: FromPath[str]) -> None:
        """Revoke a key at once. Doing it again changes nothing."""
        await api_keys.revoke(tx, actor, identity("key", key))


async def _owner(tx: TenantTx, actor: Actor, request: AnyRequest, data: NewApiKey) -> Holder:
    if data.role is not None and data.service_account is not None:
        raise AtOdds("role and service_account: the one that is named has its own roles")
    if data.role is not None:
        account = await handing_on.new_service_account(tx, actor, request.user, data.name, data.role)
        return Holder("service-account", account.id)
    if data.service_account is not None:
        return Holder("service-account", identity("sa", data.service_account))
    return handing_on.oneself(request.user)


def _view(key: api_keys.Key) -> ApiKeyView:
    return ApiKeyView(**_facts(key))


def _facts(key: api_keys.Key) -> dict[str, Any]:
    return {
        "id": text_id("key", key.id),
        "name": key.name,
        "owner": text_id("usr" if key.owner.kind == "user" else "sa", key.owner.id),
        "scopes": key.scopes,
        "networks": key.networks,
        "hint": key.hint,
        "rotated_from": None if key.rotated_from is None else text_id("key", key.rotated_from),
        "created_by": key.created_by,
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "last_used_at": moment(key.last_used_at),
        "last_used_from": key.last_used_from,
        "revoked_at": moment(key.revoked_at),
    }
