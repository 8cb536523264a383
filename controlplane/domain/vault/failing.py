"""What each way in which a refresh can fail leads to: another try, when, or a person."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from controlplane.db.database import TenantTx
from controlplane.domain.vault import connections, intents
from controlplane.domain.vault.intents import Intent
from controlplane.domain.vault.keeping import ACTOR
from controlplane.domain.vault.pace import Pace
from controlplane.domain.vault.restores import RESTORED
from controlplane.kit.oauth.failures import Failure, Kind

LOST: Final = "lost_response"
UNCLEAR: Final = "unclear"

OF_THE_APP: Final[frozenset[Kind]] = frozenset({"not_sent", "maybe_sent", "throttled", "transient"})
"""What makes an app pause when it goes on: the provider's trouble, which every connection of it has."""

ALARMING: Final[frozenset[Kind]] = frozenset({"app_fault", "request_fault", "blocked"})
"""What goes on until one of us sees to it."""


class Sequel(Struct, frozen=True, kw_only=True):
    """What is to be written down."""

    fail_class: Kind | None
    fail_count: int
    """Of this class, one after the other."""
    next_at: datetime | None
    """Not before, unless somebody asks for it; None: not at all."""
    needs_reauth: str = ""
    """Why a person has to connect it anew; empty: nobody has to."""
    is_failing: bool = False


def sequel(failure: Failure, intent: Intent, in_doubt: bool, now: datetime, pace: Pace, roll: float) -> Sequel:
    """
    Args:
        in_doubt: The refresh token may have been used up before: an answer was lost, or somebody who had begun.
        roll: A random number in [0, 1).
    """
    kind: Kind = failure.kind
    if kind == "app_fault":  # the app is to blame, and says when it is good again; the connection is as it was
        return Sequel(fail_class=intent.fail_class, fail_count=intent.fail_count, next_at=now)
    if kind in ("grant_dead", "needs_person"):
        is_lost = in_doubt and kind == "grant_dead" and failure.code != RESTORED
        return _person(LOST if is_lost else failure.code or kind)
    if in_doubt and kind in OF_THE_APP:
        kind = "maybe_sent"  # until somebody says whether the token is good
    count = intent.fail_count + 1 if intent.fail_class == kind else 1
    if kind == "malformed" and count >= pace.unclear_tries:
        return _person(UNCLEAR)
    if kind == "maybe_sent" and in_doubt and count >= pace.lost_tries:
        return _person(LOST)
    wait_s = max(_wait_s(kind, count, pace, roll), failure.retry_after_s or 0)
    next_at = None if kind == "blocked" else now + timedelta(seconds=wait_s)
    said = kind in ("request_fault", "blocked", "malformed") or count >= pace.failing_after
    return Sequel(fail_class=kind, fail_count=count, next_at=next_at, is_failing=said)


async def write(tx: TenantTx, intent: Intent, what: Sequel, kind: Kind) -> bool:
    """Write it down; False if somebody else has taken over, whose word counts.

    Args:
        kind: Of the failure, for people.
    """
    if not await intents.release(tx, intent, what.fail_class, what.fail_count, what.next_at):
        return False
    before = await connections.locked(tx, intent.id)
    if before.state not in connections.SERVED:
        return True  # it was disabled meanwhile, and stays it
    if what.needs_reauth:
        await connections.needs_reauth(tx, ACTOR, intent.id, what.needs_reauth)
    elif what.is_failing and before.state == "active":
        await connections.turned(tx, ACTOR, before, "refresh_failing", kind, "connection.refresh_failing")
    return True


def _person(reason: str) -> Sequel:
    return Sequel(fail_class=None, fail_count=0, next_at=None, needs_reauth=reason)


def _wait_s(kind: Kind, count: int, pace: Pace, roll: float) -> float:
    if kind == "malformed":
        return pace.unclear_within_s / pace.unclear_tries
    return pace.fault_retry_s if kind == "request_fault" else pace.retry_s(count, roll)
