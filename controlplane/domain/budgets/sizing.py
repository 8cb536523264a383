"""How large slices become: small at first, larger for who uses more, and never more than there is."""

from math import ceil
from typing import Final

from msgspec import Struct

SMALLEST: Final = 100
"""The last of a budget is handed out in hundredths of its limit, and not in ever smaller parts."""


class Need(Struct, frozen=True, kw_only=True):
    """How one runtime stands with one budget in one period."""

    limit: int
    left: int
    """Of the budget, that was leased to nobody and used by nobody."""
    amount: int
    """Of the runtime's slice."""
    used: int
    runtimes: int
    """That the budget holds for."""
    share: float
    """Of all that was used lately, the part that this runtime used."""
    alone: bool
    """The budget is for this runtime and no other."""


def growth(its: Need) -> int:
    """By how much the slice becomes larger.

    Half of an even share of what is left goes to everybody, and half of it goes after use. A runtime that has more than
    half of what it would be given gets nothing: so what is left is there for those who come late.
    """
    if its.left <= 0:
        return 0
    if its.alone:
        return its.left
    target = max(int(its.left * (1 / max(its.runtimes, 1) + its.share) / 2), ceil(its.limit / SMALLEST))
    remaining = its.amount - its.used
    if 2 * remaining > target:
        return 0
    return min(its.left, target - remaining)
