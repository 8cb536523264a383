"""Calling the whole app in its own process, without a socket: what benchmarks of the API share."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

from litestar import Litestar


async def ask(app: Litestar, path: str, headers: dict[str, str], query: str = "") -> tuple[float, bytes]:
    """Milliseconds that ``GET path`` takes, and the body of the answer."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"127.0.0.1:8700"), *((k.encode(), v.encode()) for k, v in headers.items())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8700),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    began = time.perf_counter()
    await app(scope, receive, send)  # type: ignore[arg-type]
    took_ms = (time.perf_counter() - began) * 1000
    assert sent[0]["status"] == 200, sent
    return took_ms, sent[1]["body"]


def p99(took_ms: Sequence[float]) -> float:
    return statistics.quantiles(took_ms, n=100)[98]
