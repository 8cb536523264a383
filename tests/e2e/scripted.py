"""A network between agent and server that does with each call what the test has written down."""

from tests.faults.proxy import FATES, Proxy


class Quiet:
    """A trace that nobody reads."""

    def say(self, *_):
        """Nothing."""


class Scripted(Proxy):
    """Everything is delivered but what *script* says: by path, a fate for each of the next calls."""

    def __init__(self, target, script):
        self.script = script
        self._fate = FATES[0]
        super().__init__(target, self, Quiet())

    async def _pass_on(self, request, writer):
        path = request.split(b" ", 2)[1].decode().partition("?")[0].removeprefix("/v1/runtime")
        fates = self.script.get(path)
        self._fate, self.rough = fates.pop(0) if fates else FATES[0], True
        return await super()._pass_on(request, writer)

    def choices(self, *_):
        """As dice would."""
        return [self._fate]

    def uniform(self, least, _):
        """The shortest of all waits."""
        return least
