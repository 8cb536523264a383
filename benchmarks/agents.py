"""A control plane and one agent beside a generated home, all of them the real programs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from benchmarks.processes import free_port
from controlplane.demo.home import Shape, write_home

TENANT = "bench"
MEMORY = Path("/dev/shm")
"""A file system in memory, so that it is not the disk that is measured."""

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("CONTROLPLANE_", "RUNTIME_AGENT_"))
} | {"RUNTIME_AGENT_SOURCE_TIMEZONE": "UTC"}


class Site:
    """One tenant of a running control plane, an EngineX home, and the agent's own folder."""

    def __init__(self, url: str, key: str, folder: Path) -> None:
        self.source, self._agent = folder / "engine", folder / "agent"
        self.api = httpx.Client(
            base_url=f"{url}/v1/tenants/{TENANT}", headers={"Authorization": f"Bearer {key}"}, timeout=30
        )

    def agent(self, *words: str) -> list[str]:
        """The command of the agent's program."""
        return [sys.executable, "-m", "runtime_agent", *words, "--home", str(self._agent)]

    def once(self) -> tuple[float, float]:
        """Seconds that ``runtime-agent once`` took, and MiB that it had at most."""
        began, peak = time.monotonic(), 0.0
        with subprocess.Popen(self.agent("once", "--json"), env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                peak = max(peak, memory_mib(process.pid, "VmHWM"))
                time.sleep(0.02)
        took = time.monotonic() - began
        if process.returncode:
            raise RuntimeError("the agent did not bring everything over")
        return took, peak

    @contextmanager
    def running(self) -> Iterator[int]:
        """``runtime-agent run``, by its process id."""
        with subprocess.Popen(self.agent("run"), env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
            try:
                yield process.pid
            finally:
                process.terminate()


@contextmanager
def site(sessions: int) -> Iterator[Site]:
    """One whose agent has joined and not looked yet, with so many sessions on its disk."""
    memory = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=memory) as near,
        tempfile.TemporaryDirectory(prefix="bench-") as far,
    ):
        Path(far).chmod(0o711)
        write_home(Path(near) / "engine", Shape(sessions=sessions, zone=UTC), now=datetime.now(UTC))
        home, url = str(Path(far) / "home"), f"http://127.0.0.1:{(port := free_port())}"
        command = [sys.executable, "-m", "controlplane", "up", "--json", "--home", home, "--port", str(port)]
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as up:
            try:
                assert up.stdout is not None, "a pipe was asked for"
                while up.stdout.readline() not in {"}\n", ""}:
                    """It is ready when the document is whole."""
                yield _joined(home, url, Path(near))
            finally:
                up.send_signal(signal.SIGTERM)


def _joined(home: str, url: str, near: Path) -> Site:
    def said(*words: str) -> str:
        return _run([sys.executable, "-m", "controlplane", *words, "--home", home])

    said("tenant", "create", TENANT, "--name", "Bench")
    made = Site(url, said("api-key", "create", "--tenant", TENANT, "--name", "bench"), near)
    token = said("join-token", "create", "--tenant", TENANT)
    _run(made.agent("join", url, "--token-stdin", "--source", f"engine:{made.source}"), token)
    return made


def _run(command: list[str], stdin: str = "") -> str:
    done = subprocess.run(command, env=ENVIRONMENT, input=stdin, text=True, check=True, capture_output=True)
    return done.stdout.strip()


def memory_mib(pid: int, field: str) -> float:
    """``VmRSS``, what a process has in memory, or ``VmHWM``, the most it ever had; 0 of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    kib = next((int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:")), 0)
    return kib / 1024


def change(path: Path, status: str) -> None:
    """Have the runtime write another status into the ``state.json`` at *path*, whole at once, as it does."""
    state = json.loads(path.read_text())
    state["status"] = status
    state["timestamps"]["updated_at"] = datetime.now(UTC).replace(tzinfo=None).isoformat()
    beside = path.with_name(".state.json.tmp")
    beside.write_text(json.dumps(state))
    beside.replace(path)
