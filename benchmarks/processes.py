"""Other processes: their processor time, read from Linux's /proc, and a port for them."""

import os
import socket
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def family_cpu_s(root: int) -> float:
    """Seconds of processor time that *root* and its descendants have used, those that have ended included."""
    parents, used = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            pid = int(folder.name)
            parents[pid], used[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    return sum(ticks for pid, ticks in used.items() if _descends(pid, root, parents)) / TICKS_PER_S


def postmaster_of(port: int) -> int:
    """The process id of the PostgreSQL server that was told to listen on *port*."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"port=%d" % port in words and words[0].endswith(b"/postgres"):
                return int(folder.name)
    raise LookupError(f"no PostgreSQL on port {port}")


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid == root:
            return True
        pid = parents.get(pid, 0)
    return False
