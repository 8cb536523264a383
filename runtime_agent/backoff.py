"""How long to leave the control plane alone: pure arithmetic, so that ten thousand agents do not come back at once."""

FIRST_S = 1.0
LONGEST_S = 64.0

SLOW_S = 300.0
"""Between tries while the server refuses this runtime as such: revoked, suspended, another protocol."""


def edge_s(window_ms: int, roll: float) -> float:
    """Seconds to wait after a connection was lost, before the first retry.

    Args:
        window_ms: What the server asked for in its last heartbeat: the larger the fleet, the longer.
        roll: A random number in [0, 1); the caller rolls, so tests can choose.
    """
    return roll * window_ms / 1000


def window_s(attempt: int) -> float:
    """Width of the window in which retry *attempt* (from 1) falls, in seconds: doubling, at most 64."""
    return min(FIRST_S * 2.0 ** min(attempt - 1, 10), LONGEST_S)


def delay_s(attempt: int, last_roll: float, roll: float) -> float:
    """Seconds from retry *attempt* - 1 to retry *attempt*.

    Each retry falls somewhere inside its window and the rest of the window is waited out, so that tries stay spread
    evenly however often they fail.

    Args:
        attempt: 1 for the first retry after the connection was lost.
        last_roll: Where in its window the try before fell, in [0, 1).
        roll: Where in its window this one shall fall, in [0, 1).
    """
    rest = (1.0 - last_roll) * window_s(attempt - 1) if attempt > 1 else 0.0
    return rest + roll * window_s(attempt)


def admitted_s(retry_after_s: float, roll: float) -> float:
    """Seconds to wait when the server is busy: what it asked for, times 1 to 2."""
    return retry_after_s * (1.0 + roll)
