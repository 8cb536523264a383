"""Every column that holds envelopes: what is sealed anew when a data key is replaced, and what is not."""

from collections.abc import Sequence
from typing import Final

from controlplane.db import schema as t
from controlplane.domain import mails, recovery, totp
from controlplane.domain.audit import writing
from controlplane.domain.keys import SealedColumn
from controlplane.domain.sso import connections, entries
from controlplane.domain.vault import sealed
from controlplane.domain.webhooks import endpoints

COLUMNS: Final[Sequence[SealedColumn]] = (
    totp.SEALED,
    recovery.SEALED,
    *mails.SEALED,
    entries.SEALED,
    connections.SEALED,
    *endpoints.SEALED,
    *sealed.SEALED,
    *writing.SEALED,
)


def of(on_platform: bool) -> list[SealedColumn]:
    """Those of tenants, or of the platform, whose envelopes may be replaced."""
    return [each for each in COLUMNS if not each.fixed and (each.table.name in t.PLATFORM) == on_platform]


def kinds(on_platform: bool) -> list[str]:
    """Of the data keys that those columns name."""
    return sorted({each.kind for each in of(on_platform)})
