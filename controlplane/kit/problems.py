"""Errors that are part of the conversation, as opposed to bugs."""

from typing import ClassVar


class Refusal(Exception):
    """A request we understood and decline. Subclasses say which one and why.

    Anything that is *not* a Refusal is a bug: it becomes a 500 and wakes someone.
    """

    code: ClassVar[str]
    """For programs; never changes."""
    status: ClassVar[int]
    title: ClassVar[str]
    hint: ClassVar[str] = ""
    """What to do next."""

    @property
    def detail(self) -> str:
        """What was wrong in this very case, for people; empty where the title says it all."""
        return str(self.args[0]) if self.args else ""

    def facts(self) -> dict[str, object]:
        """What the caller's program may know about this particular refusal."""
        return {}

    def headers(self) -> dict[str, str]:
        """Response headers that belong to it, such as ``Retry-After``."""
        return {}


class NotFound(Refusal):
    """There is no such thing here. Also the answer for what belongs to somebody else."""

    code, status, title = "not-found", 404, "There is no such thing here"
    hint = "Check the id and the tenant in the path."
