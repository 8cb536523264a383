"""What ``doctor`` finds."""

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warn", "bad"]
    """``warn``: it works, and should be changed. ``bad``: it does not work, or is not safe."""
    said: str
    hint: str = ""
    """The next step, where there is one."""


def ok(name: str, said: str) -> Finding:
    return Finding(name, "ok", said)


def warn(name: str, said: str, hint: str) -> Finding:
    return Finding(name, "warn", said, hint)


def bad(name: str, said: str, hint: str) -> Finding:
    return Finding(name, "bad", said, hint)
