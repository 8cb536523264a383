"""Goes on with a rotation in one process after the other, each killed, as by a power cut, one commit further on.

python -m tests.rotate_and_die URL ROTATION_ID MOST

Prints how many were killed before one of them got to the end.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from uuid import UUID

from controlplane.db.database import Database
from controlplane.domain import keys, rotations
from controlplane.domain.rotations import resealing, rewrapping
from tests.domain.test_rotations import BOTH
from tests.make import SHELL

ROWS_AT_ONCE = 7
"""So that a column takes several steps, and there is a kill between any two of them."""


async def rotate(url: str, rotation_id: UUID) -> None:
    """One commit further than whoever went before, or to the end."""
    db = Database(url, sealing=keys.sealing(BOTH), pool_size=2)
    assert db.sealing is not None
    async for rotation in rotations.go_on(db, db.sealing, SHELL, rotation_id, timedelta(0)):
        if rotation.step != "done":
            os.kill(os.getpid(), signal.SIGKILL)
    await db.close()


def main(url: str, rotation_id: str, most: str) -> None:
    resealing.AT_ONCE = rewrapping.AT_ONCE = ROWS_AT_ONCE  # type: ignore[misc]
    for killed in range(int(most)):
        child = os.fork()
        if not child:
            asyncio.run(rotate(url, UUID(rotation_id)))
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
