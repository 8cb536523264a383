"""The lines of a runtime's log: one JSON object each, told apart by ``kind``.

A line has neither sequence number nor epoch: its position gives them, so that a record sent again in a later epoch
keeps its bytes and its hash. Only what is on the allow-list leaves the network; see ``runtime_agent.redact``.
"""

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta, Struct

from runtime_agent.wire.budgets import BudgetId
from runtime_agent.wire.commands import Bundle, CommandId, Reached
from runtime_agent.wire.content import Content
from runtime_agent.wire.types import Amount, Count, Instant, Key, Line, Name, Quality, Seq, Status, WaitingFor

MAX_RECORD_BYTES = 256 * 1024
"""The longest line. A longer one becomes a ``quarantine`` record."""

MAX_NODES = 200
"""Node visits that one session record carries, the newest; ``nodes_omitted`` counts the others."""

MAX_PATH = 1000
MAX_REASONS = 20


class Error(Struct, frozen=True, kw_only=True, gc=False):
    """Why something failed: its class and first line. Never a stack trace."""

    name: Name
    line: Line = ""


class NodeVisit(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One visit of a node, in the order in which they ended."""

    node: Name
    type: Name | None = None
    outcome: Name = "success"
    """The source's own word: success, failure, stalled, escalated, paused, guard_failure."""
    attempt: Amount = 1
    steps: Amount = 0
    retries: Amount = 0
    latency_ms: Amount = 0
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    tools: Amount = 0
    """Tool calls made during the visit."""
    error: Error | None = None
    trace: Annotated[str, Meta(max_length=64)] = ""
    """Groups the visits of one run."""


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="kind"):
    record_id: UUID
    """UUIDv7, made once by the agent; stays when the record is sent again."""
    occurred_at: Instant
    """When the agent wrote the line, by its own clock."""


class SessionState(Record, frozen=True, kw_only=True, tag="session"):
    """All that is known of one session; a later state replaces an earlier one."""

    agent: Name
    session: Key
    changed_at: Instant
    """The source's own time of this state; never goes back inside one outbox."""
    source_status: Annotated[str, Meta(max_length=64)] = ""
    status: Status
    waiting_for: WaitingFor | None = None
    quality: Quality = "unknown"
    attention: Annotated[list[Line], Meta(max_length=MAX_REASONS)] = []
    started_at: Instant
    started_raw: Annotated[str, Meta(max_length=64)] = ""
    """The source's own text of ``started_at``, zone or none."""
    updated_at: Instant | None = None
    ended_at: Instant | None = None
    duration_ms: Amount | None = None
    current_node: Name | None = None
    path: Annotated[list[Name], Meta(max_length=MAX_PATH)] = []
    visits: dict[Name, Amount] = {}
    steps: Amount = 0
    retries: Amount = 0
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    logged_input_tokens: Amount = 0
    """What a session without a summary logged node by node; shown apart."""
    logged_output_tokens: Amount = 0
    error: Error | None = None
    nodes: Annotated[list[NodeVisit], Meta(max_length=MAX_NODES)] = []
    nodes_omitted: Amount = 0
    goal: Name | None = None
    entry_point: Name | None = None
    claimed_by: Name | None = None
    claimed_at: Instant | None = None
    system: Name = "engine"


class RunState(Record, frozen=True, kw_only=True, tag="run"):
    """One finished graph execution of a session. A resumed session has several."""

    agent: Name
    session: Key
    run: Key
    """The source's own text of the run's start, or its execution id."""
    changed_at: Instant
    source_status: Annotated[str, Meta(max_length=64)] = ""
    status: Status
    waiting_for: WaitingFor | None = None
    quality: Quality = "unknown"
    attention: Annotated[list[Line], Meta(max_length=MAX_REASONS)] = []
    started_at: Instant
    ended_at: Instant | None = None
    duration_ms: Amount | None = None
    path: Annotated[list[Name], Meta(max_length=MAX_PATH)] = []
    steps: Amount = 0
    retries: Amount = 0
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    error: Error | None = None
    trace: Annotated[str, Meta(max_length=64)] = ""
    execution: Annotated[str, Meta(max_length=64)] = ""
    system: Name = "engine"


class CheckpointSeen(Record, frozen=True, kw_only=True, tag="checkpoint"):
    """A checkpoint that the source wrote. That it deletes it later is no news to anybody.

    Said again with :attr:`content` where that may leave.
    """

    agent: Name
    session: Key
    checkpoint: Key
    created_at: Instant
    created_raw: Annotated[str, Meta(max_length=64)]
    """With the id the natural key: two visits of a node within a second share the id."""
    type: Name
    node: Name | None = None
    next_node: Name | None = None
    clean: bool = True
    system: Name = "engine"
    content: Content | None = None
    """What its file held. The chunks go another way, and later."""


class CostLine(Record, frozen=True, kw_only=True, tag="cost"):
    """What one model or tool call cost, as the source attributed it."""

    agent: Name
    session: Key
    entry: Key
    spent_at: Instant
    node: Name | None = None
    attempt: Amount = 1
    step: Amount = 0
    type: Name = "llm"
    """``llm`` or ``tool``."""
    model: Name | None = None
    tool: Name | None = None
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    micro_usd: Amount = 0
    """Millionths of a US dollar, by the source's price list: to show, not to bill."""
    duration_ms: Amount = 0
    flags: Annotated[list[Name], Meta(max_length=MAX_REASONS)] = []


class Gap(Record, frozen=True, kw_only=True, tag="gap"):
    """The agent could not keep what it saw: a full disk, say. What is missing, as far as it is known."""

    reason: Name
    count: Amount
    first_at: Instant | None = None
    last_at: Instant | None = None
    detail: Line = ""


class Quarantine(Record, frozen=True, kw_only=True, tag="quarantine"):
    """Stands at the place of a record that the server refused. The record itself stays with the agent."""

    code: Name
    """The server's problem code, or the agent's own reason."""
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    bytes: Amount
    of_kind: Annotated[str, Meta(max_length=64)] = ""
    detail: Line = ""
    was_seq: Seq | None = None


class CommandState(Record, frozen=True, kw_only=True, tag="command"):
    """How far a command has got. ``occurred_at`` is when."""

    command: CommandId
    state: Reached
    code: Annotated[str, Meta(max_length=64)] = ""
    """Why it did not succeed, for programs."""
    line: Line = ""
    """What came of it, for people."""
    bundle: Bundle | None = None
    """Of logs that were collected."""


class BudgetState(Record, frozen=True, kw_only=True, tag="budget"):
    """What has become of a budget at this runtime. ``occurred_at`` is when."""

    budget: BudgetId
    starts_at: Instant
    """Of the period."""
    state: Literal["warned", "exhausted", "unenforced", "released"]
    """``unenforced``: it is used up, and what runs could not be paused."""
    percent: Amount = 0
    """Of a warning: the threshold."""
    used: Count = 0
    """By this runtime in the period."""
    amount: Count = 0
    """Its slice."""
    code: Annotated[str, Meta(max_length=64)] = ""
    """Why it could not be enforced, for programs."""
    line: Line = ""
    """For people."""


AnyRecord: TypeAlias = (
    SessionState | RunState | CheckpointSeen | CostLine | Gap | Quarantine | CommandState | BudgetState
)
"""What a line may be. Decode with ``msgspec.json.Decoder(AnyRecord)``."""
