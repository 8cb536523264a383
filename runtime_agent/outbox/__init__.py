"""The log that waits to be sent, and the scan's memory, in one SQLite file that survives kill -9 and a full disk.

``file`` opens it, ``log`` appends and acknowledges, ``epochs`` starts a log again under a new epoch, ``quarantine``
puts aside what the server refuses, ``pruning`` forgets what is safe, ``cursor`` remembers what was read and said.
Every function is one transaction: a crash leaves all of it or nothing.
"""

from runtime_agent.outbox.file import DiskFull, Outbox, OutboxDamaged, open_outbox

__all__ = ["DiskFull", "Outbox", "OutboxDamaged", "open_outbox"]
