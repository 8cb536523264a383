"""Purges a tenant in one process after the other, each killed, as by a power cut, one commit further than the last.

python -m tests.purge_and_die URL TENANT_ID NOW MOST

Prints how many were killed before one of them got to the end.
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


async def purge(url: str, tenant: str, now: datetime, steps: int) -> None:
    db = Database(url, lambda: now, sealing=keys.sealing(KEYRING), pool_size=1)
    left = steps
    async for done in purges.purge(db, KEYRING, SHELL, TenantId(UUID(tenant)), rows_at_once=ROWS_AT_ONCE):
        left -= 1
        if not left and done != "done":
            os.kill(os.getpid(), signal.SIGKILL)
    await db.close()


def main(url: str, tenant: str, now: str, most: str) -> None:
    for killed in range(int(most)):
        child = os.fork()
        if not child:
            # each finds first that the purge has begun; its second step is the one after which the last was killed
            asyncio.run(purge(url, tenant, datetime.fromisoformat(now), 2 if killed else 1))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not status:
            print(killed)  # noqa: T201 the test reads it
            return
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit("it ended by itself, and not well")
    sys.exit("it does not get any further")


if __name__ == "__main__":
    main(*sys.argv[1:])
