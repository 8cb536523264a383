"""`controlplane`: what the person running the service types.

What is heavy is imported where it is used: ``--help`` must not load a server.
"""

from controlplane.cli.program import main

__all__ = ["main"]
