"""/v1/tenants/{tenant}/api-keys: credentials for a tenant's automation."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import api_keys
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Role, check_may_grant
from controlplane.http import bulk
from controlplane.http.authorize import Surface, rule
from controlplane.http.bulk import Batch, BatchResult
from controlplane.http.instants import Moment, moment
from controlplane.http.manners import plain_answer
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.kit.ids import text_id


class NewApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    role: Role = api_keys.DEFAULT_ROLE
    """No more than one's own permissions can be handed on."""
    expires_in: Annotated[int, Meta(ge=60, le=int(api_keys.LONGEST.total_seconds()))] = int(
        api_keys.LIFETIME.total_seconds()
    )
    """Seconds."""


class ApiKeyView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    role: str
    hint: str
    created_by: str
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    revoked_at: Moment | None


class CreatedApiKey(ApiKeyView, frozen=True, kw_only=True):
    key: str
    """Shown this once."""


class ApiKeysController(Controller):
    path = "/api-keys"
    tags = ("api-keys",)

    @get("/", opt=rule(Surface.TENANT, "api-key:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ApiKeyView]:
        """API keys, newest first; revoked and expired ones included."""
        rows = await api_keys.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda key: key.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "api-key:create"))
    async def create(
        self,
        data: JSONBody[NewApiKey],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
    ) -> CreatedApiKey:
        """Make a key. Its secret is in the answer and nowhere else, ever."""
        check_may_grant(request.user, data.role)
        lifetime = timedelta(seconds=data.expires_in)
        key, secret = await api_keys.create(tx, actor, keyring.pepper, data.name, role=data.role, lifetime=lifetime)
        return CreatedApiKey(key=secret, **_facts(key))

    @post("/revoke", status_code=200, opt={**rule(Surface.TENANT, "api-key:revoke"), **plain_answer()})
    async def revoke_many(
        self, data: JSONBody[Batch], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> BatchResult:
        """Revoke many at once, each for itself or all of them or none."""
        return await bulk.each(tx, data, lambda given: api_keys.revoke(tx, actor, identity("key", given)))

    @get("/{key:str}", opt=rule(Surface.TENANT, "api-key:read"))
    async def show(self, tx: NamedDependency[TenantTx], key: FromPath[str]) -> ApiKeyView:
        """One key, without its secret."""
        return _view(await api_keys.get(tx, identity("key", key)))

    @delete("/{key:str}", opt=rule(Surface.TENANT, "api-key:revoke"))
    async def revoke(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], key: FromPath[str]) -> None:
        """Revoke a key at once. Doing it again changes nothing."""
        await api_keys.revoke(tx, actor, identity("key", key))


def _view(key: api_keys.Key) -> ApiKeyView:
    return ApiKeyView(**_facts(key))


def _facts(key: api_keys.Key) -> dict[str, Any]:
    return {
        "id": text_id("key", key.id),
        "name": key.name,
        "role": key.role,
        "hint": key.hint,
        "created_by": key.created_by,
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "last_used_at": moment(key.last_used_at),
        "revoked_at": moment(key.revoked_at),
    }
