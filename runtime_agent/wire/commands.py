"""Commands: what the control plane asks of a runtime, signed, and what comes of each as a record of the log.

``GET /v1/runtime/poll`` hands out what is not finished, ``POST /v1/runtime/commands/ack`` says that it is on the agent's
disk. Only what was acknowledged is carried out: what was withdrawn or ran out before that never is.
"""

from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from runtime_agent.wire.logs import Ask
from runtime_agent.wire.types import Count

LABEL: Final = b"engine-cloud/command/1\n"

MOST_AT_ONCE: Final = 20
LONGEST_WAIT_S: Final = 25
LONGEST_COMMENT: Final = 1000

CommandId: TypeAlias = Annotated[str, Meta(pattern="^cmd_[0-9a-z]{26}$")]

Kind: TypeAlias = Literal["rescan", "drain", "pause", "resume", "cancel", "approve", "reject"]
"""What an agent of this version can do. Agents refuse kinds that they do not know."""

Reached: TypeAlias = Literal["running", "succeeded", "failed", "expired"]
"""How far a command has got, as the agent says. The control plane itself says queued, delivered and superseded."""

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class Command(Struct, frozen=True, kw_only=True):
    """One thing to do, once. All of it is signed."""

    tenant: str
    """Its slug, as the runtime knows it."""
    runtime: str
    """``rt_…``."""
    command: CommandId
    number: Count
    """Rises with every command of the runtime; they are carried out in this order."""
    kind: Annotated[str, Meta(min_length=1, max_length=40)]
    agent: str = ""
    session: str = ""
    """The source's own names; empty for what concerns the whole runtime."""
    changed_at: str = ""
    """Of a decision: the session's state that it was made on (RFC 3339). A later one takes another decision."""
    comment: Annotated[str, Meta(max_length=LONGEST_COMMENT)] = ""
    not_after: str
    """RFC 3339. What has not begun by then does not begin."""
    begun: bool = False
    """The runtime has said that it began: one that does not know so any more must not begin anew."""

    def signed(self) -> bytes:
        """What the control plane signs."""
        return LABEL + _ENCODER.encode(self)


class Order(Struct, frozen=True, kw_only=True):
    """A command and the signature over it."""

    command: Command
    key: str
    """Which of the control plane's keys signed: one of those that sign leases."""
    signature: str
    """Ed25519; base64url."""


class Orders(Struct, frozen=True, kw_only=True):
    """What there is to do, oldest first."""

    store_id: UUID
    """To be named at the next poll: another database may number its commands anew."""
    orders: list[Order]
    tails: list[Ask] = []
    """Of logs: all that are open now."""


class Accepted(Struct, frozen=True, kw_only=True):
    """These stand on the agent's disk."""

    commands: Annotated[list[CommandId], Meta(max_length=MOST_AT_ONCE)]


class Confirmed(Struct, frozen=True, kw_only=True):
    void: list[str]
    """Those that are not to be carried out after all."""
