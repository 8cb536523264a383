"""``python -m benchmarks.herd``: the phases one after the other, one JSON line each; ends by itself."""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import msgspec

from benchmarks.herd.counting import Tally, quantile
from benchmarks.herd.site import Crowds, Site, Used

HALF_A_CORE: Final = 0.5
LIVE_LIMIT_MS: Final = 2_000.0
ROUND_TRIP_LIMIT_MS: Final = 200.0

IDLE: Final = 20
"""Runtimes there are while the system is idle."""

COMING_PER_S: Final = 40
"""Of the fleet, at first."""

ROUND_TRIPS: Final = 20
BATCH: Final = 500
BATCHES: Final = 20
"""That a runtime which catches up has to send."""

LIVE: Final = 200
"""Runtimes that send a record every other second beside those that catch up."""

LONGEST_S: Final = 600.0
"""Of any wait: a run that does not come to an end says so."""


class Herd:
    def __init__(self, site: Site, crowds: Crowds, options: argparse.Namespace) -> None:
        self._site, self._crowds = site, crowds
        self._fleet: int = options.runtimes
        self._seconds: float = options.seconds
        self._batches: int = max(1, options.records // BATCH)
        self._seen = Tally()

    async def run(self) -> None:
        await self._round_trips("an idle system")
        await self._coming()
        await self._heartbeats("heartbeats", polls=False)
        await self._heartbeats("heartbeats and long polls", polls=True)
        await self._round_trips("all of them connected")
        await self._restart()
        await self._catching_up()

    async def _coming(self) -> None:
        """The rest of the fleet comes: first tokens, first hellos."""
        began, before = time.monotonic(), await self._site.used()
        rest = [size - IDLE * (number == 0) for number, size in enumerate(self._crowds.sizes)]
        for number, count in enumerate(rest):
            first = IDLE * (number == 0)
            self._crowds.say(number, do="start", first=first, count=count, seconds=self._fleet / COMING_PER_S)
        await self._until(lambda tally: tally.count("hello", 200) >= sum(rest))
        tally, used = self._take(), await self._site.used()
        told(
            "coming",
            **_ratio((used.server_s - before.server_s) / self._fleet * 1000, 10.0),
            unit="ms of processor time for each that comes: token, hello, first heartbeat",
            seconds=time.monotonic() - began,
            answers=tally.answers,
        )

    async def _heartbeats(self, name: str, *, polls: bool) -> None:
        self._crowds.say_all(do="polls", on=polls)
        await asyncio.sleep(35.0)  # until all of them have said that they are connected, and have their polls open
        self._take()
        before, clients = await self._site.used(), self._crowds.cpu_s()
        await asyncio.sleep(self._seconds)
        after, tally = await self._site.used(), self._take()
        seconds = after.at - before.at
        beats = tally.count("heartbeat", 200)
        told(
            name,
            **_ratio((after.server_s - before.server_s) / seconds, HALF_A_CORE),
            unit="share of a core that the server takes",
            heartbeats_per_s=beats / seconds,
            polls_per_s=tally.count("poll", 200) / seconds,
            server_ms_per_heartbeat=(after.server_s - before.server_s) / max(1, beats) * 1000,
            postgres_share=(after.postgres_s - before.postgres_s) / seconds,
            redis_share=(after.redis_s - before.redis_s) / seconds,
            clients_share=(self._crowds.cpu_s() - clients) / seconds,
            **_written(before, after, beats),
            p50_ms=quantile(tally.took_ms.get("heartbeat", []), 0.5),
            p99_ms=quantile(tally.took_ms.get("heartbeat", []), 0.99),
            unanswered=tally.everywhere("none"),
            refused=tally.everywhere(429) + tally.everywhere(503),
            silences=await self._site.silences(),
        )

    async def _round_trips(self, when: str) -> None:
        """From asking for a command to its result's acknowledgement."""
        if when == "an idle system":
            self._crowds.say(0, do="start", first=0, count=IDLE, seconds=1.0)
            self._crowds.say_all(do="polls", on=True)
            await asyncio.sleep(8.0)
        took: list[float] = []
        path = f"/v1/tenants/{self._site.tenants[0]}/commands"
        headers = {"Authorization": f"Bearer {self._site.api_key}"}
        url = f"http://127.0.0.1:{self._site.port}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
            for _ in range(ROUND_TRIPS):
                began = time.time()
                made = await http.post(path, json={"kind": "rescan", "runtime": self._site.first})
                made.raise_for_status()
                command = made.json()["id"]
                await self._until(lambda tally, command=command: command in tally.carried_out, every_s=0.02)
                took.append((self._seen.carried_out[command] - began) * 1000)
        self._take()
        told(
            f"command round trip, {when}",
            **_ratio(quantile(took, 0.5), ROUND_TRIP_LIMIT_MS),
            unit="ms, p50: asked, handed out, acknowledged, its result held",
            p99_ms=quantile(took, 0.99),
        )

    async def _restart(self) -> None:
        """The only replica is stopped and started again, and all of them come back."""
        self._take()
        silences = await self._site.silences()
        stopping_s = await asyncio.to_thread(self._site.stop_serving)
        self._crowds.say_all(do="restart", seconds=time.time())
        began, wall = time.monotonic(), time.time()
        await asyncio.to_thread(self._site.serve)
        serving_s = time.monotonic() - began
        before = await self._site.used()
        busiest = 0.0
        while len(self._tell().back_s) < self._fleet and time.monotonic() - began < LONGEST_S:
            then = await self._site.used()
            await asyncio.sleep(2.0)
            now = await self._site.used()
            busiest = max(busiest, (now.server_s - then.server_s) / (now.at - then.at))
        after, tally = await self._site.used(), self._take()
        back = sorted(at - wall for at in tally.back_s)
        told(
            "restart",
            **_ratio(back[-1] if back else LONGEST_S, 105.0),
            unit="seconds until all are back; after 105 without a heartbeat one counts as silent",
            back=len(back),
            half_back_s=quantile(back, 0.5),
            stopping_s=stopping_s,
            serving_s=serving_s,
            false_silences=await self._site.silences() - silences,
            refused=tally.everywhere(429) + tally.everywhere(503),
            longest_retry_after_s=tally.longest_retry_after_s,
            too_soon=tally.too_soon,
            busiest_share=busiest,
            hellos=tally.count("hello", 200),
            **_written(before, after, tally.count("heartbeat", 200)),
            answers=tally.answers,
        )

    async def _catching_up(self) -> None:
        """Some have days of records to send while others send what happens now."""
        await asyncio.sleep(5.0)
        self._take()
        silences, before, began = await self._site.silences(), await self._site.used(), time.monotonic()
        late = -(-self._batches // BATCHES)
        each = -(-self._batches // late)
        self._crowds.say(0, do="live", first=0, count=min(LIVE, self._crowds.sizes[0] // 2), seconds=2.0)
        self._crowds.say(1, do="catch-up", first=0, count=late, batches=each)
        await self._until(lambda tally: tally.caught_up >= late * each * BATCH)
        after = await self._site.used()
        self._crowds.say_all(do="quiet")
        tally, seconds = self._take(), time.monotonic() - began
        told(
            "catching up beside live records",
            **_ratio(quantile(tally.live_ms, 0.99), LIVE_LIMIT_MS),
            unit="ms, p99, until a live record is held",
            live_p50_ms=quantile(tally.live_ms, 0.5),
            live_records=len(tally.live_ms),
            caught_up=tally.caught_up,
            runtimes_late=late,
            records_per_s=tally.caught_up / seconds,
            seconds=seconds,
            refused=tally.everywhere(429) + tally.everywhere(503),
            longest_retry_after_s=tally.longest_retry_after_s,
            server_share=(after.server_s - before.server_s) / (after.at - before.at),
            heartbeat_p99_ms=quantile(tally.took_ms.get("heartbeat", []), 0.99),
            false_silences=await self._site.silences() - silences,
            states=await self._site.states(),
            answers=tally.answers,
        )

    async def _until(self, done: Callable[[Tally], bool], every_s: float = 0.5) -> None:
        until = time.monotonic() + LONGEST_S
        while not done(self._tell()) and time.monotonic() < until:  # noqa: ASYNC110 the crowds are other processes
            await asyncio.sleep(every_s)

    def _tell(self) -> Tally:
        """What was seen since :meth:`_take`."""
        self._crowds.say_all(do="report")
        for line in self._crowds.answers():
            self._seen.add(msgspec.json.decode(line, type=Tally))
        return self._seen

    def _take(self) -> Tally:
        seen, self._seen = self._tell(), Tally()
        return seen


def _ratio(ours: float, limit: float) -> dict[str, float]:
    return {"ratio": ours / limit, "ours": ours, "limit": limit}


def _written(before: Used, after: Used, beats: int) -> dict[str, float]:
    minutes = (after.at - before.at) / 60
    of_runtimes = after.rows_of_runtimes - before.rows_of_runtimes
    return {
        "rows_per_min": (after.rows - before.rows) / minutes,
        "rows_of_runtimes_per_min": of_runtimes / minutes,
        "rows_of_runtimes_per_heartbeat": of_runtimes / max(1, beats),
        "wal_kib_per_min": (after.wal_bytes - before.wal_bytes) / 1024 / minutes,
    }


def told(name: str, **facts: object) -> None:
    shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in facts.items()}
    print(msgspec.json.encode({"name": name, **shown}).decode(), flush=True)


async def main(folder: Path, options: argparse.Namespace) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    site = Site(folder)
    try:
        given = await site.furnish(options.runtimes, options.tenants)
        await asyncio.to_thread(site.serve)
        crowds = Crowds(site, given, processes=2)
        try:
            await Herd(site, crowds, options).run()
        finally:
            crowds.stop()
    finally:
        site.stop()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.herd")
    parser.add_argument("--runtimes", type=int, default=10_000)
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--records", type=int, default=200_000, help="that are caught up with; 5,000,000 for the whole")
    parser.add_argument("--seconds", type=float, default=60.0, help="that each steady state is measured")
    return parser.parse_args()


with tempfile.TemporaryDirectory(prefix="herd-") as made:
    Path(made).chmod(0o711)
    asyncio.run(main(Path(made), options()))
