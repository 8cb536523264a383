"""How many requests a tenant's API takes: buckets for the tenant and for each caller, told in every answer.

The headers are those of draft-ietf-httpapi-ratelimit-headers: ``RateLimit-Policy: "tenant";q=600;w=60`` and
``RateLimit: "tenant";r=512;t=12``. It is a draft still.
"""

import math
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

from litestar.connection import ASGIConnection
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import quotas
from controlplane.domain.permissions import ApiKey, Person, Principal
from controlplane.http.headers import OF_THE_RATE_LIMIT
from controlplane.http.limits import RateLimited
from controlplane.kit.ids import TenantId
from controlplane.kit.limiter import Limiter, Rate, Spent

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]

WINDOW_S: Final = 60

REMEMBERED_S: Final = 15.0
"""How long a tenant's rates are not looked up again: no longer after that an operator's change holds."""

MOST_REMEMBERED: Final = 20_000


class TooManyRequests(RateLimited):
    title = "Too many requests"
    hint = "Wait as Retry-After says. RateLimit tells with every answer how many are left; the limit is in …/limits."


class Bucket(Struct, frozen=True):
    name: str
    key: str
    most: int


class Allowances:
    """What tenants may ask for, remembered for a moment."""

    def __init__(self, db: Database, limiter: Limiter) -> None:
        self._db, self._limiter = db, limiter
        self._rates: dict[TenantId, tuple[float, dict[str, int | None]]] = {}

    async def spend(self, connection: Connection, principal: Principal, tenant_id: TenantId) -> None:
        """Count this request.

        Raises:
            TooManyRequests: If it is one too many.
        """
        rates = await self._of(tenant_id)
        spent: list[tuple[Bucket, Spent]] = []
        for bucket in _buckets(rates, principal, tenant_id):
            spent.append((bucket, await self._limiter.spend(bucket.key, _rate(bucket))))
            if spent[-1][1].wait_s > 0:
                break
        if not spent:
            return
        connection.scope["state"][OF_THE_RATE_LIMIT] = _headers(spent)
        if (wait_s := spent[-1][1].wait_s) > 0:
            raise TooManyRequests(wait_s)

    async def _of(self, tenant_id: TenantId) -> dict[str, int | None]:
        now = time.monotonic()
        known = self._rates.get(tenant_id)
        if known is not None and known[0] > now:
            return known[1]
        async with self._db.tenant(tenant_id) as tx:
            rates = await quotas.rates(tx)
        if len(self._rates) >= MOST_REMEMBERED:
            self._rates.clear()
        self._rates[tenant_id] = (now + REMEMBERED_S, rates)
        return rates


def _buckets(rates: dict[str, int | None], principal: Principal, tenant_id: TenantId) -> Sequence[Bucket]:
    """The caller's first: whoever is too quick uses nothing up of the others'."""
    assert isinstance(principal, ApiKey | Person), "nobody else comes in at the tenants' API"
    caller = principal.id if isinstance(principal, ApiKey) else principal.account_id
    wanted = (
        ("caller", f"{tenant_id}:{caller}", rates["key_requests_per_minute"]),
        ("tenant", f"{tenant_id}", rates["requests_per_minute"]),
    )
    return [Bucket(name, f"api:{name}:{key}", most) for name, key, most in wanted if most is not None]


def _rate(bucket: Bucket) -> Rate:
    """Zero is none at all: a wait of one window, over and over."""
    every_s = WINDOW_S / bucket.most if bucket.most else WINDOW_S
    return Rate(burst=bucket.most, every=timedelta(seconds=every_s))


def _headers(spent: Sequence[tuple[Bucket, Spent]]) -> dict[str, str]:
    return {
        "RateLimit-Policy": ", ".join(f'"{bucket.name}";q={bucket.most};w={WINDOW_S}' for bucket, _ in spent),
        "RateLimit": ", ".join(
            f'"{bucket.name}";r={each.left(_rate(bucket))};t={math.ceil(each.full_s)}' for bucket, each in spent
        ),
    }
