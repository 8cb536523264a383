"""Whether a port can be had, and who has it."""

import socket
from contextlib import suppress
from pathlib import Path

from controlplane.cli.problems import Declined

LISTENING = "0A"
"""State of a listening socket in ``/proc/net/tcp``."""


def refuse_taken(host: str, port: int) -> None:
    """Find out now, in words: several servers of one account could share a port, each answering half of the calls.

    Raises:
        Declined: If somebody listens there already, or if *host* is no address of this machine.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise Declined(f"{host} is no address of this machine.", "Give another --host.") from None
    except OSError as error:
        who = f" by {taken}" if (taken := holder(port)) else ""
        raise Declined(
            f"{host}:{port} cannot be used: {error.strerror}{who}.", "Stop it, or give another --port."
        ) from None


def holder(port: int) -> str | None:
    """The process that listens on *port*, as ``process 12 (nginx)``; None where this account cannot see it."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if _holds(folder / "fd", sockets):
                return f"process {folder.name} ({(folder / 'comm').read_text().strip()})"
        except OSError:  # ended meanwhile, or another account's
            continue
    return None


def _holds(handles: Path, sockets: set[str]) -> bool:
    """Whether one of *handles*, which are opened and closed meanwhile, is one of *sockets*."""
    for handle in handles.iterdir():
        with suppress(FileNotFoundError):
            if str(handle.readlink()) in sockets:
                return True
    return False


def reachable_at(host: str) -> str:
    """The address under which a server that listens on *host* is called from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104


def answers(url: str) -> bool:
    """Whether *url* of a server on this machine answers well within a second or so."""
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - http, and our own server's
            return True
    except OSError:
        return False


def _listening(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows = (line.split() for line in table.read_text().splitlines()[1:])
            inodes |= {row[9] for row in rows if row[3] == LISTENING and row[1].endswith(f":{port:04X}")}
    return inodes
