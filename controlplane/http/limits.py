"""How often somebody may try: for the doors where guessing would pay."""

import hashlib
import math
from datetime import timedelta
from typing import Any, Final

from litestar.connection import ASGIConnection

from controlplane.kit.limiter import Limiter, Rate
from controlplane.kit.problems import Refusal

SIGN_IN: Final = Rate(burst=10, every=timedelta(seconds=30))
"""For one address from one place."""

SIGN_IN_FROM: Final = Rate(burst=100, every=timedelta(seconds=3))
"""For one place, whichever addresses it tries."""

ENROLL_FROM: Final = Rate(burst=100, every=timedelta(seconds=1))
"""A fleet behind one address may join at once; guessing join tokens never pays anyway."""


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


def address(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Where a call comes from, as far as the server can see. Headers that anybody can write are not asked."""
    return connection.client.host if connection.client else "unknown"
