"""The way between a server and its database, on which either can be cut off at one word of what they say.

A server that is killed some milliseconds after a call has come dies in another place each time. One that is killed when
its COMMIT is on the way dies there, whatever the machine is busy with.
"""

import asyncio
from urllib.parse import urlsplit

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"

PLACES = ("begun", "uncommitted", "committed", "told")
"""Of a call, by what the database says of it. begun: its first word does not get there; uncommitted: its COMMIT does not;
committed: it does, and the server does not hear so; told: it hears so, and what it says next does not get there."""

CHUNK = 1 << 16


class Watch:
    """For one place in what is said from now on."""

    def __init__(self, place, *, lets_go):
        """
        Args:
            lets_go: Whether the connection is cut there; otherwise it is held until this is over.
        """
        self.reached = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        self.lets_go = lets_go
        self._place = place
        self._committing = None
        self._told = False

    def stops_word(self, talk, word):
        if self.reached.done():
            return False
        stops = {"begun": True, "uncommitted": COMMIT in word, "told": self._told}.get(self._place, False)
        if COMMIT in word:
            self._committing = talk
        return stops and self._reach()

    def stops_answer(self, talk):
        if self.reached.done() or talk is not self._committing:
            return False
        self._committing, self._told = None, True
        return self._place == "committed" and self._reach()

    def _reach(self):
        self.reached.set_result(None)
        return True


class Link:
    """Listens on a port of its own; belongs to the loop that it is opened in."""

    def __init__(self, url):
        """
        Args:
            url: Of the database, as the server logs in to it.
        """
        there = urlsplit(url)
        self._target = there.hostname, there.port
        self._url = there
        self._watch = None

    @property
    def url(self):
        """The same database by this way."""
        port = self._server.sockets[0].getsockname()[1]
        login = self._url.netloc.rpartition("@")[0]
        return self._url._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()

    async def open(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def close(self):
        self._server.close()

    def watch(self, place, *, lets_go=False):
        """Until :meth:`forget`; one at a time."""
        self._watch = Watch(place, lets_go=lets_go)
        return self._watch

    def forget(self):
        """What was held never arrives."""
        watch, self._watch = self._watch, None
        watch.over.set()

    async def _serve(self, reader, writer):
        try:
            answers, words = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        talk = object()
        both = [
            asyncio.ensure_future(each) for each in (self._ask(reader, words, talk), self._tell(answers, writer, talk))
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            words.close()
            writer.close()

    async def _ask(self, reader, words, talk):
        """What the server says, until it has ended or is cut off."""
        while word := await reader.read(CHUNK):
            watch = self._watch
            if watch is not None and watch.stops_word(talk, word):
                await self._hold(watch)
                return
            words.write(word)

    async def _tell(self, answers, writer, talk):
        """What the database answers."""
        while answer := await answers.read(CHUNK):
            watch = self._watch
            if watch is not None and watch.stops_answer(talk):
                await self._hold(watch)
                return
            writer.write(answer)

    async def _hold(self, watch):
        """The connection ends when this returns."""
        if not watch.lets_go:
            await watch.over.wait()
