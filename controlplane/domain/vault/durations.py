"""How long leases last; settings, so that tests can scale them all."""

from datetime import timedelta

from msgspec import Struct


class Durations(Struct, frozen=True, kw_only=True):
    longest: timedelta = timedelta(minutes=15)
    """Of a lease, unless a policy says less."""
    margin: timedelta = timedelta(seconds=5)
    """A lease ends this long before its token, or a tenth of the token's life where that is more …"""
    margin_most: timedelta = timedelta(minutes=1)
    """… but for its sake no longer than this."""
