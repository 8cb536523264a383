"""A process that purges a tenant a few rows at a time and is killed, as by a power cut, after a given number of steps.

python -m tests.purge_and_die URL TENANT_ID STEPS
"""

import asyncio
import os
import signal
import sys
from datetime import datetime
from uuid import UUID

from controlplane.db.database import Database
from controlplane.domain import keys, purges
from controlplane.kit.ids import TenantId
from tests.conftest import KEYRING
from tests.make import SHELL

ROWS_AT_ONCE = 100
"""So that a table takes one step, and there is a kill between any two of them."""


async def main(url: str, tenant: str, steps: int, now: datetime) -> None:
    db = Database(url, lambda: now, sealing=keys.sealing(KEYRING), pool_size=1)
    left = steps
    async for done in purges.purge(db, KEYRING, SHELL, TenantId(UUID(tenant)), rows_at_once=ROWS_AT_ONCE):
        print(done, flush=True)  # noqa: T201 the test reads what was done
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), datetime.fromisoformat(sys.argv[4])))
