"""When API keys, runtimes' keys and SCIM tokens were used last: noted in memory at each request, written down once a minute, all in one statement."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError

from controlplane.db.database import Database
from controlplane.kit.ids import KeyId, ScimTokenId, TenantId

EVERY: Final = timedelta(minutes=1)
"""A write per request would queue up behind one row. What a process that ends has not written is lost."""

KEEP: Final = text("""
    UPDATE api_keys k SET last_used_at = u.at, last_used_from = u.address
    FROM json_to_recordset(CAST(:rows AS json)) AS u(id uuid, at timestamptz, address text)
    WHERE k.tenant_id = :tenant_id AND k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
""")


KEEP_SCIM: Final = text("""
    UPDATE scim_tokens k SET last_used_at = u.at, last_used_from = u.address
    FROM json_to_recordset(CAST(:rows AS json)) AS u(id uuid, at timestamptz, address text)
    WHERE k.tenant_id = :tenant_id AND k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
""")

KEEP_OF_RUNTIMES: Final = text("""
    UPDATE runtime_keys k SET last_used_at = u.at, last_used_from = u.address
    FROM json_to_recordset(CAST(:rows AS json)) AS u(id uuid, at timestamptz, address text)
    WHERE k.tenant_id = :tenant_id AND k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)
""")

KEEP_SYNCED: Final = text("""
    UPDATE scim_tokens k SET synced_at = u.at
    FROM json_to_recordset(CAST(:rows AS json)) AS u(id uuid, at timestamptz, address text)
    WHERE k.tenant_id = :tenant_id AND k.id = u.id AND (k.synced_at IS NULL OR k.synced_at < u.at)
""")
"""The last time that a directory changed something."""

Used: TypeAlias = KeyId | ScimTokenId


class Use(Struct, frozen=True):
    id: Used
    at: datetime
    address: str


class KeyUses:
    """What one process has noted since it last wrote."""

    def __init__(self, statement: TextClause = KEEP) -> None:
        """
        Args:
            statement: Writes them down, as :data:`KEEP` does.
        """
        self._statement = statement
        self._noted: dict[tuple[TenantId, Used], Use] = {}

    def note(self, tenant_id: TenantId, key_id: Used, at: datetime, address: str) -> None:
        """Remember that a key was used; the last time counts."""
        self._noted[tenant_id, key_id] = Use(key_id, at, address)

    async def keep(self, db: Database) -> int:
        """Write down what was noted, one statement a tenant, and return how many keys that were.

        Raises:
            ExceptionGroup: Of what went wrong with single tenants, whose uses are noted again; the others are written.
        """
        noted, self._noted = self._noted, {}
        by_tenant: dict[TenantId, list[Use]] = defaultdict(list)
        for (tenant_id, _), use in noted.items():
            by_tenant[tenant_id].append(use)
        failures: list[DBAPIError] = []
        for tenant_id, uses in by_tenant.items():
            try:
                async with db.tenant(tenant_id) as tx:
                    await tx.load(self._statement, rows=msgspec.json.encode(uses).decode())
            except DBAPIError as error:
                failures.append(error)
                for use in uses:
                    self._noted.setdefault((tenant_id, use.id), use)
        if failures:
            raise ExceptionGroup("some uses of keys were not written", failures)
        return len(noted)
