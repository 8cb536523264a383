"""Processor time of ingest, server, PostgreSQL and agents together: at most 0.06 s per 1,000 sessions or runs."""

from benchmarks.ingesting import measure

LIMIT_S = 0.06


def run() -> dict[str, object]:
    found = measure()
    spent = found.cpu_s / found.rows * 1000
    return {
        "name": "ingest_cpu",
        "ratio": spent / LIMIT_S,
        "ours": spent,
        "limit": LIMIT_S,
        "unit": "CPU seconds per 1,000 sessions or runs",
        "budget": "at most 1",
        "by_part": {part: seconds / found.rows * 1000 for part, seconds in found.cpu_by_part.items()},
    }
