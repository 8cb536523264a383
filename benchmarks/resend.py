"""A resend of what is held against its first ingest: at least 3 times as fast."""

from benchmarks.ingesting import measure


def run() -> dict[str, object]:
    found = measure()
    return {
        "name": "resend",
        "ratio": found.ingest_s / found.resend_s,
        "ours": found.rows / found.resend_s,
        "limit": found.rows / found.ingest_s,
        "unit": "sessions and runs per second",
        "budget": "at least 3",
    }
