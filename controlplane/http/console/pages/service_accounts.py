"""Service accounts: programs that hold roles and keys."""

from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import api_keys, handing_on, service_accounts
from controlplane.domain.api_keys import Key
from controlplane.domain.audit import Actor
from controlplane.domain.holdings import Holder
from controlplane.domain.newest import Reading
from controlplane.domain.service_accounts import ServiceAccount, Status
from controlplane.http.console import forms
from controlplane.http.console.pages.held import Held, Offer, held_by, offer
from controlplane.http.console.render import Page
from controlplane.http.console.screen import Screen, within
from controlplane.http.paths import identity

MOST: Final = 200


class Programs(Struct, frozen=True, kw_only=True):
    accounts: list[ServiceAccount]


class ProgramPage(Struct, frozen=True, kw_only=True):
    account: ServiceAccount
    held: list[Held]
    keys: list[Key]
    offer: Offer


class Filled(Struct, frozen=True, kw_only=True):
    """The form of a service account."""

    name: Annotated[str, Meta(max_length=service_accounts.MAX_NAME)] = ""
    description: Annotated[str, Meta(max_length=500)] = ""


class Turned(Struct, frozen=True, kw_only=True):
    status: Status


async def gather(tx: Reading) -> Programs:
    return Programs(accounts=await service_accounts.listing(within(tx), after=None, limit=MOST))


async def gather_one(tx: Reading, account_id: UUID) -> ProgramPage:
    own = within(tx)
    account = await service_accounts.get(own, account_id)
    return ProgramPage(
        account=account,
        held=await held_by(own, holder_id=account.id),
        keys=await api_keys.listing(own, after=None, limit=MOST, owner=Holder("service-account", account.id)),
        offer=await offer(own),
    )


async def page(screen: NamedDependency[Screen]) -> Response[str]:
    return await screen.show(_all())


async def one(screen: NamedDependency[Screen], account: FromPath[str]) -> Response[str]:
    return await screen.show(_one(account))


async def make(
    request: Request[Any, Any, Any], screen: NamedDependency[Screen], actor: NamedDependency[Actor]
) -> Response[Any]:
    """Make one that can do nothing yet."""
    filled = await forms.read(request, Filled)

    async def work(tx: TenantTx) -> None:
        await service_accounts.create(tx, actor, filled.name, filled.description)

    return await screen.act(work, "/service-accounts", _all(filled))


async def turn(
    request: Request[Any, Any, Any],
    screen: NamedDependency[Screen],
    actor: NamedDependency[Actor],
    account: FromPath[str],
) -> Response[Any]:
    """Disable it, or let it in again."""
    filled, account_id = await forms.read(request, Turned), identity("sa", account)

    async def work(tx: TenantTx) -> None:
        await handing_on.take_from(tx, screen.view.person, Holder("service-account", account_id))
        await service_accounts.change(tx, actor, account_id, status=filled.status)

    return await screen.act(work, f"/service-accounts/{account}", _one(account))


async def delete(
    screen: NamedDependency[Screen], actor: NamedDependency[Actor], account: FromPath[str]
) -> Response[Any]:
    """Delete it with its keys."""
    account_id = identity("sa", account)

    async def work(tx: TenantTx) -> None:
        await handing_on.take_from(tx, screen.view.person, Holder("service-account", account_id))
        await api_keys.delete_service_account(tx, actor, account_id)

    return await screen.act(work, "/service-accounts", _one(account))


def _all(filled: Filled = Filled()) -> Page:  # noqa: B008 frozen
    return Page(template="access/service_accounts.html", parts=(), gather=gather, context={"filled": filled})


def _one(account: str) -> Page:
    gathering = partial(gather_one, account_id=identity("sa", account))
    return Page(template="access/service_account.html", parts=(), gather=gathering)
