"""A whole EngineX home, and the truth about it."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from random import Random
from typing import TypeAlias

from controlplane.demo.agents import AGENTS, Agent
from controlplane.demo.plan import Fate, Plan, Visit, plan, started
from controlplane.demo.recorder import Recorder

Clock: TypeAlias = Callable[[], datetime]

MARK = "demo.json"
"""Tells a home of ours from somebody's own, which is never touched."""

DAYS = 14


class NotOurs(Exception):
    """The folder holds something that this generator did not write."""


@dataclass(frozen=True)
class Shape:
    """What kind of home to write."""

    sessions: int = 300
    seed: int = 1
    """Of all that is random."""
    zone: tzinfo | None = None
    """Of the naive times in the files; None: the machine's."""
    agents: Sequence[Agent] = AGENTS
    private: str = ""
    """A text for every field that must never leave the machine; tests look for it on the wire."""


@dataclass
class Truth:
    """What a reader of the home must find, counted while it was written."""

    agents: set[str] = field(default_factory=set)
    sessions: dict[str, str] = field(default_factory=dict)
    """``<agent>/<session folder>``: status; ``waiting/human_approval`` and ``waiting/resume`` apart."""
    runs: int = 0
    """Sessions that have an L1: one run each, for a resume writes over the run before."""
    checkpoints: Counter[str] = field(default_factory=Counter)
    """By type."""
    input_tokens: int = 0
    output_tokens: int = 0
    """Sums of L1: sessions without one count nothing."""
    logged_input_tokens: int = 0
    logged_output_tokens: int = 0
    """Of the sessions without an L1."""
    cost_lines: int = 0
    micro_usd: int = 0

    @property
    def statuses(self) -> Counter[str]:
        """Sessions by status."""
        return Counter(self.sessions.values())

    def add(self, made: Plan, files: Recorder) -> None:
        """Count what *files* hold now; *made* says what became of the session. Of an empty folder nothing is said."""
        if files.silent:
            return
        self.agents.add(made.agent.name)
        self.sessions[f"{made.agent.name}/{made.name}"] = STATUS[made.fate]
        self.checkpoints.update("_".join(name.split("_")[1:3]) for name, _ in files.seen())
        self.cost_lines += files.tally.cost_lines
        self.micro_usd += files.tally.micro_usd
        if files.summary is None:
            self.logged_input_tokens += files.tally.input_tokens
            self.logged_output_tokens += files.tally.output_tokens
        else:
            self.runs += 1
            self.input_tokens += files.tally.input_tokens
            self.output_tokens += files.tally.output_tokens


PAUSING: set[Fate] = {"approval", "resumed", "resumed_failed", "stopped"}
WORDS: dict[Fate, str] = {"failed": "failed", "resumed_failed": "failed", "cancelled": "cancelled"}
STATUS: dict[Fate, str] = {
    "completed": "succeeded",
    "degraded": "succeeded",
    "resumed": "succeeded",
    "failed": "failed",
    "resumed_failed": "failed",
    "cancelled": "cancelled",
    "approval": "waiting/human_approval",
    "stopped": "waiting/resume",
    "crashed": "lost",
}


def write_home(path: Path, shape: Shape = Shape(), *, now: datetime) -> Truth:
    """Write a home of finished, waiting and crashed sessions of the last two weeks.

    The same arguments give the same home, byte for byte.

    Args:
        path: Where the home comes to be; may exist if it is empty, or a home of ours, which is written anew.
        shape: How large, and what is in it.
        now: The youngest possible instant; crashed sessions are at least an hour older.

    Raises:
        NotOurs: *path* holds something else.
    """
    _prepare(path)
    dice = Random(shape.seed)
    truth = Truth()
    for _ in range(shape.sessions):
        agent = dice.choices(shape.agents, [one.weight for one in shape.agents])[0]
        made, begun = _dated(agent, dice, now, shape.zone)
        folder = path / "agents" / agent.name / "sessions" / made.name
        files = Recorder(folder, agent, shape.zone, dice, served=made.served, private=shape.private)
        _play(files, made, begun)
        _disturb(files, dice)
        files.flush()
        truth.add(made, files)
    (path / MARK).write_text(json.dumps({"seed": shape.seed, "complete": True, "moving": {}}))
    return truth


