"""Logs on demand: what somebody looks at goes up while they look, and is kept nowhere on the way.

``GET /v1/runtime/poll`` tells which tails are open, signed; ``POST /v1/runtime/logs/{tail}`` brings the next lines and
is answered with how much more there is room for. Whoever looks away ends it: with the next answer, or with the poll.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from runtime_agent.wire.types import Count

LABEL: Final = b"engine-cloud/tail/1\n"

MOST_TAILS: Final = 4
"""Open at one runtime at once."""

CHUNK_BYTES: Final = 64 << 10
"""Of text in one call, in UTF-8; also what may be sent before the first answer."""

LINE_BYTES: Final = 16 << 10
"""Of one line; what a longer one holds beyond that is not sent."""

MOST_LINES: Final = 2_000
"""In one call."""

CAP_BYTES: Final = 16 << 20
"""Of text in one tail; whoever wants more opens another."""

LEASE_S: Final = 20
"""Without a word from whoever looks, a tail ends after that long."""

LONGEST_PATH: Final = 500

NONE: Final = "-"
"""How an agent says, at the poll, that it knows of no tail."""

TailId: TypeAlias = Annotated[str, Meta(pattern="^tail_[0-9a-z]{26}$")]

Log: TypeAlias = Literal["details", "tools", "raw"]
"""``details`` and ``tools``: what nodes and their tools did (L2, L3), only the fields that may leave. ``raw``: a file of
the session's logs as it stands, without what looks like a secret."""

Gap: TypeAlias = Literal["", "absent", "rotated", "truncated"]
"""Before these lines: the file is not there yet; another stands in its place; it was made shorter."""

Ended: TypeAlias = Literal["", "complete", "cap-reached", "not-allowed", "not-found", "path-outside", "unreadable"]
"""Why nothing more comes."""

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class Tail(Struct, frozen=True, kw_only=True):
    """What somebody looks at. All of it is signed."""

    tenant: str
    runtime: str
    """``rt_…``."""
    tail: TailId
    agent: str
    session: str
    """The source's own names."""
    log: Annotated[str, Meta(max_length=40)]
    path: Annotated[str, Meta(max_length=LONGEST_PATH)] = ""
    """Of ``raw``: a file in the session's folder of logs, or ``event_logs/`` and a file there."""
    offset: int = 0
    """Byte of the file to begin at; negative: so many before its end. It goes on to the next beginning of a line."""
    follow: bool = True
    """Wait for more at the end of the file."""
    most: Annotated[int, Meta(ge=1, le=CAP_BYTES)] = CAP_BYTES
    """Bytes of text to send, at most."""
    not_after: str
    """RFC 3339. No tail is open for longer."""

    def signed(self) -> bytes:
        """What the control plane signs."""
        return LABEL + _ENCODER.encode(self)


class Ask(Struct, frozen=True, kw_only=True):
    """A tail that is open, and the signature over it."""

    tail: Tail
    key: str
    """Which of the control plane's keys signed: one of those that sign leases."""
    signature: str
    """Ed25519; base64url."""


class Chunk(Struct, frozen=True, kw_only=True):
    """The next lines, if there are any."""

    number: Annotated[int, Meta(ge=1, le=2**53)]
    """1, 2, 3 … of one tail. One that was taken is not taken again."""
    offset: Count
    """Byte of the file where the first line begins."""
    next: Count
    """Byte of the file behind the last one."""
    size: Count
    """Of the file, now."""
    gap: Gap = ""
    lines: Annotated[list[str], Meta(max_length=MOST_LINES)] = []
    ended: Ended = ""
    """Not empty: this is the last chunk."""

    def weight(self) -> int:
        """Bytes of text, which is what credit counts; a line counts at least one."""
        return sum(max(1, len(line.encode())) for line in self.lines)


class Granted(Struct, frozen=True, kw_only=True):
    """What came of a chunk."""

    number: Count
    """The last one that was taken; a later one is to be sent again."""
    credit: Count
    """Bytes that may be sent now; 0: ask again, without lines."""
    live: bool
    """False: nobody looks any more."""
