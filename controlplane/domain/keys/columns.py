"""What a room says of a column of its own that holds envelopes, so that they can be sealed anew under another key."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from msgspec import Struct
from sqlalchemy import Table

from controlplane.domain.keys.data import FIXED, KINDS, Context, Purpose

Row: TypeAlias = Mapping[str, Any]
"""Columns of one row by name: those of its primary key, and those the room has named."""


class SealedColumn(Struct, frozen=True):
    """Envelopes of one purpose. There may be several columns in one table, and several purposes over all."""

    table: Table
    column: str
    purpose: Purpose
    place: Callable[[Row], Context]
    """Where the envelope of a row stands, exactly as the room itself says it when it seals."""
    reads: tuple[str, ...] = ()
    """Columns besides the primary key that *place* looks at, such as a version."""

    @property
    def kind(self) -> str:
        """Of the data keys that its envelopes name."""
        return KINDS[self.purpose]

    @property
    def fixed(self) -> bool:
        """Its envelopes stay as they were written."""
        return self.kind in FIXED
