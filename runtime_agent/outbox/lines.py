"""What a line of the log is made of."""

import os
from datetime import datetime
from uuid import UUID

import msgspec

from runtime_agent.clock import to_ms

encode = msgspec.json.Encoder().encode
"""A record as the line that is sent, without its line feed; written once and never again."""


def new_record_id(at: datetime) -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance."""
    number = to_ms(at) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    return UUID(int=number & ~(3 << 62) | 2 << 62)
