"""What the runtimes of one process have seen, told to whoever measures and then counted anew."""

import time
from collections import Counter

from msgspec import Struct, field


class Tally(Struct):
    answers: dict[str, int] = field(default_factory=dict)
    """By endpoint and status: ``heartbeat 200``; ``heartbeat none`` where there was no answer."""
    took_ms: dict[str, list[float]] = field(default_factory=dict)
    """Of answered calls, by endpoint."""
    longest_retry_after_s: float = 0.0
    too_soon: int = 0
    """Calls made before a ``Retry-After`` was over: there should be none."""
    back_s: list[float] = field(default_factory=list)
    """When each runtime's first heartbeat after the restart was answered, seconds since the epoch."""
    live_ms: list[float] = field(default_factory=list)
    """From a record's making to its acknowledgement, of runtimes that send a record now and then."""
    caught_up: int = 0
    """Records acknowledged of runtimes that have much to send."""
    carried_out: dict[str, float] = field(default_factory=dict)
    """Commands, and when their result was acknowledged."""

    def note(self, endpoint: str, outcome: int | str, took_ms: float) -> None:
        key = f"{endpoint} {outcome}"
        self.answers[key] = self.answers.get(key, 0) + 1
        self.took_ms.setdefault(endpoint, []).append(took_ms)

    def add(self, other: "Tally") -> None:
        self.answers = dict(Counter(self.answers) + Counter(other.answers))
        for endpoint, took_ms in other.took_ms.items():
            self.took_ms.setdefault(endpoint, []).extend(took_ms)
        self.longest_retry_after_s = max(self.longest_retry_after_s, other.longest_retry_after_s)
        self.too_soon += other.too_soon
        self.back_s += other.back_s
        self.live_ms += other.live_ms
        self.caught_up += other.caught_up
        self.carried_out |= other.carried_out

    def count(self, endpoint: str, outcome: int | str) -> int:
        return self.answers.get(f"{endpoint} {outcome}", 0)

    def everywhere(self, outcome: int | str) -> int:
        """Of all endpoints together."""
        return sum(number for key, number in self.answers.items() if key.endswith(f" {outcome}"))


def quantile(values: list[float], part: float) -> float:
    """The value that so much of *values* does not exceed; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
