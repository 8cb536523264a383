"""How the control plane says no (RFC 9457 problem details)."""

from msgspec import Struct


class Problem(Struct, frozen=True, kw_only=True):
    code: str = ""
    """Stable, for programs: ``gap``. Agents switch on this and nothing else."""
    status: int = 0
    title: str = ""
    detail: str = ""
    hint: str = ""
    """What to do next, addressed to the person who reads the log."""
    request_id: str = ""
    expected: int | None = None
    """With ``gap``: the sequence number to send from."""
    seq: int | None = None
    """With a ``record-…`` code: the first record that was refused."""
    acked: int | None = None
    """With a ``record-…`` code: everything up to here was kept."""
    head: str | None = None
    """With a ``record-…`` code: chain head at ``acked``."""
    server_ms: int | None = None
    """With ``clock-skewed``: the server's clock, milliseconds since 1970."""
