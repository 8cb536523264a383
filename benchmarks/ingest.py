"""Ingest against COPY of the same rows: at least 0.5."""

from benchmarks.ingesting import measure


def run() -> dict[str, object]:
    found = measure()
    return {
        "name": "ingest",
        "ratio": found.copy_s / found.ingest_s,
        "ours": found.rows / found.ingest_s,
        "limit": found.rows / found.copy_s,
        "unit": "sessions and runs per second",
        "budget": "at least 0.5",
    }
