"""The network between agent and server, which does with each message what the schedule says."""

import asyncio
import threading
from collections import Counter
from contextlib import suppress

from tests.faults.campaign.link import Link
from tests.faults.campaign.losses import DIED, SAID
from tests.faults.proxy import LABELS, _message, _place, _status

AROUND = ("server-dies", "link-breaks")
"""The death of the server, or of a connection between it and its database."""

FATES = ("deliver", "lose", "mute", "double", "late", "copy", "echo", "agent-dies", "agent-dies-unheard", *AROUND)
"""lose: never arrives; mute: arrives, its answer does not; double: arrives twice; late: arrives after others that are
sent after it, or never; copy: arrives, and once more as late; echo: answered as one like it was before; agent-dies: when
it has left; agent-dies-unheard: before the answer is there; server-dies, link-breaks: while it is handled, at a place."""

ONCE = {"late": "lose", "copy": "double", "echo": "deliver"}
"""Of the call that joins."""

UNLIKE = {"echo": "deliver"}
"""Of calls that are not appends."""

HEARD_S = 0.1
"""Whoever answers before the database has heard everything has done so by then."""


class Network:
    """Listens on a port of its own for requests to *target*, the port of a server on this machine."""

    def __init__(self, target, database):
        """
        Args:
            database: URL by which the server would log in to it.
        """
        self.fates = []
        """Of the messages that come next; those after them are delivered."""
        self.late = []
        """Appends and others that are still on their way, oldest first."""
        self.kill_agent = self.kill_server = lambda: None
        self.trace = None
        self.heard = []
        """Path, body and answer of every call that the server answered well, every heartbeat that left, and what befell
        the server, in order."""
        self.happened = Counter()
        """Fates that messages really had, and how many messages there were."""
        self.link = Link(database)
        self._target = target
        self._before = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self):
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self.link.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def begin(self, trace):
        """Another schedule, another agent: nothing is on its way."""
        self.fates, self.late, self.heard, self.trace, self._before = [], [], [], trace, {}
        self.happened = Counter()

    def note(self, what):
        """Something befell the server."""
        self.heard.append((what, b"", b""))

    def arrive(self, number):
        """Let what is on its way for long arrive now: the one at place *number*, and nobody hears the answer."""
        if self.late:
            path, request = self.late.pop(number % len(self.late))
            self.happened["arrived late"] += 1
            asyncio.run_coroutine_threadsafe(self._belated(path, request), self._loop).result()

    async def _belated(self, path, request):
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._ask(f"{path}", request, ", late")

    async def _listen(self):
        await self.link.open()
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader, writer):
        try:
            while request := await _message(reader):
                answer = await self._pass_on(request)
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _fate(self, path):
        told, place = self.fates.pop(0) if self.fates else ("deliver", "")
        changed = ONCE if path == "/enroll" else {} if path == "/sync/log" else UNLIKE
        fate = changed.get(told, told)
        if fate == "echo" and path not in self._before:
            fate = "deliver"
        self.happened["messages"] += 1
        if fate not in ("deliver", *AROUND):
            self.happened[fate] += 1
        return fate, place

    async def _pass_on(self, request):
        """The answer; empty where none comes."""
        path = request.split(b" ", 2)[1].decode().removeprefix("/v1/runtime")
        fate, place = self._fate(path)
        told = "" if fate == "deliver" else f"{fate} {place}"
        self.trace.say(LABELS.get(path, "send"), f"{path} {_place(request)}{told}")
        if fate in ("late", "copy"):
            self.late.append((path, request))
        if fate == "agent-dies":
            self.kill_agent()
        if fate in ("lose", "late"):
            self.trace.say("drop", path)
            return b""
        if fate in AROUND:
            return await self._disturbed(path, request, fate, place)
        answer = await self._ask(path, request)
        if fate == "double":
            answer = await self._ask(path, request)
        return self._answered(path, fate, answer)

    def _answered(self, path, fate, answer):
        """What of it comes back to the agent."""
        if fate == "agent-dies-unheard":
            self.kill_agent()
        before = self._before.get(path, b"")
        if _status(answer).startswith("2"):
            self._before[path] = answer
        if fate == "echo":
            answer = before
        if fate in ("mute", "agent-dies", "agent-dies-unheard") or not answer:
            self.trace.say("drop", f"answer to {path}")
            return b""
        self.trace.say("rcv", f"{path} {_status(answer)}{' of before' if fate == 'echo' else ''}")
        return answer

    async def _disturbed(self, path, request, fate, place):
        """At that place, or as soon as the answer is there, which then arrives.

        Where the place was reached and there is an answer nevertheless, the server did not wait for its database.
        """
        watch = self.link.watch(place, lets_go=fate == "link-breaks")
        asking = asyncio.ensure_future(self._ask(path, request))
        await asyncio.wait({asking, watch.reached}, return_when=asyncio.FIRST_COMPLETED)
        reached = watch.reached.done()
        if fate == "server-dies":
            if reached:
                await asyncio.wait({asking}, timeout=HEARD_S)
            self.kill_server()
        else:
            self.note(DIED)
        self.happened[f"{fate}, {place if reached else 'answered'}"] += 1
        try:
            answer = await asking
        except (OSError, asyncio.IncompleteReadError):
            return b""
        finally:
            self.link.forget()
        self.trace.say("rcv", f"{path} {_status(answer)}")
        return answer

    async def _ask(self, path, request, how=""):
        """The server's answer, over a connection of its own.

        Raises:
            OSError, asyncio.IncompleteReadError: There was none, or half of one.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        if path == "/heartbeat":
            self.heard.append((SAID, _body(request), b""))
        try:
            writer.write(request)
            await writer.drain()
            answer = await _message(reader)
            if not answer:
                raise ConnectionResetError
            status = _status(answer)
            self.trace.say("srv", f"{path}{how} {status}")
            if status.startswith("2"):
                self.heard.append((path, _body(request), _body(answer)))
            return answer
        finally:
            writer.close()


def _body(message):
    return message.partition(b"\r\n\r\n")[2]
