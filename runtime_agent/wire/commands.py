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
LONGEST_WAIT_S: Final = 50
LONGEST_COMMENT: Final = 1000

CommandId: TypeAlias = Annotated[str, Meta(pattern="^cmd_[0-9a-z]{26}$")]

Kind: TypeAlias = Literal[
    "rescan", "drain", "pause", "resume", "cancel", "approve", "reject", "rollback", "undo", "collect-logs"
]
"""What an agent of this version can do. Agents refuse kinds that they do not know."""

Reached: TypeAlias = Literal["running", "succeeded", "failed", "expired"]
"""How far a command has got, as the agent says. The control plane itself says queued, delivered and superseded."""

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class Place(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checkpoint of the session."""

    id: str
    """``cp_…``: what the control plane knows it by."""
    checkpoint: str
    """The source's own name."""
    created_at: str
    """RFC 3339, to the millisecond: two of them may share a name."""
    digest: str = ""
    """Over its file, as the runtime said; empty where it never did. HMAC-SHA-256 where there is a :attr:`kid`."""
    kid: str = ""
    """The tenant's key that its content key is sealed to."""


class Collecting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which logs are to be put into a bundle: of the command's session, or of all that wrote any in a time."""

    logs: Annotated[list[Annotated[str, Meta(max_length=40)]], Meta(min_length=1, max_length=10)]
    """As of tails: ``details``, ``tools``, ``raw``; of the last all files of the sessions' folders of logs."""
    since: str = ""
    """RFC 3339: what was last written before is left out. Empty: whatever its age."""
    until: str = ""
    """What began later is left out. Empty: until the bundle is made."""


class Bundle(Struct, frozen=True, kw_only=True):
    """A file of logs in the agent's own home. What it holds does not leave by us; this is all that is said of it."""

    name: Annotated[str, Meta(pattern=r"^[0-9a-z_-]{1,60}\.zip$")]
    """In the folder ``collected`` of the agent's home."""
    bytes: Count
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    sessions: Count
    files: Count
    lines: Count
    shortened: Count
    """Of the lines, those that are there in part, or as a note: too long, or no entry."""
    refused: Count
    """Files that were not read: links, folders, and what may not be."""
    beyond: Count
    """Files that there was no room for, or not for all of them: the older ones."""

    def __str__(self) -> str:
        left_out = {"refused": self.refused, "beyond the limit": self.beyond}
        without = ", ".join(f"{number} {why}" for why, number in left_out.items() if number)
        said = f"{self.lines} lines of {self.files} files in {self.name}"
        return f"{said}; files left out: {without}" if without else said


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to do, once. All of it is signed: what is empty is left out, so that agents that do not know a field
    can still check what does not need it."""

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
    place: Place | None = None
    """Of a rollback, and of a resume from somewhere else than where the session stopped."""
    undoes: str = ""
    """Of an undo: the command, ``cmd_…``, whose effect on the session's files is taken back."""
    collecting: Collecting | None = None
    """Of a collection of logs."""
    though_lost: bool = False
    """Of what changes a session that looks lost: somebody has made sure that its process has ended."""
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
    config: Count = 0
    """Generation of the configuration that there is for the runtime; 0: none, or the same as was named."""
    again_ms: Count = 0
    """Wait a random part of this before the next poll: the replica that answers is about to end."""
    tails: list[Ask] = []
    """Of logs: all that are open now."""


class Accepted(Struct, frozen=True, kw_only=True):
    """These stand on the agent's disk."""

    commands: Annotated[list[CommandId], Meta(max_length=MOST_AT_ONCE)]


class Confirmed(Struct, frozen=True, kw_only=True):
    void: list[str]
    """Those that are not to be carried out after all."""
