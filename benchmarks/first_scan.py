"""The first scan of 10,000 sessions, everything sent: at most 30 s."""

from benchmarks import agents

SESSIONS = 10_000
LIMIT_S = 30.0


def run() -> dict[str, object]:
    with agents.site(SESSIONS) as site:
        took, peak_mib = site.once()
    return {
        "name": "first_scan",
        "ratio": took / LIMIT_S,
        "ours": took,
        "limit": LIMIT_S,
        "unit": "seconds for 10,000 sessions",
        "budget": "at most 1",
        "peak_mib": peak_mib,
    }
