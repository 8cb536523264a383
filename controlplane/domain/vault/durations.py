"""How long leases last; settings, so that tests can scale them all."""

from datetime import timedelta

from msgspec import Struct


class Durations(Struct, frozen=True, kw_only=True):
    longest: timedelta = timedelta(minutes=15)
    """Of a lease, unless a policy says less."""
    margin: timedelta = timedelta(seconds=5)
    """A lease ends this long before its token, or a tenth of the token's life, whichever is more."""
    ask_again: timedelta = timedelta(seconds=5)
