"""One seed, one schedule: what happens, in which order, and what becomes of each message."""

from random import Random
from typing import NamedTuple

from tests.faults.campaign.link import PLACES
from tests.faults.campaign.network import AROUND

STEPS = (10, 34)
"""Of one schedule, at least and at most."""

CALLS = {"send": 34, "beat": 9, "once": 1}
TALKING = (*CALLS, "clone")
HOME = {"write": 16, "look": 14}
OWN = {"prune": 5, "crash": 3, "arrive": 4}
FAULTS = {
    "disk": {"snap": 5, "rollback": 4, "rollback-older": 2},
    "store": {"backup": 5, "restore": 6},
    "old-store": {"backup": 6, "restore": 1, "restore-older": 6},
    "server": {"server-crash": 3},
    "clone": {"clone": 3},
    "vanish": {"vanish": 4},
}
"""Kinds of faults, and how often their steps come beside the others in a schedule that has them."""

SHARES = {"disk": 0.4, "store": 0.4, "old-store": 0.06, "server": 0.2, "clone": 0.07, "vanish": 0.3}
"""Part of the schedules that have them."""

AFTER = {"rollback": "snap", "rollback-older": "snap", "restore": "backup", "restore-older": "backup"}
"""Steps that need another one before them, which is dealt in their place."""

ROUGH = {
    "deliver": 71, "lose": 4, "mute": 5, "double": 4, "late": 4, "copy": 3, "echo": 1, "agent-dies": 2,
    "agent-dies-unheard": 3, "server-dies": 2, "link-breaks": 1,
}  # fmt: skip
CALM = 0.25
"""Part of the schedules with a network that loses nothing."""

MESSAGES = 4
"""Of one call, whose fate is dealt; those after them are delivered."""


MUCH = 5
"""A number by which as much is written as ever is at once."""


class Step(NamedTuple):
    what: str
    fates: list[tuple[str, str]]
    """Of the messages that it leads to, with the place where the server is interrupted."""
    number: int
    """Whatever else is to be chosen."""


class Schedule(NamedTuple):
    name: str
    seed: int
    faults: list[str]
    recoveries: int
    """Old join states that are let through without a person."""
    steps: list[Step]

    def told(self):
        """In words: its steps, each with what becomes of its messages."""
        steps = [f"  {step.what:14} {_told(step.fates) if step.what in TALKING else ''}" for step in self.steps]
        return "\n".join([f"{self.name}: {self.faults}, {self.recoveries} recoveries", *steps])


def _told(fates):
    return " ".join(f"{name}:{place}" if name in AROUND else name for name, place in fates)


def deal(seed):
    dice = Random(seed)
    faults = [kind for kind, share in SHARES.items() if dice.random() < share]
    if "old-store" in faults:  # what the agent has pruned by then is only in the source
        faults = [kind for kind in faults if kind not in ("store", "vanish", "disk", "clone")]
    recoveries = 0 if "clone" in faults else dice.choice((0, 100))
    weights = {**CALLS, **HOME, **OWN}
    for kind in faults:
        weights |= FAULTS[kind]
    calm = dice.random() < CALM
    done, steps = set(), []
    for _ in range(dice.randint(*STEPS)):
        what = dice.choices(list(weights), list(weights.values()))[0]
        what = AFTER[what] if AFTER.get(what, what) not in done | {what} else what
        done.add(what)
        fates = [("deliver", "") if calm else _fate(dice) for _ in range(MESSAGES)]
        steps.append(Step(what, fates, dice.getrandbits(32)))
    return Schedule(f"seed-{seed}", seed, faults, recoveries, steps)


def _fate(dice):
    return dice.choices(list(ROUGH), list(ROUGH.values()))[0], dice.choice(PLACES)


def spelled(name, words):
    """The schedule that *words* spell: steps, with ``:`` and a fate behind those whose first message has another one.

    A place for it stands behind another colon.
    """
    steps = []
    for word in words.split():
        what, _, fate = word.partition(":")
        fate, _, place = fate.partition(":")
        steps.append(Step(what, [(fate, place)] if fate else [], MUCH))
    return Schedule(name, 0, [], 100, steps)
