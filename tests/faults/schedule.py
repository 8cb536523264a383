"""Deals the faults: the same seed gives the same ones in the same order, each waiting for the same moment."""

from typing import NamedTuple

SHARES = {"agent": 34, "worker": 15, "backend": 15, "postmaster": 12, "up": 11, "power": 7, "main": 6}
"""How often each is killed, of a hundred kills. ``power``: everything of the server's at once; ``backend``: any one
child of the postmaster, its checkpointer and writers too."""

BESIDES = {
    "agent": {"snap": 25, "rollback": 14, "outbox": 8},
    "up": {"backup": 20, "restore": 20},
    "power": {"backup": 20, "restore": 30},
}
"""What else happens while it is down, of a hundred times: a copy of its disk is taken, or put in the place of it."""

BOTH = 0.3
"""Part of the agent's kills that take something of the server's along."""

VANISH = 12
"""Of a hundred faults, how many are followed by somebody who deletes a session's folder."""

APPEND, ACKNOWLEDGED = "/sync/log", "/sync/log answered"

MOMENTS = {APPEND: 8, ACKNOWLEDGED: 4, "/sync/hello": 2, "/sync/diff": 1, "/token": 1, "/heartbeat": 1, "": 3}
"""The kill falls behind such a request, so many times of twenty; the last: at any time."""

LONGER = 1.2
"""Up to so many times as long as the server takes for such a request: before, in and just after the commit."""

ANY_TIME_S = 1.2
LEFT_ALONE = 0.6
"""Part of the faults after which something must get through before the next one."""


class Fault(NamedTuple):
    """One kill, and what goes with it."""

    victim: str
    besides: str
    """"", or of :data:`BESIDES`."""
    first: str
    """"", or what of the server's is killed just before the agent is, which will not hear of it."""
    moment: str
    """Of :data:`MOMENTS`."""
    delay: float
    """Behind the moment: seconds, or for a request its part of the time that the server takes for it."""
    left_alone: bool
    vanish: bool


def deal(kills, dice):
    """*kills* faults; every victim and everything besides is among them where there are enough."""
    victims = [victim for victim, share in SHARES.items() for _ in range(max(1, round(kills * share / 100)))]
    dice.shuffle(victims)
    while len(victims) < kills:
        victims.append(dice.choice(list(SHARES)))
    faults = [_fault(victim, dice) for victim in victims[:kills]]
    return _each_once(faults)


def _fault(victim, dice):
    chances = BESIDES.get(victim, {})
    besides = dice.choices([*chances, ""], [*chances.values(), 100 - sum(chances.values())])[0]
    moment = dice.choices(list(MOMENTS), list(MOMENTS.values()))[0]
    return Fault(
        victim=victim,
        besides=besides,
        first=dice.choice(("worker", "postmaster", "power")) if victim == "agent" and dice.random() < BOTH else "",
        moment=moment,
        delay=dice.uniform(0, LONGER if moment else ANY_TIME_S),
        left_alone=dice.random() < LEFT_ALONE,
        vanish=dice.random() < VANISH / 100,
    )


def _each_once(faults):
    """The same faults, made so that each thing besides happens, and a copy is taken before one is needed."""
    for victims, wanted in ((("agent",), ("snap", "rollback", "outbox")), (("up", "power"), ("backup", "restore"))):
        places = [place for place, fault in enumerate(faults) if fault.victim in victims]
        for place, besides in zip(_spread(places, len(wanted)), wanted, strict=False):
            faults[place] = faults[place]._replace(besides=besides)
        first = next((place for place in places if faults[place].besides == wanted[0]), len(faults))
        for place in (place for place in places if place < first):
            faults[place] = faults[place]._replace(besides="")
    if faults and not any(fault.vanish for fault in faults):
        faults[len(faults) // 2] = faults[len(faults) // 2]._replace(vanish=True)
    return faults


def _spread(places, count):
    """*count* of *places*, in order, far from each other."""
    return [places[number * len(places) // count] for number in range(count)] if len(places) >= count else places
