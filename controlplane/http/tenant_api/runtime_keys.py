"""/v1/tenants/{tenant}/runtimes/{runtime}/keys: what a runtime that cannot sign comes in with."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import runtime_keys
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.runtime_keys import RuntimeKey
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.kit.ids import RuntimeId, text_id

Lifetime = Annotated[int, Meta(ge=60, le=int(runtime_keys.LONGEST.total_seconds()))]


class NewRuntimeKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    expires_in: Lifetime = int(runtime_keys.LIFETIME.total_seconds())
    """Seconds."""


class RuntimeKeyRotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overlap: Annotated[int, Meta(ge=0, le=int(runtime_keys.LONGEST_OVERLAP.total_seconds()))] = int(
        runtime_keys.OVERLAP.total_seconds()
    )
    """Seconds that the old key still works."""
    expires_in: Lifetime = int(runtime_keys.LIFETIME.total_seconds())
    """Seconds that the new one works."""


class RuntimeKeyView(Struct, frozen=True, kw_only=True):
    id: str
    runtime: str
    hint: str
    rotated_from: str | None
    created_by: str
    created_at: Moment
    expires_at: Moment
    last_used_at: Moment | None
    """To the minute."""
    revoked_at: Moment | None


class CreatedRuntimeKey(RuntimeKeyView, frozen=True, kw_only=True):
    key: str
    """Shown this once."""


class RuntimeKeysController(Controller):
    path = "/runtimes/{runtime:str}/keys"
    tags = ("runtimes",)

    @get("/", opt=rule(Surface.TENANT, "runtime-key:read"))
    async def listing(
        self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging], runtime: FromPath[str]
    ) -> Page[RuntimeKeyView]:
        """Keys of one runtime, newest first; those that open nothing any more included."""
        rows = await runtime_keys.listing(tx, _runtime(runtime), after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda key: key.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "runtime-key:create", fresh=True))
    async def create(
        self,
        data: JSONBody[NewRuntimeKey],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
        runtime: FromPath[str],
    ) -> CreatedRuntimeKey:
        """Let a runtime have credentials without sealing, where the tenant's `unsealed_reads` does. The secret is in the
        answer and nowhere else, ever."""
        lifetime = timedelta(seconds=data.expires_in)
        key, secret = await runtime_keys.create(tx, actor, keyring.pepper, _runtime(runtime), lifetime=lifetime)
        return CreatedRuntimeKey(key=secret, **_facts(key))

    @get("/{runtime_key:str}", opt=rule(Surface.TENANT, "runtime-key:read"))
    async def show(
        self, tx: NamedDependency[TenantTx], runtime: FromPath[str], runtime_key: FromPath[str]
    ) -> RuntimeKeyView:
        """One key, without its secret."""
        return _view(await _key(tx, runtime, runtime_key))

    @post("/{runtime_key:str}/rotate", status_code=201, opt=rule(Surface.TENANT, "runtime-key:create", fresh=True))
    async def rotate(
        self,
        data: JSONBody[RuntimeKeyRotation],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
        runtime: FromPath[str],
        runtime_key: FromPath[str],
    ) -> CreatedRuntimeKey:
        """A new key of the same runtime; the old one still works for a while. Two work at the same time at most."""
        old = await _key(tx, runtime, runtime_key)
        overlap, lifetime = timedelta(seconds=data.overlap), timedelta(seconds=data.expires_in)
        made, secret = await runtime_keys.rotate(tx, actor, keyring.pepper, old.id, overlap=overlap, lifetime=lifetime)
        return CreatedRuntimeKey(key=secret, **_facts(made))

    @delete("/{runtime_key:str}", opt=rule(Surface.TENANT, "runtime-key:revoke", fresh=True))
    async def revoke(
        self,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        runtime: FromPath[str],
        runtime_key: FromPath[str],
    ) -> None:
        """It opens nothing from the next request on. Doing it again changes nothing."""
        await runtime_keys.revoke(tx, actor, (await _key(tx, runtime, runtime_key)).id)


def _runtime(runtime: str) -> RuntimeId:
    return RuntimeId(identity("rt", runtime))


async def _key(tx: TenantTx, runtime: str, runtime_key: str) -> RuntimeKey:
    return await runtime_keys.get(tx, identity("key", runtime_key), _runtime(runtime))


def _view(key: RuntimeKey) -> RuntimeKeyView:
    return RuntimeKeyView(**_facts(key))


def _facts(key: RuntimeKey) -> dict[str, Any]:
    return {
        "id": text_id("key", key.id),
        "runtime": text_id("rt", key.runtime_id),
        "hint": key.hint,
        "rotated_from": None if key.rotated_from is None else text_id("key", key.rotated_from),
        "created_by": key.created_by,
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "last_used_at": moment(key.last_used_at),
        "revoked_at": moment(key.revoked_at),
    }
