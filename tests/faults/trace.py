"""What happened, in order, under the labels of the protocol's model."""

import threading
import time
from collections import Counter

SHOWN = 80
"""Events that a failure prints; all of them are in the file."""


class Trace:
    """Lines of ``seconds label what``, in memory and in a file. Used by all threads.

    Labels: commit, hello, send, drop, srv, rcv, hb, snap, rollback, backup, restore, acrash, as the model has them, and
    scrash (something on the server's side is killed), lost (both copies of something are gone), check.
    """

    def __init__(self, path):
        self.path = path
        self.labels = Counter()
        self._began = time.monotonic()
        self._lines = []
        self._lock = threading.Lock()
        self._file = path.open("a")

    def say(self, label, what=""):
        with self._lock:
            line = f"{time.monotonic() - self._began:8.3f} {label:8} {what}".rstrip()
            self.labels[label] += 1
            self._lines.append(line)
            self._file.write(line + "\n")
            self._file.flush()

    def tail(self):
        with self._lock:
            return self._lines[-SHOWN:]

    def faults(self):
        """The faults alone: what to look at first."""
        rare = ("acrash", "scrash", "snap", "rollback", "backup", "restore", "lost", "check")
        with self._lock:
            return [line for line in self._lines if line.split()[1] in rare]

    def close(self):
        self._file.close()
