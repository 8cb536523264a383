"""Processor time of an agent that has 10,000 sessions and nothing to do: under 1 % of a core."""

import time

from benchmarks import agents
from benchmarks.processes import family_cpu_s

SESSIONS = 10_000
SETTLED_S = 20.0
"""After this the first look of the new process is over."""

WATCHED_S = 40.0
LIMIT = 0.01


def run() -> dict[str, object]:
    with agents.site(SESSIONS) as site:
        site.once()
        with site.running() as pid:
            time.sleep(SETTLED_S)
            before = family_cpu_s(pid)
            time.sleep(WATCHED_S)
            share = (family_cpu_s(pid) - before) / WATCHED_S
            mib = agents.memory_mib(pid, "VmRSS")
    return {
        "name": "idle_agent",
        "ratio": share / LIMIT,
        "ours": share,
        "limit": LIMIT,
        "unit": "share of a core",
        "budget": "at most 1",
        "mib": mib,
    }
