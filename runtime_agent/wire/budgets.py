"""Budgets: what a runtime may use, leased to it in advance and signed, and what it says that it has used.

``POST /v1/runtime/budgets`` says the one and answers with the other. Every answer to a heartbeat says which revision of
the tenant's budgets there is.
"""

from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from runtime_agent.wire.types import Count, Line

LABEL: Final = b"engine-cloud/budgets/1\n"

MOST_SLICES: Final = 400

BudgetId: TypeAlias = Annotated[str, Meta(pattern="^bud_[0-9a-z]{26}$")]

Unit: TypeAlias = Literal["tokens", "micro_usd"]

Action: TypeAlias = Literal["warn", "pause"]
"""What happens where a slice is used up: it is said, or what runs is paused as well."""

Percent: TypeAlias = Annotated[int, Meta(ge=1, le=100)]

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class Slice(Struct, frozen=True, kw_only=True):
    """What one runtime may use of one budget in one period."""

    budget: BudgetId
    name: Line
    unit: Unit
    action: Action
    starts_ms: Count
    """The period, milliseconds since 1970: from here on …"""
    ends_ms: Count
    """… and before that."""
    amount: Count
    """It may use so much, and is never told of less for the same period."""
    limit: Count
    """Of the whole budget."""
    warn_at: Annotated[list[Percent], Meta(max_length=10)] = []
    """Of the limit: what is said once so much of it is used."""
    used: Count = 0
    """The most that this runtime has ever said to have used in the period."""
    others: Count = 0
    """What all other runtimes have said."""


class Slices(Struct, frozen=True, kw_only=True):
    """All that a runtime may use. All of it is signed."""

    tenant: str
    """Its slug, as the runtime knows it."""
    runtime: str
    """``rt_…``."""
    store_id: UUID
    """Another database may number its answers anew."""
    number: Annotated[int, Meta(ge=1, le=2**53)]
    """Rises with every answer to the runtime."""
    revision: Count
    """Of the tenant's budgets."""
    slices: Annotated[list[Slice], Meta(max_length=MOST_SLICES)]
    """Of every budget that holds for the runtime: the period before, the one that is, and the one to come."""

    def signed(self) -> bytes:
        """What the control plane signs."""
        return LABEL + _ENCODER.encode(self)


class Leased(Struct, frozen=True, kw_only=True):
    """Slices and the signature over them."""

    slices: Slices
    key: str
    """Which of the control plane's keys signed: one of those that sign leases."""
    signature: str
    """Ed25519; base64url."""


class Use(Struct, frozen=True, kw_only=True):
    """How much of a slice is used."""

    budget: BudgetId
    starts_ms: Count
    used: Count
    """By what the runtime's own files tell, whatever was said before."""
    counted: bool = True
    """False: the runtime writes down no prices, so nothing of a budget in dollars can be counted."""


class Ask(Struct, frozen=True, kw_only=True):
    """What was used, and what is held: a control plane that was restored learns from it what it had leased."""

    uses: Annotated[list[Use], Meta(max_length=MOST_SLICES)] = []
    held: Leased | None = None
