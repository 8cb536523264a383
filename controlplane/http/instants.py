"""Instants as the API shows them: RFC 3339, UTC, milliseconds."""

from datetime import datetime
from typing import Annotated, TypeAlias, overload

from msgspec import Meta

from controlplane.kit.clock import rfc3339

Moment: TypeAlias = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""``2026-11-09T13:41:25.650Z``."""


@overload
def moment(instant: datetime) -> Moment: ...


@overload
def moment(instant: datetime | None) -> Moment | None: ...


def moment(instant: datetime | None) -> Moment | None:
    """*instant* as it is shown; None stays None."""
    return None if instant is None else rfc3339(instant)
