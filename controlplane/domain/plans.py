"""Plans: what a tenant may use, as it is configured."""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

Ceiling: TypeAlias = Annotated[int, Meta(ge=-1, le=1_000_000_000)]
"""-1 is none, because TOML has no null."""

DEFAULT_PLAN: Final = "standard"

RATES: Final = ("requests_per_minute", "key_requests_per_minute")
"""Limits that are rates: of a tenant's requests together, and of each of its callers."""


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant may use. What the file leaves out has its default here."""

    users: Ceiling = -1
    api_keys: Ceiling = -1
    """Those that are not revoked."""
    runtimes: Ceiling = -1
    """Those that are not revoked and have not left."""
    projects: Ceiling = -1
    connections: Ceiling = -1
    """Those that are not deleted."""
    requests_per_minute: Ceiling = 60_000
    """Of the whole tenant, at its API."""
    key_requests_per_minute: Ceiling = 30_000
    """Of each key and each person."""

    def limits(self) -> dict[str, int | None]:
        """By kind; None is no limit."""
        return {name: None if (most := getattr(self, name)) < 0 else most for name in LIMITS}


LIMITS: Final = Plan.__struct_fields__
"""Everything that a plan limits."""
