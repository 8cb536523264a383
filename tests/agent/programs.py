"""The real program, started as a person starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = "ec_jt_good"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the machine's own settings but what Python needs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return {**kept, "RUNTIME_AGENT_HOME": str(home), "RUNTIME_AGENT_SOURCE_TIMEZONE": "UTC", **more}


def run(home: Path, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runtime_agent", *arguments],
        env=environment(home, **more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def join(home: Path, url: str, source: Path) -> subprocess.CompletedProcess[str]:
    return run(home, "join", url, "--token-stdin", "--source", f"engine:{source}", stdin=f"{TOKEN}\n")


@contextmanager
def daemon(home: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """``runtime-agent run``; whatever happened, nothing is left behind."""
    with subprocess.Popen(
        [sys.executable, "-m", "runtime_agent", "run"],
        env=environment(home, **more),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(true: Callable[[], bool], within_s: float = 30.0) -> None:
    """Come back as soon as it is so."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)
