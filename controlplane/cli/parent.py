"""End with the process that started us, however it ends: nobody may be left behind serving a port."""

import os
import signal
import threading
import time

LOOK_EVERY_S = 0.5
GRACE_S = 5.0
"""From SIGTERM to SIGKILL."""


def end_with(parent: int) -> None:
    """From now on: when process *parent*, which started this one, is gone, so is this one, in order if it can."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
