"""From the hash of an API key to who uses it, and what that may do at this moment."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Final

import msgspec
from msgspec import Struct

from controlplane.db.database import inside
from controlplane.domain import holdings
from controlplane.domain.permissions import ApiKey
from controlplane.domain.tenants import Tenant
from controlplane.kit.ids import KeyId, ServiceAccountId, UserId
from controlplane.kit.problems import Refusal


class KeyUnknown(Refusal):
    code, status, title = "api-key-unknown", 401, "This is not a key of ours"
    hint = "Check that the whole key was copied. Tenant API keys begin with ec_sk_."

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class KeyExpired(KeyUnknown):
    code, title = "api-key-expired", "This key has expired"
    hint = "Make a new one."


class KeyRevoked(KeyUnknown):
    code, title = "api-key-revoked", "This key has been revoked"
    hint = "Make a new one, if you still may."


class OwnerDisabled(KeyUnknown):
    code, title = "api-key-owner-disabled", "Whoever this key belongs to has been deactivated"
    hint = "Ask somebody who administers the tenant."


class AddressRefused(Refusal):
    code, status, title = "api-key-address", 403, "This key may not be used from here"
    hint = "Use it from one of its networks, or ask for a key that has yours."


class Found(Struct, frozen=True, kw_only=True):
    """A key as it is kept, with its owner and what they hold."""

    id: KeyId
    user_id: UserId | None
    service_account_id: ServiceAccountId | None
    scopes: list[str] | None
    networks: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    owner_status: str
    tenant: str
    grants: str


def principal(found: Sequence[Found], now: datetime, address: str) -> ApiKey:
    """Who uses the key, and what they may do now.

    Args:
        found: What :data:`WHOSE` says of the key's hash.
        address: Where it is used from.

    Raises:
        KeyUnknown, KeyExpired, KeyRevoked, OwnerDisabled: If it opens nothing.
        AddressRefused: If it may not be used from there.
    """
    if not found:
        raise KeyUnknown
    [key] = found
    if key.revoked_at is not None:
        raise KeyRevoked
    if key.expires_at is not None and key.expires_at <= now:
        raise KeyExpired
    if key.owner_status != "active":
        raise OwnerDisabled
    if key.networks and not _is_within(address, key.networks):
        raise AddressRefused
    return ApiKey(
        id=key.id,
        tenant=msgspec.json.decode(key.tenant, type=Tenant),
        grants=holdings.grants_from(holdings.decoded(key.grants), key.scopes),
        user_id=key.user_id,
        service_account_id=key.service_account_id,
    )


WHOSE: Final = inside(
    ", ".join(Found.__struct_fields__),
    holdings.with_grants("""
    SELECT h.id, h.user_id, h.service_account_id, h.scopes, h.networks, h.expires_at, h.revoked_at,
        coalesce(u.status, s.status) AS owner_status, CAST(to_json(t) AS text) AS tenant,
        CAST(g.grants AS text) AS grants
    FROM api_keys h
    JOIN tenants t ON t.tenant_id = h.tenant_id
    LEFT JOIN users u ON u.tenant_id = h.tenant_id AND u.id = h.user_id
    LEFT JOIN service_accounts s ON s.tenant_id = h.tenant_id AND s.id = h.service_account_id
    CROSS JOIN LATERAL ({grants}) g
    WHERE h.tenant_id = entered.tenant_id AND h.key_hash = $2
    """),
)
"""For :meth:`Database.glance`: asked at every request, so it is one statement and no transaction."""


def _is_within(address: str, networks: Sequence[str]) -> bool:
    try:
        here = ip_address(address)
    except ValueError:  # a socket without an address
        return False
    here = getattr(here, "ipv4_mapped", None) or here
    return any(here in ip_network(network) for network in networks)
