"""From opening a session's log to its first line: p50 under 300 ms."""

import statistics
import time

from benchmarks import agents

SESSIONS = 5
LOOKS = 40
LIMIT_MS = 300.0
PATIENCE_S = 30.0


def run() -> dict[str, object]:
    with agents.site(SESSIONS) as site:
        site.once()
        with site.running():
            sessions = site.api.get("/sessions", params={"status": "succeeded"}).raise_for_status().json()["data"]
            address = f"/sessions/{sessions[0]['id']}/logs/details/tail"
            _there(site, address)
            took_ms = [_first_line_ms(site, address) for _ in range(LOOKS)]
    p50 = statistics.median(took_ms)
    return {
        "name": "log_tail",
        "ratio": p50 / LIMIT_MS,
        "ours": p50,
        "limit": LIMIT_MS,
        "unit": "milliseconds to the first line, p50",
        "budget": "at most 1",
        "p95_ms": statistics.quantiles(took_ms, n=20)[-1],
    }


def _there(site: agents.Site, address: str) -> None:
    """Until the agent calls, and shows what is asked for."""
    until = time.monotonic() + PATIENCE_S
    while not site.api.get(address.removesuffix("/tail")).is_success:
        if time.monotonic() > until:
            raise RuntimeError("the agent shows nothing")
        time.sleep(0.1)


def _first_line_ms(site: agents.Site, address: str) -> float:
    began = time.monotonic()
    with site.api.stream("GET", address) as answer:
        for line in answer.iter_lines():
            if line == "event: lines":
                return (time.monotonic() - began) * 1000
    raise RuntimeError("no line came")
