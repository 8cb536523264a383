"""Instants as the API shows them: RFC 3339, UTC, milliseconds."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias, overload

from msgspec import Meta

Moment: TypeAlias = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""``2026-11-09T13:41:25.650Z``."""


@overload
def moment(instant: datetime) -> Moment: ...


@overload
def moment(instant: datetime | None) -> Moment | None: ...


def moment(instant: datetime | None) -> Moment | None:
    """*instant* as it is shown; None stays None."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
