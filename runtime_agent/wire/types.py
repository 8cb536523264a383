"""The bounded scalars that messages are made of."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""An aware instant; a naive one is refused."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
"""A name that the source chose: of an agent, a node, a model, a tool."""

Key: TypeAlias = Annotated[str, Meta(min_length=1, max_length=300)]
"""What the source itself calls a thing, unique there."""

Line: TypeAlias = Annotated[str, Meta(max_length=500)]
"""One line of text, redacted and cut by the agent."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
"""A non-negative number that a double holds exactly."""

Amount: TypeAlias = Annotated[int, Meta(ge=0, le=2**40)]
"""Tokens, steps, milliseconds, millionths of a dollar: millions of them still add up in 64 bits."""

Seq: TypeAlias = Annotated[int, Meta(ge=1, le=2**53)]
"""A record's position in its epoch; the first is 1."""

Epoch: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
"""A writer's incarnation, granted by the server; 0 before the first was granted."""

Head: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""A chain head, 32 bytes in hexadecimal."""

Status: TypeAlias = Literal["running", "waiting", "succeeded", "failed", "cancelled", "lost"]
WaitingFor: TypeAlias = Literal["human_approval", "resume"]
Quality: TypeAlias = Literal["clean", "degraded", "failed", "unknown"]
