"""A runtime's own interface, through which its sessions are paused, resumed, stopped and answered."""

from typing import Protocol


class Failed(Exception):
    """It was not done; ``code`` says why for programs."""

    def __init__(self, code: str, line: str) -> None:
        super().__init__(line)
        self.code = code


class Acting(Protocol):
    """Each returns what came of it, for people, and raises :class:`Failed`. Sessions go by the source's own names."""

    async def runs(self, session: str) -> bool:
        """Whether it is known there to run. Never raises: what cannot be asked knows of none."""
        ...

    async def pause(self, session: str) -> str: ...

    async def resume(self, session: str) -> str: ...

    async def resume_from(self, agent: str, session: str, checkpoint: str) -> str:
        """Go on from a checkpoint that is in the session's folder."""
        ...

    async def cancel(self, session: str) -> str: ...

    async def say(self, session: str, words: str) -> str:
        """What a person says to a session that waits for it."""
        ...
