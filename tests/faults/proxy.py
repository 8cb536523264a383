"""The network between agent and server: it drops, delays, doubles and cuts, and brings things much later."""

import asyncio
import re
import threading
import time
from contextlib import suppress

LABELS = {"/sync/log": "send", "/sync/hello": "hello", "/heartbeat": "hb"}

FATES = ("deliver", "drop", "cut", "half", "twice", "delay", "late")
"""drop: never arrives; cut: arrives, its answer does not; half: half of its answer does; twice: the second answer
counts; late: the connection breaks, and it arrives after others that were sent after it."""

ROUGH = (88, 2, 3, 1, 3, 2, 1)
"""Of a hundred requests."""

DELAY_S = (0.02, 0.4)
LATE_S = (0.1, 3.0)

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Proxy:
    """Listens on a port of its own for requests to *target*, the port of a server on this machine."""

    def __init__(self, target, dice, trace):
        self.open = True
        """Closed: nobody gets through, as while a server is restored."""
        self.rough = False
        self._target, self._dice, self._trace = target, dice, trace
        self._arrived = {}
        self._takes_s = {}
        self._change = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._tasks = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def await_request(self, path, patience_s):
        """Wait for the next request whose path ends with *path* to be on its way; whether one came."""
        with self._change:
            before = self._arrived.get(path, 0)
            return self._change.wait_for(lambda: self._arrived.get(path, 0) > before, patience_s)

    def arrived(self, path):
        """How many such requests were on their way so far; with ``answered`` behind it, how many got a good answer."""
        with self._change:
            return self._arrived.get(path, 0)

    def takes_s(self, path):
        """How long the server takes for such a request, of late; a guess where none was answered yet."""
        return self._takes_s.get(path, 0.05)

    async def _listen(self):
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _end(self):
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while self.open and (request := await _message(reader)):
                if not await self._pass_on(request, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pass_on(self, request, writer):
        """Whether the connection is as good as before."""
        path = request.split(b" ", 2)[1].decode().removeprefix("/v1/runtime")
        if path == "/channel":
            return False  # it knows no WebSockets; tests/e2e/tunnels.py does
        fate = self._dice.choices(FATES, ROUGH)[0] if self.rough else "deliver"
        label = LABELS.get(path, "send")
        self._trace.say(label, f"{path} {_place(request)}{'' if fate == 'deliver' else fate}")
        if fate == "drop":
            self._trace.say("drop", path)
            return False
        if fate == "late":
            self._later(request, path)
            return False
        if fate == "delay":
            await asyncio.sleep(self._dice.uniform(*DELAY_S))
        answer = await self._ask(request, path)
        if fate == "twice":
            answer = await self._ask(request, path)
        if fate in ("cut", "half"):
            writer.write(answer[: len(answer) // 2] if fate == "half" else b"")
            await writer.drain()
            self._trace.say("drop", f"answer to {path}")
            return False
        writer.write(answer)
        await writer.drain()
        self._trace.say("rcv", f"{path} {_status(answer)}")
        if _status(answer).startswith("2"):
            self._note(f"{path} answered")
        return True

    def _later(self, request, path):
        async def arrive():
            await asyncio.sleep(self._dice.uniform(*LATE_S))
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._ask(request, f"{path}, late")

        task = self._loop.create_task(arrive())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, request, path):
        """The server's answer, over a connection of its own.

        Raises:
            OSError, asyncio.IncompleteReadError: There was none, or half of one.
        """
        if not self.open:
            raise ConnectionRefusedError
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            writer.write(request)
            await writer.drain()
            self._note(path)
            began = time.monotonic()
            answer = await _message(reader)
            if not answer:
                raise ConnectionResetError
            self._takes_s[path] = (self.takes_s(path) + time.monotonic() - began) / 2
            self._trace.say("srv", f"{path} {_status(answer)}")
            return answer
        finally:
            writer.close()

    def _note(self, path):
        with self._change:
            self._arrived[path] = self._arrived.get(path, 0) + 1
            self._change.notify_all()


async def _message(reader):
    """One request or answer with its body; empty when the other side has ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = _LENGTH.search(head)
    return head + await reader.readexactly(int(length[1])) if length else head


def _place(request):
    """Of an append, its epoch and sequence numbers."""
    head = request.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
    told = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line.startswith("sync-"))
    if "sync-first" not in told:
        return ""
    first = int(told["sync-first"])
    return f"{told['sync-epoch']}/{first}-{first + int(told['sync-count']) - 1} "


def _status(answer):
    words = answer.split(b" ", 2)[1].decode()
    code = re.search(rb'"code": ?"([^"]+)"', answer)
    return f"{words} {code[1].decode()}" if code else words
