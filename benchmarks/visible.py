"""From a file changed on the runtime's disk to the API showing it: p50 under 500 ms."""

import statistics
import time
from typing import Any

from benchmarks import agents

SESSIONS = 300
CHANGES = 40
LIMIT_MS = 500.0
PATIENCE_S = 30.0


def run() -> dict[str, object]:
    with agents.site(SESSIONS) as site:
        site.once()
        with site.running():
            found = site.api.get("/sessions", params={"limit": 1}).raise_for_status().json()["data"][0]
            _measured(site, found, 0)
            took_ms = [_measured(site, found, number) for number in range(1, CHANGES + 1)]
    p50 = statistics.median(took_ms)
    return {
        "name": "visible",
        "ratio": p50 / LIMIT_MS,
        "ours": p50,
        "limit": LIMIT_MS,
        "unit": "milliseconds from file to API, p50",
        "budget": "at most 1",
        "p95_ms": statistics.quantiles(took_ms, n=20)[-1],
    }


def _measured(site: agents.Site, session: dict[str, Any], number: int) -> float:
    """Milliseconds until the API shows one more change of *session*."""
    status = ("failed", "cancelled")[number % 2]
    path = site.source / "agents" / session["agent"] / "sessions" / session["source"]["id"] / "state.json"
    agents.change(path, status)
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if site.api.get(f"/sessions/{session['id']}").raise_for_status().json()["status"] == status:
            return (time.monotonic() - began) * 1000
        time.sleep(0.005)
    raise RuntimeError("the change did not arrive")
