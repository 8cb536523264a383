"""How states, numbers and times read on a page."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from controlplane.domain.outcomes import Failure
from controlplane.kit.ids import text_id

STATUSES: Final = ("running", "waiting", "failed", "lost", "cancelled", "succeeded")
"""In the order in which one asks about them."""

RUNTIME_STATES: Final = ("locked", "silent", "lagging", "draining", "connected", "revoked")
"""What is wrong first, what is over last."""

TENANT_STATES: Final = {
    "active": ("connected", "active"),
    "suspended": ("locked", "suspended"),
    "pending_deletion": ("waiting", "to be deleted"),
    "provisioning": ("running", "being set up"),
    "purging": ("draining", "being purged"),
    "deleted": ("cancelled", "purged"),
}
"""The mark and the word of each; those that are served first."""

LIMITS: Final = {
    "users": "People",
    "api_keys": "API keys",
    "runtimes": "Runtimes",
    "projects": "Projects",
    "connections": "Connections",
    "requests_per_minute": "Requests a minute, altogether",
    "key_requests_per_minute": "Requests a minute, each caller",
}

CONNECTION_STATES: Final = {
    "needs_reauth": ("failed", "needs a person"),
    "refresh_failing": ("lagging", "refresh failing"),
    "pending_confirm": ("waiting", "to be confirmed"),
    "active": ("connected", "active"),
    "disabled": ("cancelled", "disabled"),
    "revoking": ("draining", "being revoked"),
    "deleted": ("revoked", "deleted"),
}
"""The mark and the word of each; those that want somebody first."""

COMMAND_STATES: Final = {
    "queued": "waiting",
    "delivered": "draining",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "expired": "lost",
    "superseded": "cancelled",
}
"""The mark of each."""

COMMAND_HINTS: Final = {
    "not-allowed": "The owner of its machine decides what may be done there: the agent's setting commands.",
    "unknown-kind": "The agent is older than what was asked: upgrade it.",
    "runtime-unreachable": "Start EngineX's own server there, or mend the agent's setting engine_url.",
    "session-not-loaded": "Load the session at EngineX's own server, and ask again.",
    "session-running": "Pause the session, and ask again.",
    "session-moved-on": "Look what it asks by now, and decide anew.",
    "interrupted": "Nobody knows how far it got: look at the session, and ask again if need be.",
    "content-absent": "Choose another checkpoint.",
    "content-pruned": "Choose another checkpoint.",
    "content-incomplete": "Ask again once the checkpoint is restorable.",
    "checkpoint-unfit": "Choose another checkpoint.",
    "checkpoint-gone": "Roll back to it first.",
    "disk-full": "Make room there, and ask again.",
    "home-unwritable": "Let the agent's account write into the home, and ask again.",
    "not-fetched": "Ask again once the runtime is connected.",
    "too-late": "Ask again.",
}
"""What to do next, by the code of a command that came to nothing."""

CONFIG_STATES: Final = {
    "none": "cancelled",
    "unmergeable": "failed",
    "failed": "failed",
    "applying": "running",
    "drifted": "lagging",
    "behind": "waiting",
    "applied": "connected",
}
"""The mark of each word for how a runtime stands to its configuration."""

WAITS: Final = {"human_approval": "for a human", "resume": "to be resumed"}

ROUNDS_UP: Final = 0.9995
"""From here on 999.6k would read 1000k."""

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_THOUSANDS: Final = ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)
"""Each says it is several; the first that fits is the one."""
_BYTES: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def duration(milliseconds: float | None) -> str:
    """``480 ms``, ``12.7 s``, ``3 min 12 s``, ``2 h 14 min``; an em dash where it is not known."""
    if milliseconds is None:
        return "—"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1_000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for (unit, length), (smaller, part) in pairwise(_UNITS):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def age(seconds: float) -> str:
    """``just now``, ``12 s``, ``6 min``, ``3 h``, ``9 d``: one unit is enough to judge by."""
    if seconds < 1:
        return "just now"
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    raise AssertionError(seconds)


def ago(instant: datetime, now: datetime) -> str:
    seconds = (now - instant).total_seconds()
    return "just now" if seconds < 1 else f"{age(seconds)} ago"


def count(number: int) -> str:
    """``1,548,120``."""
    return f"{number:,}"


def compact(number: int) -> str:
    """``812``, ``12.8k``, ``1.5M``: three figures, for columns."""
    for size, letter in _THOUSANDS:
        if number >= size * ROUNDS_UP:
            value = number / size
            return f"{value:.1f}{letter}" if value < 99.95 else f"{value:.0f}{letter}"
    return str(number)


def size(number: int) -> str:
    """``41.3 GB``."""
    for length, unit in _BYTES:
        if number >= length:
            return f"{number / length:.1f} {unit}"
    return f"{number} B"


def usd(micro: int | None) -> str:
    """Dollars of millionths: four digits below one dollar, two above; an em dash where nobody said."""
    if micro is None:
        return "—"
    dollars = micro / 1_000_000
    return f"${dollars:,.2f}" if dollars >= 1 or micro == 0 else f"${dollars:.4f}"


def share(part: int, whole: int) -> str:
    """``9 %``, and never 0 or 100 for what is not."""
    if not whole:
        return "0 %"
    percent = round(100 * part / whole)
    if part:
        percent = max(percent, 1)
    if part < whole:
        percent = min(percent, 99)
    return f"{percent} %"


def plural(number: int, one: str, many: str = "") -> str:
    """``1 session``, ``1,204 sessions``."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def why(error: Failure | None) -> str:
    """An error's line without the error's name, which stands before it already."""
    return error.line.removeprefix(f"{error.name}: ") if error else ""


def browser(client: str) -> str:
    """``Firefox on Linux``: what a browser calls itself, for people; other programs by their own name."""
    name = next((name for mark, name in _BROWSERS if mark in client), "")
    system = next((name for mark, name in _SYSTEMS if mark in client), "")
    if name:
        return f"{name} on {system}" if system else name
    return client.partition(" ")[0] or "An unknown program"


def iso(instant: datetime) -> str:
    """RFC 3339 with milliseconds, for ``datetime=`` attributes and addresses."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp(instant: datetime) -> str:
    """``2026-11-21 12:03:07``, UTC: what a page shows until the script makes it local."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def with_query(**values: object) -> str:
    """``?status=failed&q=…`` of what is not None or empty; an empty text if nothing is left."""
    kept = {name: str(value) for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(kept)}" if kept else ""


def public_id(identity: UUID, kind: str) -> str:
    return text_id(kind, identity)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "age": age,
    "browser": browser,
    "ago": ago,
    "compact": compact,
    "count": count,
    "duration": duration,
    "iso": iso,
    "plural": plural,
    "public_id": public_id,
    "share": share,
    "size": size,
    "stamp": stamp,
    "why": why,
    "usd": usd,
}
