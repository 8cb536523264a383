"""Becomes another program, one that the system kills when whoever started it ends, however that ends.

``python -I -S tied.py PARENT PROGRAM WORD…``, with the parent's process id. Standard library only: it must be quick.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):  # else it ended before it could be watched
    os.execv(sys.argv[2], sys.argv[2:])
