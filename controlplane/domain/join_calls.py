"""Calls for tokens in whatever order they arrive: the next one, one that comes again or late, and one of a copy.

An agent makes one call at a time, under a nonce that is on its disk before the call and stays until the answer is.
So whatever the network does, nobody but a copy of it, or a disk that went back, shows an old counter under a nonce that
was never seen.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from msgspec import Struct

LATEST: Final = timedelta(minutes=15)
"""How long a call can be on its way: its assertion is good for five minutes, by clocks that may be two minutes apart."""

MOST: Final = 1000
"""Calls that are remembered of one runtime: somebody who asks every second is beyond what an agent does."""

Kind: TypeAlias = Literal["again", "late", "next", "old"]
"""again: the last one, whose answer may be lost; late: others were answered since; old: a copy's."""


class Call(Struct, frozen=True, array_like=True):
    """One that was let in."""

    before: int
    """The counter until then."""
    count: int
    """What it was answered with. Where that is more than one further, our database had gone back."""
    nonce: str
    at: float
    """Seconds since 1970."""

    def forgot(self, shown: int, now: datetime) -> bool:
        """Whether a call that showed that was answered before this one, of which our database knows no more."""
        return self.before <= shown < self.count - 1 and self.at > _begun(now)


class Book(Struct, frozen=True, kw_only=True):
    """What is known of the calls of one runtime."""

    count: int
    nonce: str
    calls: Sequence[Call] = ()
    """Oldest first."""

    def kind(self, shown: int | None, nonce: str, now: datetime, *, released: bool = False) -> Kind:
        """What a call is.

        Args:
            shown: The counter in its join state; None: that is none of ours.
            released: Whether a person has said to let the next one in, whatever it shows.
        """
        if nonce == self.nonce:
            return "again"
        if any(call.nonce == nonce for call in self.calls):
            return "late"
        if released or (shown is not None and shown >= self.count):
            return "next"
        return "late" if shown is not None and any(call.forgot(shown, now) for call in self.calls) else "old"

    def after(self, shown: int | None, nonce: str, now: datetime) -> "Book":
        """With a call that is let in. A counter beyond ours is no copy's: it was our own database that went back."""
        count = max(self.count, shown or 0) + 1
        made = Call(before=self.count, count=count, nonce=nonce, at=now.timestamp())
        return Book(count=count, nonce=nonce, calls=[*self._recent(now), made][-MOST:])

    def _recent(self, now: datetime) -> Iterator[Call]:
        """An agent may send a call again until it has the answer, so that long it can be late after the *next* one."""
        for call, following in pairwise(self.calls):
            if following.at > _begun(now):
                yield call
        yield from self.calls[-1:]


def _begun(now: datetime) -> float:
    """When the oldest that can still be on its way was sent."""
    return (now - LATEST).timestamp()
