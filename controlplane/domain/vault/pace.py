"""How fast refreshing goes: every duration of it, in one place, so that tokens of two seconds can be tested too."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Seconds: TypeAlias = Annotated[float, Meta(gt=0)]
Times: TypeAlias = Annotated[int, Meta(ge=1)]
Share: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]


class PaceUneven(ValueError):
    """Durations that do not go together."""


class Pace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds, unless a name says otherwise."""

    call_s: Seconds = 10.0
    """For one call to a provider."""
    deadline_s: Seconds = 20.0
    """From the intent to refresh until somebody else may take it over. Longer than a call."""
    adopt_s: Seconds = 60.0
    """Before a used refresh token is sent again at a provider that forbids it: whoever has its successor may come back."""
    block_s: Seconds = 8.0
    """That a caller waits whose token has expired."""
    poll_s: Seconds = 0.2
    """Between two looks at what another process does."""
    herd_s: Seconds = 1.0
    """That a process leaves it to another before it asks the database itself."""

    least_left_s: Seconds = 5.0
    """A token with less is not handed out."""
    margin_share: Share = 0.2
    """Of a token's life, before its end …"""
    margin_least_s: Seconds = 330.0
    """… but no less than this, which is more than the five minutes in which runtimes ask by themselves …"""
    margin_most_s: Seconds = 900.0
    """… and no more than this."""
    margin_killing_s: Seconds = 90.0
    """Instead, where a refresh kills the token before."""
    short_life_s: Seconds = 900.0
    """A token that lives shorter is refreshed when it is used and not ahead."""
    used_within_s: Seconds = 7 * 86_400.0
    """A connection that was used in this time is refreshed ahead."""

    first_retry_s: Seconds = 1.0
    """Doubles with every failure …"""
    longest_retry_s: Seconds = 300.0
    """… up to this; the wait is anything up to it."""
    commit_retry_s: Seconds = 0.2
    commit_tries: Times = 5
    """How often the database is asked to keep new tokens before they go to disk."""
    failing_after: Times = 3
    """Failures after which a connection is said to be failing."""
    lost_tries: Times = 10
    """Failures after a lost answer until it is given up."""
    unclear_tries: Times = 3
    unclear_within_s: Seconds = 3600.0
    """Over how long answers that say nothing are asked for again."""
    fault_retry_s: Seconds = 3600.0
    """After a request that the provider calls wrong."""
    breaker_after: Times = 5
    """Failures of an app, one after the other, until it pauses."""
    pause_s: Seconds = 30.0
    """Doubles with every failure after it …"""
    longest_pause_s: Seconds = 300.0
    """… up to this."""
    bucket_burst: Times = 20
    """Refreshes of one app at once …"""
    bucket_every_s: Seconds = 0.1
    """… and then one in so long."""
    again_s: Seconds = 60.0
    """A connection that was refreshed so lately is not refreshed because somebody asks."""

    def check(self) -> "Pace":
        """
        Raises:
            PaceUneven: If a call could outlast its intent.
        """
        if self.deadline_s <= self.call_s:
            raise PaceUneven("deadline_s has to be longer than call_s")
        return self

    def margin_s(self, life_s: float, kills: bool) -> float:
        """How long before its end a token is to be followed by the next.

        Args:
            kills: The next one kills it.
        """
        share = self.margin_share * life_s
        if life_s < self.short_life_s:
            return min(share, self.margin_killing_s) if kills else share
        if kills:
            return self.margin_killing_s
        return min(max(share, self.margin_least_s), self.margin_most_s)

    def retry_s(self, failures: int, roll: float) -> float:
        """How long to wait after that many *failures*, the first of which is 1.

        Args:
            roll: A random number in [0, 1).
        """
        return roll * min(self.first_retry_s * 2.0 ** min(failures - 1, 30), self.longest_retry_s)