def is_complete(path: Path) -> bool:
    """Whether *path* is a home of ours that was written to its end."""
    try:
        mark = json.loads((path / MARK).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("complete") is True


def session_name(at: datetime, zone: tzinfo | None, dice: Random) -> str:
    """As the runtime names a session: local time and 32 random bits."""
    return f"session_{at.astimezone(zone):%Y%m%d_%H%M%S}_{dice.getrandbits(32):08x}"


def life(files: Recorder, made: Plan, now: Clock, done: int = 0) -> Iterator[float]:
    """Everything that *made* foresees, step by step; gives the seconds until the next.

    Args:
        files: Where it is written.
        made: What happens.
        now: Asked at every step.
        done: Visits that an earlier process brought to their end.
    """
    paused = bool(files.state and files.state["timestamps"].get("paused_at_time"))
    if not files.state:
        files.begin(now())
    if not paused:
        yield from _visits(files, made, made.visits, now, done)
        if made.fate == "crashed":
            return
        if made.fate in PAUSING:
            files.pause(now(), made.visits[-1] if made.visits else None, made.error if made.fate == "stopped" else None)
    if made.fate in {"approval", "stopped"}:
        return
    if made.fate in PAUSING:
        yield made.waited.total_seconds()
        files.resume(now())
        yield from _visits(files, made, made.later, now, max(0, done - len(made.visits)))
    files.finish(now(), WORDS.get(made.fate, "completed"), made.error, degraded=made.fate == "degraded")


def _visits(files: Recorder, made: Plan, visits: list[Visit], now: Clock, done: int) -> Iterator[float]:
    for position in range(done, len(visits)):
        visit = visits[position]
        following = visits[position + 1].node.name if position + 1 < len(visits) else None
        files.enter(visit, now())
        yield visit.seconds
        if made.fate != "stopped" or following is not None:
            files.leave(visit, now(), following)
        yield visit.gap_seconds


def _play(files: Recorder, made: Plan, begun: datetime) -> None:
    """The whole of *made* at once, as if it had begun then."""
    at = begun

    def now() -> datetime:
        return at

    for seconds in life(files, made, now):
        at += timedelta(seconds=seconds)


def _dated(agent: Agent, dice: Random, now: datetime, zone: tzinfo | None) -> tuple[Plan, datetime]:
    made = plan(agent, "", dice)
    latest = now - timedelta(seconds=made.seconds + 5)
    if made.fate == "crashed":
        latest -= timedelta(hours=1)
    begun = min(started(dice, now, DAYS), latest)
    made.name = session_name(begun, zone, dice)
    return made, begun


def _disturb(files: Recorder, dice: Random) -> None:
    """What really happens to checkpoints: rows out of order, rows lost by a second process, files pruned."""
    roll = dice.random()
    if len(files.index) < 3 or roll > 0.12:
        return
    if roll < 0.05:
        files.index[-1], files.index[-2] = files.index[-2], files.index[-1]
    elif roll < 0.08:
        files.index.pop(1)
    else:
        files.checkpoints.pop(next(iter(files.checkpoints)))


def _prepare(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if (path / MARK).is_file():
        shutil.rmtree(path / "agents", ignore_errors=True)
    elif any(path.iterdir()):
        raise NotOurs(f"{path.name} is not empty and not a generated home")
    (path / MARK).write_text(json.dumps({"complete": False}))
    (path / "agents").mkdir()
    (path / "configuration.json").write_text('{"llm": {"provider": "anthropic", "model": "claude-sonnet-4-5"}}')
