"""A runtime at work: it writes an EngineX home as EngineX does, and this remembers everything it ever wrote."""

import json
import shutil
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from controlplane.demo.agents import AGENTS
from controlplane.demo.home import STATUS, life, session_name
from controlplane.demo.plan import plan
from controlplane.demo.recorder import Recorder

MOVING = 6
"""Sessions under way at the same time."""

PACE_S = (0.0, 0.09)
"""Between two steps of whichever session."""

HALF_WRITTEN_S = (0.0, 0.02)
"""How long a file that is not replaced at once stays half written."""

PRUNED = 0.15
"""Part of the finished sessions whose oldest checkpoints are pruned."""


def now():
    return datetime.now(UTC)


class Slow(Recorder):
    """Takes its time where EngineX does not write atomically: readers meet empty files and half lines."""

    def _write_state(self, *, atomic):
        if atomic:
            super()._write_state(atomic=True)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._in_two(self.folder / "state.json", "w", json.dumps(self.state, indent=2))

    def _log(self, name, line):
        self.logs.setdefault(name, []).append(line)
        if self.live:
            path = self.folder / "logs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._in_two(path, "a", json.dumps(line) + "\n")

    def _in_two(self, path, mode, text):
        middle = self.dice.randrange(len(text))
        with path.open(mode) as file:
            file.write(text[:middle])
            file.flush()
            time.sleep(self.dice.uniform(*HALF_WRITTEN_S) if self.dice.random() < 0.3 else 0)
            file.write(text[middle:])


class Story:
    """One session: what happens in it, and how far it came."""

    recorder = Slow

    def __init__(self, folder, dice, *, live, begun):
        self.agent = dice.choices(AGENTS, [one.weight for one in AGENTS])[0]
        self.plan = plan(self.agent, session_name(begun, UTC, dice), dice)
        self.key = f"{self.agent.name}/{self.plan.name}"
        self.folder = folder / "agents" / self.agent.name / "sessions" / self.plan.name
        self.files = self.recorder(self.folder, self.agent, UTC, dice, live=live, served=self.plan.served)
        self.written = {("session", self.key)}
        """Everything that was ever on disk."""
        self.ended = False

    def items(self):
        """What is on disk now."""
        found = {("session", self.key)} if self.is_there() else set()
        found |= {("checkpoint", f"{self.key}/{name}/{made}") for name, made in self.files.seen()}
        found |= {("cost", line["entry_id"]) for line in self.files.logs.get("cost_attribution.jsonl", [])}
        if self.files.summary:
            found.add(("run", f"{self.key}/{self.files.summary['started_at']}"))
        return found

    def is_there(self):
        """Whether there is anything to read: a served session begins with an empty folder, or with none."""
        return any(
            (self.folder / name).exists() for name in ("state.json", "checkpoints/index.json", "logs/details.jsonl")
        )

    def outcome(self):
        """What the session ended as, and its tokens: with L1 its sums, without it what was logged."""
        tokens = (self.files.tally.input_tokens, self.files.tally.output_tokens)
        return (STATUS[self.plan.fate], *((*tokens, 0, 0) if self.files.summary else (0, 0, *tokens)))

    def advance(self, steps):
        if next(steps, None) is None:
            self.ended = True
        self.written |= self.items()

    def prune(self, count):
        """EngineX drops checkpoints after some days: files and index rows."""
        for row in self.files.index[:count]:
            self.files.checkpoints.pop(f"{row['checkpoint_id']}.json", None)
            (self.folder / "checkpoints" / f"{row['checkpoint_id']}.json").unlink(missing_ok=True)
        del self.files.index[:count]
        self.files._replace("checkpoints/index.json", self.files._index())


class Writer:
    """Writes in a thread of its own between :meth:`go_on` and :meth:`pause`."""

    story = Story

    def __init__(self, folder, dice, clock=now):
        self.home = folder / "engine-home"
        self.stories = {}
        """By key: everything that was ever begun."""
        self.gone = {}
        """By key, sessions whose folder was deleted: the state that must be known of them for ever."""
        self._dice, self._clock = dice, clock
        self._moving = []
        self._stop = threading.Event()
        self._thread = None
        (self.home / "agents").mkdir(parents=True)
        (self.home / "configuration.json").write_text("{}")

    def write_past(self, count):
        """Sessions of the last hours, all at once: the crashed ones among them are lost by now."""
        for number in range(count):
            at = now() - timedelta(hours=2, seconds=7 * number)
            story = self.story(self.home, self._dice, live=False, begun=at)
            for seconds in life(story.files, story.plan, lambda: at):  # noqa: B023 - consumed before it moves on
                at = min(at + timedelta(seconds=seconds), now() - timedelta(minutes=20))
            story.files.flush()
            story.ended = True
            story.written |= story.items()
            self.stories[story.key] = story

    def go_on(self):
        self._stop.clear()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    def pause(self):
        """Returns between two steps."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @contextmanager
    def resting(self):
        """For the time of the block nothing is written, and everything may be looked at."""
        went_on = self._thread is not None
        self.pause()
        yield
        if went_on:
            self.go_on()

    def vanish(self, story):
        """Delete the folder, file by file, as people and programs do; nothing may be written meanwhile."""
        self._moving = [one for one in self._moving if one[0] is not story]
        shutil.rmtree(story.folder)

    def under_way(self):
        return [story for story, _ in self._moving]

    def _write(self):
        while not self._stop.wait(self._dice.uniform(*PACE_S)):
            if len(self._moving) < MOVING:
                self._begin()
            self._step()

    def _begin(self):
        story = self.story(self.home, self._dice, live=True, begun=self._clock())
        self.stories[story.key] = story
        self._moving.append((story, life(story.files, story.plan, self._clock)))

    def _step(self):
        story, steps = one = self._dice.choice(self._moving)
        story.advance(steps)
        if story.ended:
            self._moving.remove(one)
            if len(story.files.index) > 2 and self._dice.random() < PRUNED:
                story.prune(self._dice.randrange(1, len(story.files.index) - 1))
