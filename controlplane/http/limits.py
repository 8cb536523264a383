"""How often somebody may try: for the doors where guessing would pay."""

import contextlib
import hashlib
import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection

from controlplane.kit.ids import TenantId
from controlplane.kit.limiter import Limiter, Rate
from controlplane.kit.problems import Refusal

SIGN_IN: Final = Rate(burst=10, every=timedelta(seconds=30))
"""For one address from one place."""

SIGN_IN_FROM: Final = Rate(burst=100, every=timedelta(seconds=3))
"""For one place, whichever addresses it tries."""

SECOND_FACTOR: Final = Rate(burst=5, every=timedelta(seconds=30))
"""For one account, wherever the tries come from: a code has only six digits."""

PASSWORD_RESET: Final = Rate(burst=3, every=timedelta(minutes=10))
"""For one address: nobody's letter box is filled."""

INVITE: Final = Rate(burst=300, every=timedelta(seconds=20))
"""Letters that one tenant may have sent."""

INVITE_ONE: Final = Rate(burst=5, every=timedelta(hours=1))
"""Letters of one tenant to one address."""

ENROLL_FROM: Final = Rate(burst=100, every=timedelta(seconds=1))
"""A fleet behind one address may join at once; guessing join tokens never pays anyway."""


TOKEN_FROM: Final = Rate(burst=1_000, every=timedelta(milliseconds=100))
"""A token lives for ten minutes: enough for 6,000 runtimes behind one address, 1,000 of which come back at once."""

SCIM: Final = Rate(burst=500, every=timedelta(milliseconds=20))
"""For one directory: a first run over 10,000 people takes some minutes, and nobody else waits for it."""

UNSEALED: Final = Rate(burst=600, every=timedelta(milliseconds=100))
"""For one runtime that cannot sign: when it starts it asks for everything, one by one."""

UNSEALED_REFRESH: Final = Rate(burst=10, every=timedelta(seconds=6))
"""For one connection of it: near the end of a token it asks with every use."""

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]


class RateLimited(Refusal):
    code, status, title = "rate-limited", 429, "Too many tries"
    hint = "Wait, then try again."

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"try again in {math.ceil(wait_s)} s")
        self.wait_s = math.ceil(wait_s)

    def facts(self) -> dict[str, object]:
        return {"retry_after": self.wait_s}

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.wait_s)}


async def check(limiter: Limiter, rate: Rate, *parts: str) -> None:
    """Count a try by *parts*; what they say is kept as a hash only.

    Raises:
        RateLimited: If it is one too many.
    """
    key = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    wait_s = await limiter.admit(key, rate)
    if wait_s > 0:
        raise RateLimited(wait_s)


async def invitation(limiter: Limiter, tenant_id: TenantId, email: str) -> None:
    """Count a letter of this tenant to this address.

    Raises:
        RateLimited: If it is one too many.
    """
    await check(limiter, INVITE_ONE, "invite-one", str(tenant_id), email.strip().casefold())
    await check(limiter, INVITE, "invite", str(tenant_id))


def from_one_place(name: str, rate: Rate) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """A ``before_request`` hook that counts by where calls come from, before anything of them is read."""

    async def count(request: Request[Any, Any, Any]) -> None:
        await check(request.app.state.limiter, rate, name, address(request))

    return count


def address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Where a call comes from, as far as the server can see.

    ``X-Forwarded-For`` is read from its end, and no further than hops of ours have written it.
    """
    here = connection.client.host if connection.client else "unknown"
    said = connection.headers.getall("x-forwarded-for", None)
    if said is None:
        return here
    trusted: Networks = connection.app.state.trusted_proxies
    for hop in reversed(",".join(said).split(",")):
        if not (_is_within(here, trusted) and _parsed(hop)):
            break
        here = hop.strip()
    return here


def _is_within(host: str, networks: Networks) -> bool:
    address = _parsed(host)
    return address is not None and any(address in network for network in networks)


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    with contextlib.suppress(ValueError):
        address = ip_address(host.strip())
        return getattr(address, "ipv4_mapped", None) or address
    return None
