"""Instants as the API shows them: RFC 3339, UTC, milliseconds."""

from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias, overload

from msgspec import Meta

Moment: TypeAlias = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""``2026-11-09T13:41:25.650Z``."""

WITHOUT_ZONE: Final = len("2026-11-09T13:41:25.650")


@overload
def moment(instant: datetime) -> Moment: ...


@overload
def moment(instant: datetime | None) -> Moment | None: ...


def moment(instant: datetime | None) -> Moment | None:
    """*instant* as it is shown; None stays None."""
    if instant is None:
        return None
    in_utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return f"{in_utc.isoformat('T', 'milliseconds')[:WITHOUT_ZONE]}Z"
