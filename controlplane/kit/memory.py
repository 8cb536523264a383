"""Keeping what is in memory there: no core dumps, and no other process of this account that reads it."""

import ctypes
import resource
import sys
from typing import Final

_SET_DUMPABLE: Final = 4
"""``PR_SET_DUMPABLE`` of Linux: at 0 nobody but root may trace the process or read its memory."""


def keep_private() -> None:
    """Once, before there is a key in memory. Children that are forked keep to it; programs that are started do not.

    Python cannot wipe what it has held: this keeps others from looking, and leaves root on the machine.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
