"""API keys: whose each is, what it is narrowed to, when it was used; making, rotating and revoking them."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain import api_keys, handing_on
from controlplane.domain.api_keys import Key, Wanted
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.keys import Keyring
from controlplane.domain.newest import Reading
from controlplane.domain.permissions import held_by
from controlplane.http.console import forms
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal

MOST: Final = 200

OWNERS: Final = text("""
    SELECT k.id, coalesce(u.email_norm, s.name) AS owner
    FROM api_keys k
    LEFT JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
    LEFT JOIN service_accounts s ON s.tenant_id = k.tenant_id AND s.id = k.service_account_id
    WHERE k.tenant_id = :tenant_id AND k.id = ANY (CAST(:keys AS uuid[]))
""")


class KeysPage(Struct, frozen=True, kw_only=True):
    now: datetime
    keys: list[Key]
    owners: dict[Any, str]
    scopes: list[str]
    """What one's own key can be narrowed to."""
    made: Key | None
    secret: str | None
    """Of *made*; shown this once."""


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a key."""

    name: Annotated[str, Meta(max_length=100)] = ""
    service_account: Annotated[str, Meta(max_length=40)] | None = None
    """None: one's own."""
    scope: list[str] = []
    networks: Annotated[str, Meta(max_length=3000)] = ""
    days: Annotated[int, Meta(ge=1, le=3660)] = api_keys.LIFETIME.days


class NameMissing(Refusal):
    code, status, title = "api-key-name-missing", 400, "A key has a name"
    hint = "Say what it is for: that is how one finds it again."


class _Owner(Struct, frozen=True):
    id: Any
    owner: str


async def gather(tx: Reading, screen: Screen, made: tuple[Key, str] | None = None) -> KeysPage:
    own = within(tx)
    found = await api_keys.listing(own, after=None, limit=MOST)
    owners = await own.query(_Owner, OWNERS, tenant_id=own.tenant_id, keys=[key.id for key in found])
    return KeysPage(
        now=own.now,
        keys=found,
        owners={row.id: row.owner for row in owners},
        scopes=sorted(held_by(screen.view.person)),
        made=made[0] if made else None,
        secret=made[1] if made else None,
    )


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_page(screen))


async def make(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
) -> Response[Any]:
    """Make a key of one's own, or of a service account, and show its secret."""
    filled = await forms.read(request, Filled)
    try:
        async with screen.inside() as tx:
            made = await _make(tx, screen, actor, keyring, filled)
    except Refusal as problem:
        return await screen.show(_page(screen, filled), problem)
    return await screen.show(_page(screen, made=made))


async def rotate(
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
    key: FromPath[str],
) -> Response[Any]:
    """A new key that can do the same; the old one works for another day."""
    try:
        async with screen.inside() as tx:
            old = await api_keys.get(tx, identity("key", key))
            await handing_on.key(tx, screen.view.person, old.owner, old.scopes)
            made = await api_keys.rotate(tx, actor, keyring.pepper, old)
    except Refusal as problem:
        return await screen.show(_page(screen), problem)
    return await screen.show(_page(screen, made=made))


async def revoke(screen: NamedDependency[Screen], actor: NamedDependency[Actor], key: FromPath[str]) -> Response[Any]:
    """End it now."""

    async def work(tx: TenantTx) -> None:
        await api_keys.revoke(tx, actor, identity("key", key))

    return await screen.act(work, "/keys", _page(screen))


async def _make(tx: TenantTx, screen: Screen, actor: Actor, keyring: Keyring, filled: Filled) -> tuple[Key, str]:
    if not filled.name.strip():
        raise NameMissing
    if filled.service_account is None:
        owner = handing_on.oneself(screen.view.person)
    else:
        owner = Holder("service-account", identity("sa", filled.service_account))
    wanted = Wanted(
        name=filled.name.strip(),
        owner=owner,
        lifetime=timedelta(days=filled.days),
        scopes=filled.scope or None,
        networks=filled.networks.replace(",", " ").split(),
    )
    await handing_on.key(tx, screen.view.person, owner, wanted.scopes)
    return await api_keys.create(tx, actor, keyring.pepper, wanted)


def _page(screen: Screen, filled: Filled = Filled(), made: tuple[Key, str] | None = None) -> Page:  # noqa: B008 frozen
    context = {"filled": filled, "text_id": text_id}
    return Page(
        template="access/keys.html", parts=(), gather=partial(gather, screen=screen, made=made), context=context
    )
