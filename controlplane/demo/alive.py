"""Keeps a handful of a generated home's sessions moving, in real time."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

from controlplane.demo.agents import AGENTS
from controlplane.demo.home import MARK, Clock, life, session_name
from controlplane.demo.plan import plan
from controlplane.demo.recorder import Recorder

HANDFUL = 5
"""Sessions that move at the same time."""

NEXT_START_S = (4.0, 20.0)
"""Between two starts."""

WAIT_MOST = timedelta(minutes=2)
"""A human of the demo answers sooner than one of the world."""


@dataclass
class Moving:
    """A session under way, and when it goes on."""

    key: str
    steps: Iterator[float]
    due_at: datetime
    files: Recorder


class Mover:
    """Moves the sessions of one home; a second one after it goes on where it stopped.

    Whatever is under way is written down in the home's mark: the seed of its plan, from which the plan is made again,
    while its files say how far it came.
    """

    def __init__(self, path: Path, *, zone: tzinfo | None, now: Clock, dice: Random) -> None:
        self._path, self._zone, self._now, self._dice = path, zone, now, dice
        self._mark: dict[str, Any] = json.loads((path / MARK).read_text())
        self._moving = [found for key in list(self._mark["moving"]) if (found := self._reopened(key))]
        self._start_at = now()

    @property
    def moving(self) -> list[str]:
        """Keys of what is under way: ``<agent>/<session folder>``."""
        return [one.key for one in self._moving]

    def step(self) -> float:
        """Do all that is due; gives the seconds until something is again."""
        now = self._now()
        for one in [one for one in self._moving if one.due_at <= now]:
            seconds = next(one.steps, None)
            if seconds is None:
                self._moving.remove(one)
                del self._mark["moving"][one.key]
                self._remember()
            else:
                one.due_at = now + timedelta(seconds=seconds)
        if now >= self._start_at and len(self._moving) < HANDFUL:
            self._begin()
            self._start_at = now + timedelta(seconds=self._dice.uniform(*NEXT_START_S))
        waiting = [one.due_at for one in self._moving]
        if len(self._moving) < HANDFUL:
            waiting.append(self._start_at)
        return max(0.0, (min(waiting) - self._now()).total_seconds())

    def _begin(self) -> None:
        agent = self._dice.choices(AGENTS, [one.weight for one in AGENTS])[0]
        key = f"{agent.name}/{session_name(self._now(), self._zone, self._dice)}"
        self._mark["moving"][key] = self._dice.getrandbits(32)
        self._remember()
        self._moving.append(self._opened(key, 0, None))

    def _reopened(self, key: str) -> Moving | None:
        """None: it was killed in the middle of a write, and stays as the crash left it."""
        agent, _, name = key.partition("/")
        folder = self._path / "agents" / agent / "sessions" / name
        try:
            state = json.loads((folder / "state.json").read_text())
            details = _lines(folder / "logs" / "details.jsonl")
            index = json.loads((folder / "checkpoints" / "index.json").read_text())["checkpoints"]
        except (OSError, ValueError):
            del self._mark["moving"][key]
            return None
        found = self._opened(key, len(details), state)
        found.files.index = index
        found.files.logs["details.jsonl"] = details
        found.files.tally.input_tokens = sum(line["input_tokens"] for line in details)
        found.files.tally.output_tokens = sum(line["output_tokens"] for line in details)
        found.files.run_path = [line["node_id"] for line in details]
        return found

    def _opened(self, key: str, done: int, state: dict[str, Any] | None) -> Moving:
        name = key.partition("/")[0]
        agent = next(one for one in AGENTS if one.name == name)
        dice = Random(self._mark["moving"][key])
        made = plan(agent, key.partition("/")[2], dice)
        made.waited = min(made.waited, WAIT_MOST)
        folder = self._path / "agents" / agent.name / "sessions" / made.name
        files = Recorder(folder, agent, self._zone, dice, live=True, served=made.served)
        if state is not None:
            files.state = state
            files.continue_run(self._now())
        return Moving(key, life(files, made, self._now, done), self._now(), files)

    def _remember(self) -> None:
        written = self._path / f"{MARK}.tmp"
        written.write_text(json.dumps(self._mark))
        os.replace(written, self._path / MARK)


def keep_moving(path: Path, *, zone: tzinfo | None, now: Clock, stop: Event) -> None:
    """Move the home's sessions until *stop* is set, or until the process that started this one is gone."""
    parent = os.getppid()
    mover = Mover(path, zone=zone, now=now, dice=Random())
    while not stop.is_set() and os.getppid() == parent:
        stop.wait(min(mover.step(), 1.0))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
