"""Keys of one runtime that cannot sign: what it fetches credentials with, unsealed."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import runtime_keys, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.newest import Reading
from controlplane.domain.runtime_keys import RuntimeKey
from controlplane.domain.runtimes import Runtime
from controlplane.http.console import forms
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import KeyId, RuntimeId
from controlplane.kit.problems import Refusal

MOST: Final = 50


class RuntimeKeysPage(Struct, frozen=True, kw_only=True):
    now: datetime
    runtime: Runtime
    keys: list[RuntimeKey]
    """Newest first."""
    secret: str | None
    """Of the newest; shown this once."""


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a key."""

    days: Annotated[int, Meta(ge=1, le=3660)] = runtime_keys.LIFETIME.days


async def gather(tx: Reading, runtime_id: RuntimeId, secret: str | None = None) -> RuntimeKeysPage:
    """
    Raises:
        NotFound: If there is no such runtime.
    """
    own = within(tx)
    runtime = await runtimes.get(own, runtime_id)
    keys = await runtime_keys.listing(own, runtime_id, limit=MOST)
    return RuntimeKeysPage(now=own.now, runtime=runtime, keys=keys, secret=secret)


async def page(screen: NamedDependency[Screen], runtime: FromPath[str]) -> Response[str]:
    return await screen.show(_page(_runtime(runtime)))


async def make(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
    runtime: FromPath[str],
) -> Response[Any]:
    """Make a key and show it."""
    filled, runtime_id = await forms.read(request, Filled), _runtime(runtime)
    try:
        async with screen.inside() as tx:
            lifetime = timedelta(days=filled.days)
            _, secret = await runtime_keys.create(tx, actor, keyring.pepper, runtime_id, lifetime=lifetime)
    except Refusal as problem:
        return await screen.show(_page(runtime_id), problem)
    return await screen.show(_page(runtime_id, secret))


async def rotate(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
    runtime: FromPath[str],
    runtime_key: FromPath[str],
) -> Response[Any]:
    """A new key; the old one works for another day."""
    runtime_id = _runtime(runtime)
    try:
        async with screen.inside() as tx:
            key_id = await _key(tx, runtime_id, runtime_key)
            _, secret = await runtime_keys.rotate(tx, actor, keyring.pepper, key_id)
    except Refusal as problem:
        return await screen.show(_page(runtime_id), problem)
    return await screen.show(_page(runtime_id, secret))


async def revoke(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], runtime: FromPath[str], runtime_key: FromPath[str]
) -> Response[Any]:
    """From the next request on."""
    runtime_id = _runtime(runtime)

    async def work(tx: TenantTx) -> None:
        await runtime_keys.revoke(tx, actor, await _key(tx, runtime_id, runtime_key))

    return await screen.act(work, f"/runtime-keys/{runtime}", _page(runtime_id))


async def _key(tx: TenantTx, runtime_id: RuntimeId, runtime_key: str) -> KeyId:
    return (await runtime_keys.get(tx, identity("key", runtime_key), runtime_id)).id


def _runtime(runtime: str) -> RuntimeId:
    return RuntimeId(identity("rt", runtime))


def _page(runtime_id: RuntimeId, secret: str | None = None) -> Page:
    return Page(template="runtime/keys.html", parts=(), gather=partial(gather, runtime_id=runtime_id, secret=secret))
