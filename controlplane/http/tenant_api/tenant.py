"""/v1/tenants/{tenant} itself: its name and state, what it may use, and its end."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from controlplane.db.database import TenantTx
from controlplane.domain import tenants
from controlplane.domain.audit import Actor
from controlplane.domain.impersonation import requests
from controlplane.domain.permissions import Person
from controlplane.domain.tenants import DisclosurePolicy, ImpersonationPolicy, Tenant
from controlplane.domain.vault import disclosures, return_urls, waiting
from controlplane.http import deciding, demanded_factors
from controlplane.http.authorize import Surface, rule
from controlplane.http.principals import AnyRequest
from controlplane.http.tenant_view import LimitsView, TenantView, limits_view, tenant_view


class Settings(Struct, frozen=True, kw_only=True):
    """What a tenant decides about itself."""

    name: str
    mfa_required: bool
    """Whether its people enter with two factors only, unless by its identity provider. API keys come in as before."""
    impersonation_policy: ImpersonationPolicy
    """Whether operators of the service may work as the tenant's people: `never`, once an owner agrees (`ask`), or `allow`."""
    disclosure_policy: DisclosurePolicy
    """Whether people may read a credential in the clear: `never`, or `two_people` together."""
    unsealed_reads: bool
    """Whether runtimes' keys open `/v1/credentials`, where nothing is sealed to whoever asks. Policies decide as before."""
    return_urls: list[str]
    """Where browsers may be sent after an account was connected: exactly these addresses."""
    device_flow: bool
    """Whether accounts may be connected by a code that somebody types in on another device."""


ReturnUrl = Annotated[str, Meta(min_length=8, max_length=return_urls.MOST_CHARACTERS)]


class SettingsChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays."""

    name: Annotated[str, Meta(min_length=1, max_length=tenants.MAX_NAME)] | UnsetType = UNSET
    mfa_required: bool | UnsetType = UNSET
    """For owners, with a fresh proof. Who turns it on has shown a second factor."""
    impersonation_policy: ImpersonationPolicy | UnsetType = UNSET
    """Only owners decide this, with a fresh proof of who they are."""
    disclosure_policy: DisclosurePolicy | UnsetType = UNSET
    """Likewise."""
    unsealed_reads: bool | UnsetType = UNSET
    """For owners, with a fresh proof."""
    return_urls: list[ReturnUrl] | UnsetType = UNSET
    """All of them. https, or http for the caller's own machine; no fragment."""
    device_flow: bool | UnsetType = UNSET
    """Only owners decide this. Whoever is shown a code, and types it in, connects their account to this tenant."""


@get("/", opt=rule(Surface.TENANT, "tenant:read"), tags=["tenant"])
async def show(tx: NamedDependency[TenantTx]) -> TenantView:
    """The tenant: its name and whether it is being served."""
    return tenant_view(await tenants.get(tx))


@delete("/", status_code=202, opt=rule(Surface.TENANT, "tenant:delete", fresh=True, unserved=True), tags=["tenant"])
async def remove(
    request: Request[Any, Any, Any], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
) -> TenantView:
    """Have everything that the tenant has destroyed at `purge_at`. Until then it can be undeleted."""
    grace: timedelta = request.app.state.deletion_grace
    return tenant_view(await tenants.delete(tx, actor, grace))


@post(
    "/undelete", status_code=200, opt=rule(Surface.TENANT, "tenant:delete", fresh=True, unserved=True), tags=["tenant"]
)
async def undelete(tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]) -> TenantView:
    """Take the deletion back: the tenant is what it was before."""
    return tenant_view(await tenants.undelete(tx, actor))


@get("/limits", opt=rule(Surface.TENANT, "tenant:read"), tags=["tenant"])
async def limits(tx: NamedDependency[TenantTx]) -> LimitsView:
    """What the tenant may use, and how much of it is in use."""
    return await limits_view(tx)


@get("/settings", opt=rule(Surface.TENANT, "tenant:read"), tags=["tenant"])
async def settings(tx: NamedDependency[TenantTx]) -> Settings:
    """What the tenant has decided about itself."""
    return await _settings(tx, await tenants.get(tx))


@patch("/settings", opt=rule(Surface.TENANT, "tenant:write"), tags=["tenant"])
async def change_settings(
    data: JSONBody[SettingsChange],
    request: AnyRequest,
    tx: NamedDependency[TenantTx],
    actor: NamedDependency[Actor],
) -> Settings:
    """Decide something else; what is left out stays."""
    tenant = await tenants.get(tx)
    if not isinstance(data.mfa_required, UnsetType) and data.mfa_required != tenant.mfa_required:
        deciding.check_owner(request)
        if data.mfa_required and isinstance(request.user, Person):
            demanded_factors.check(request.user, tenant)
        tenant = await tenants.demand_second_factor(tx, actor, data.mfa_required)
    if not isinstance(data.name, UnsetType):
        tenant = await tenants.rename(tx, actor, data.name)
    tenant = await _decided_by_owners(data, request, tx, actor, tenant)
    if not isinstance(data.return_urls, UnsetType):
        await return_urls.decide(tx, actor, data.return_urls)
    return await _settings(tx, tenant)


async def _decided_by_owners(
    data: SettingsChange, request: AnyRequest, tx: TenantTx, actor: Actor, tenant: Tenant
) -> Tenant:
    """
    Raises:
        Refusal: If it is decided by somebody else, or without a fresh proof.
    """
    if not isinstance(data.impersonation_policy, UnsetType):
        deciding.check_owner(request)
        tenant = await requests.set_policy(tx, actor, data.impersonation_policy)
    if not isinstance(data.disclosure_policy, UnsetType):
        deciding.check_owner(request)
        tenant = await disclosures.set_policy(tx, actor, data.disclosure_policy)
    if not isinstance(data.unsealed_reads, UnsetType) and data.unsealed_reads != tenant.unsealed_reads:
        deciding.check_owner(request)
        tenant = await tenants.allow_unsealed_reads(tx, actor, data.unsealed_reads)
    if not isinstance(data.device_flow, UnsetType):
        deciding.check_owner(request)
        tenant = await waiting.allow(tx, actor, data.device_flow)
    return tenant


async def _settings(tx: TenantTx, tenant: Tenant) -> Settings:
    return Settings(
        name=tenant.name,
        mfa_required=tenant.mfa_required,
        impersonation_policy=tenant.impersonation_policy,
        disclosure_policy=tenant.disclosure_policy,
        unsealed_reads=tenant.unsealed_reads,
        return_urls=await return_urls.listing(tx),
        device_flow=tenant.device_flow,
    )


HANDLERS = (show, remove, undelete, limits, settings, change_settings)
