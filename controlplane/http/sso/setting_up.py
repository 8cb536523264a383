"""Setting a connection up, for the API and for the console alike: what may be set, and whether the provider fits."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain import handing_on
from controlplane.domain.grants import owns
from controlplane.domain.permissions import Person, Principal
from controlplane.domain.sso.connections import NewConnection
from controlplane.domain.sso.identities import TOO_MUCH
from controlplane.http.demanded_factors import FACTORS
from controlplane.kit.guard import AddressRefused, Guard
from controlplane.kit.ids import TenantId
from controlplane.kit.openid.discovery import Providers, ProviderUnusable
from controlplane.kit.openid.exchange import ClientAuth
from controlplane.kit.problems import Refusal

DOCUMENT: Final = "discovery document"
KEYS: Final = "signing keys"


class RoleTooMuch(Refusal):
    code, status, title = "sso-role-too-much", 400, "Nobody becomes this just by coming in"
    hint = "Choose a role that neither owns the tenant nor manages single sign-on."


class WayBackMissing(Refusal):
    """Whoever shuts the other doors stands inside, or has a key to the one that stays."""

    code, status, title = "sso-way-back-missing", 409, "You would lock yourself out"
    hint = (
        "Come in by the provider first. Or, as an owner, add an authenticator app or a passkey under My account and "
        "prove who you are with it: an owner with two factors enters even when the provider is out of order."
    )


class Step(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    passed: bool
    detail: str


async def check(tx: TenantTx, guard: Guard, principal: Principal, new: NewConnection) -> None:
    """
    Raises:
        AddressRefused: If the issuer's address must not be called.
        UnknownRole, NotYours, RoleTooMuch: If *principal* cannot hand this role on to everybody.
    """
    guard.check(new.issuer)
    if new.default_role is not None:
        await check_role(tx, principal, new.default_role)


async def check_role(tx: TenantTx, principal: Principal, role: str) -> None:
    """
    Raises:
        UnknownRole, NotYours, RoleTooMuch: If *principal* cannot hand this role on to everybody.
    """
    if (await handing_on.role(tx, principal, role)).permissions & TOO_MUCH:
        raise RoleTooMuch


def check_way_back(principal: Principal, tenant_id: TenantId) -> None:
    """A machine does not sign in, and is not asked.

    Raises:
        WayBackMissing: If single sign-on as the only way in would shut out who asks for it: neither has the provider
            let them in, nor may they break the glass.
    """
    if not isinstance(principal, Person) or tenant_id in principal.entries:
        return
    if not owns(principal.grants) or principal.auth_level < FACTORS:
        raise WayBackMissing


async def examine(providers: Providers, issuer: str, client_auth: ClientAuth) -> list[Step]:
    """What can be found out without a person: does it answer, is it who it should be, does it fit."""
    try:
        metadata = await providers.metadata(issuer, anew=True)
    except (ProviderUnusable, AddressRefused) as refusal:
        return [Step(name=DOCUMENT, passed=False, detail=refusal.detail or refusal.title)]
    steps = [Step(name=DOCUMENT, passed=True, detail=metadata.authorization_endpoint)]
    try:
        keys = await providers.keys(metadata, unknown=True)
        steps.append(
            Step(name=KEYS, passed=True, detail=f"{len(list(keys))}, signing with {_list(metadata.algorithms)}")
        )
    except (ProviderUnusable, AddressRefused) as refusal:
        steps.append(Step(name=KEYS, passed=False, detail=refusal.detail or refusal.title))
    ways = metadata.token_endpoint_auth_methods_supported
    fits = client_auth in ways
    steps.append(
        Step(name="client authentication", passed=fits, detail=client_auth if fits else f"it takes {_list(ways)}")
    )
    pkce = (
        "S256"
        if metadata.code_challenge_methods_supported
        else "S256 is sent; the provider does not say whether it looks"
    )
    steps.append(Step(name="PKCE", passed=True, detail=pkce))
    told = (
        "announced" if metadata.backchannel_logout_supported else "not announced: sessions end here after twelve hours"
    )
    steps.append(Step(name="back-channel logout", passed=True, detail=told))
    return steps


def _list(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
