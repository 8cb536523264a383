"""What a session's files say it is doing: the table that the product promises, row by row."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from runtime_agent.sources.source import STALE_AFTER
from runtime_agent.wire.types import Quality, Status, WaitingFor

PAUSED_BY_USER = "Execution paused by user"
ROLLED_BACK = f"{PAUSED_BY_USER}: rolled back to "
"""What we write ourselves: EngineX takes it for a pause, and so does everybody who knows no more."""


class Facts(Struct, frozen=True, kw_only=True):
    """All that the status depends on."""

    word: str = ""
    """Of ``state.json``, lower case; empty where it has none."""
    error: str = ""
    """``result.error`` of ``state.json``."""
    paused_at: datetime | None = None
    outcome: str = ""
    """L1's status; empty without an L1."""
    summary_started_at: datetime | None = None
    touched_at: datetime | None = None
    """The newest sign of life, all kinds taken together."""
    now: datetime


class Standing(NamedTuple):
    status: Status
    waiting_for: WaitingFor | None = None


class Row(NamedTuple):
    """One line of the table: where it fits, and what it says."""

    name: str
    fits: Callable[[Facts], bool]
    says: Callable[[Facts], Standing]


_OUTCOMES: dict[str, Standing] = {
    "success": Standing("succeeded"),
    "degraded": Standing("succeeded"),
    "failure": Standing("failed"),
}
_SUMMARY_WORDS = {*_OUTCOMES, "paused"}
_APPROVAL = Standing("waiting", "human_approval")
_RESUME = Standing("waiting", "resume")
_KNOWN = {"completed", "failed", "cancelled", "pending_human_approval", "paused", "active"}


def _paused(facts: Facts) -> Standing:
    return _RESUME if facts.error.startswith(PAUSED_BY_USER) else _APPROVAL


def _outcome(facts: Facts) -> Standing:
    return _OUTCOMES.get(facts.outcome) or _paused(facts)


def resumed(facts: Facts) -> bool:
    """A later run wrote L1: a resume leaves state.json at the word that it found."""
    if facts.paused_at is None or facts.summary_started_at is None:
        return False
    return facts.outcome in _OUTCOMES and facts.summary_started_at > facts.paused_at


def _fresh(facts: Facts) -> bool:
    return facts.touched_at is not None and facts.now - facts.touched_at <= STALE_AFTER


def _nameless(facts: Facts) -> bool:
    """The partial state.json has no status; a word that we do not know says as little."""
    return facts.word not in _KNOWN


def _silent(facts: Facts) -> bool:
    """Nothing but the signs of life can tell."""
    return facts.word == "active" or (_nameless(facts) and facts.outcome not in _SUMMARY_WORDS)


TABLE = (
    Row("completed", lambda facts: facts.word == "completed", lambda _: Standing("succeeded")),
    Row("failed", lambda facts: facts.word == "failed", lambda _: Standing("failed")),
    Row("cancelled", lambda facts: facts.word == "cancelled", lambda _: Standing("cancelled")),
    Row("pending", lambda facts: facts.word == "pending_human_approval", lambda _: _APPROVAL),
    Row("paused, resumed", lambda facts: facts.word == "paused" and resumed(facts), _outcome),
    Row("paused", lambda facts: facts.word == "paused" and not resumed(facts), _paused),
    Row("active, touched", lambda facts: _silent(facts) and _fresh(facts), lambda _: Standing("running")),
    Row("active, silent", lambda facts: _silent(facts) and not _fresh(facts), lambda _: Standing("lost")),
    Row("no status, summary", lambda facts: _nameless(facts) and facts.outcome in _SUMMARY_WORDS, _outcome),
)
"""Every session fits exactly one row."""


def standing(facts: Facts) -> Standing:
    """What the session is doing, in the product's words."""
    return next(row for row in TABLE if row.fits(facts)).says(facts)


def run_standing(facts: Facts) -> Standing:
    """How the run that wrote L1 ended. A pause may call itself a success there; state.json knows better.

    Unless the session was rolled back since: how that run ended stays as it was.
    """
    paused = facts.word in {"paused", "pending_human_approval"} and not facts.error.startswith(ROLLED_BACK)
    if paused and not resumed(facts):
        return standing(facts)
    return _outcome(facts)


_QUALITIES: dict[str, Quality] = {"clean": "clean", "degraded": "degraded", "failed": "failed"}


def quality(told: str, outcome: str) -> Quality:
    """``execution_quality`` where it is one of ours, else what L1's status implies."""
    if outcome == "degraded":
        return "degraded"
    return _QUALITIES.get(told) or ("failed" if outcome == "failure" else "unknown")
