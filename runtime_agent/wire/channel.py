"""The channel: what polls hear, over a WebSocket that stays open. A question, its answer, the next question.

``GET /v1/runtime/channel`` is opened as a poll is called. Each frame of the agent is an :class:`Asking`, each of the
control plane :class:`runtime_agent.wire.commands.Orders`, as JSON: what a poll says in its query, and its answer.
"""

from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from runtime_agent.wire.commands import LONGEST_WAIT_S
from runtime_agent.wire.logs import MOST_TAILS, TailId
from runtime_agent.wire.types import Count

PATH: Final = "/v1/runtime/channel"

FRAME_BYTES: Final = 4 << 10
"""Of a question."""

QUESTION_WITHIN_S: Final = 30
"""After an answer, or the beginning, until the next question; then the control plane hangs up."""

GOING: Final = 1012
"""Closed with this: the replica is about to end."""

REFUSED: Final = 4000
"""Closed with this and the status that a call would have got; the reason is the problem's code."""

OVER: Final = REFUSED + 401
"""The token has ended, or does not count any more."""


class Asking(Struct, frozen=True, kw_only=True):
    """Where the agent stands, and how long it waits for something new. One that comes before the answer to the one
    before takes its place."""

    store: UUID | None = None
    after: Count = 0
    wait: Annotated[int, Meta(ge=0, le=LONGEST_WAIT_S)] = 0
    """Seconds."""
    config: Count = 0
    tails: Annotated[list[TailId], Meta(max_length=MOST_TAILS)] = []
    """Of logs, that the agent knows to be open."""
