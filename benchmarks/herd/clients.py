"""A process full of simulated runtimes, told by lines of JSON what to do: ``python -m benchmarks.herd.clients FILE``."""

import asyncio
import gc
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

import msgspec
import uvloop
from msgspec import Struct

from benchmarks.herd.counting import Tally
from benchmarks.herd.runtime import Given, Runtime, World, session_line

BATCH = 500


class Word(Struct):
    """What to do."""

    do: str
    """``start``, ``polls``, ``restart``, ``live``, ``catch-up``, ``quiet``, ``report`` or ``stop``."""
    first: int = 0
    count: int = 0
    seconds: float = 0.0
    """Of ``start``: in which all begin; of ``live``: between the records of one."""
    batches: int = 0
    on: bool = True


class Crowd:
    def __init__(self, port: int, given: list[Given]) -> None:
        self.world = World(port=port, tally=Tally())
        self.runtimes = [Runtime(each, self.world) for each in given]
        self._tasks: set[asyncio.Task[None]] = set()
        self._senders: set[asyncio.Task[None]] = set()

    def start(self, word: Word) -> None:
        some = self.runtimes[word.first : word.first + word.count]
        for place, runtime in enumerate(some):
            self._tasks.add(asyncio.create_task(self._later(runtime, word.seconds * place / max(1, len(some)))))

    def live(self, word: Word) -> None:
        for runtime in self.runtimes[word.first : word.first + word.count]:
            self._senders.add(asyncio.create_task(runtime.live(word.seconds)))

    def catch_up(self, word: Word) -> None:
        at = datetime.now(UTC) - timedelta(days=3)
        lines = [session_line(0, at + timedelta(seconds=n), n) for n in range(word.batches * BATCH)]
        batches = [lines[first : first + BATCH] for first in range(0, len(lines), BATCH)]
        for runtime in self.runtimes[word.first : word.first + word.count]:
            self._senders.add(asyncio.create_task(runtime.catch_up(batches)))

    def quiet(self) -> None:
        """Nobody sends records any more."""
        for sender in self._senders:
            sender.cancel()
        self._senders.clear()

    async def _later(self, runtime: Runtime, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await runtime.run()

    def obey(self, word: Word, out: TextIO) -> None:
        if word.do == "start":
            self.start(word)
        elif word.do == "polls":
            self.world.polls = word.on
        elif word.do == "restart":
            self.world.restarted_at = word.seconds
        elif word.do == "live":
            self.live(word)
        elif word.do == "catch-up":
            self.catch_up(word)
        elif word.do == "quiet":
            self.quiet()
        elif word.do == "report":
            tally, self.world.tally = self.world.tally, Tally()
            print(msgspec.json.encode(tally).decode(), file=out, flush=True)


async def main(port: int, given: list[Given]) -> None:
    crowd = Crowd(port, given)
    gc.freeze()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():  # whoever measures has ended where there is none
        word = msgspec.json.decode(line, type=Word)
        if word.do == "stop":
            return
        crowd.obey(word, sys.stdout)


if __name__ == "__main__":
    uvloop.run(main(*msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=tuple[int, list[Given]])))
