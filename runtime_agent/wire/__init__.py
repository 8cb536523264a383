"""What a runtime agent and the control plane say to each other.

This package is the only code that both programs share.
It needs msgspec and the standard library, nothing else.

Compatibility:
    Agents in customers' networks are older than the server, sometimes by a year.
    Add fields with a default; never rename, retype or remove one.
    Unknown fields are ignored on both sides.

History of PROTOCOL:
    1: 2026-11-21 join, token, hello, log, diff, heartbeat; sessions, runs, checkpoints, cost lines, gaps, quarantine;
        commands; desired configuration, the first with the answer to join; budgets.
"""

PROTOCOL = 1
"""Sent with every call. The server speaks this number and the one before it."""
