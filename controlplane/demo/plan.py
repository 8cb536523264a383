"""What will have happened in a session, decided before a file is written."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Literal, TypeAlias

from controlplane.demo.agents import Agent, Node

Fate: TypeAlias = Literal[
    "completed", "degraded", "failed", "cancelled", "approval", "stopped", "resumed", "resumed_failed", "crashed"
]
"""``approval`` waits for a human, ``stopped`` was paused by the user; ``crashed``: the process was killed."""

LOOPS_MOST = 2


@dataclass(frozen=True)
class Visit:
    """One visit of a node."""

    node: Node
    seconds: float
    input_tokens: int
    output_tokens: int
    steps: int = 1
    attempt: int = 1
    outcome: str = "success"
    error: str | None = None
    gap_seconds: float = 0.05
    """Between the end of this visit and whatever comes next."""


@dataclass
class Plan:
    """A session from its first line to its last."""

    agent: Agent
    name: str
    fate: Fate
    served: bool
    visits: list[Visit] = field(default_factory=list)
    """Of the first run."""
    later: list[Visit] = field(default_factory=list)
    """Of the run that a resume begins."""
    waited: timedelta = timedelta(0)
    """Between the pause and the resume."""
    error: str | None = None

    @property
    def seconds(self) -> float:
        """How long it takes, waiting included."""
        return (
            sum(visit.seconds + visit.gap_seconds for visit in (*self.visits, *self.later))
            + self.waited.total_seconds()
        )


def fate_of(agent: Agent, dice: Random) -> Fate:
    """How a session of *agent* ends."""
    roll = dice.random()
    if roll < agent.failing:
        return "failed"
    other = dice.random()
    if agent.approval and other < 0.34:
        return dice.choices(("approval", "resumed", "resumed_failed"), (2, 5, 1))[0]
    if other > 0.97:
        return dice.choices(("stopped", "cancelled", "crashed"), (4, 2, 3))[0]
    return "degraded" if other > 0.92 else "completed"


def plan(agent: Agent, name: str, dice: Random, fate: Fate | None = None) -> Plan:
    """A session that ends as *fate* says; None: as the dice say."""
    ending = fate or fate_of(agent, dice)
    served = ending in {"completed", "failed", "crashed"} and dice.random() < agent.served
    made = Plan(agent, name, ending, served)
    route = _route(agent, dice)
    if ending in {"approval", "resumed", "resumed_failed"}:
        _wait_for_human(made, route, dice)
    elif ending in {"failed", "stopped", "cancelled", "crashed"}:
        made.visits = [_visit(node, dice) for node in route[: dice.randrange(len(route))]]
        _break_off(made, route, dice)
    else:
        made.visits = [_visit(node, dice) for node in route]
    if ending == "degraded":
        _retry(made, dice)
    return made


def started(dice: Random, now: datetime, days: int) -> datetime:
    """An instant of the last *days*, mostly on weekdays and in office hours."""
    while True:
        at = now - timedelta(seconds=dice.uniform(0, days * 86_400))
        wanted = (0.25 if at.weekday() > 4 else 1.0) * (1.0 if 7 <= at.hour < 19 else 0.3)
        if dice.random() < wanted:
            return at


def _route(agent: Agent, dice: Random) -> list[Node]:
    route: list[Node] = []
    names = [node.name for node in agent.nodes]
    loops, position = 0, 0
    while position < len(names):
        node = agent.nodes[position]
        position += 1
        if node.name == agent.approval:
            continue
        route.append(node)
        if agent.loop and node.name == agent.loop[0] and loops < LOOPS_MOST and dice.random() < 0.22:
            loops += 1
            position = names.index(agent.loop[1])
    return route


def _wait_for_human(made: Plan, route: list[Node], dice: Random) -> None:
    """Up to the approval in the first run; what comes behind it in the second."""
    agent = made.agent
    assert agent.approval is not None
    names = [node.name for node in agent.nodes]
    behind = set(names[names.index(agent.approval) + 1 :])
    made.visits = [_visit(node, dice) for node in route if node.name not in behind]
    made.visits.append(_visit(agent.node(agent.approval), dice))
    if made.fate == "approval":
        return
    made.waited = timedelta(minutes=dice.uniform(2, 240))
    made.later = [_visit(node, dice) for node in route if node.name in behind]
    if made.fate == "resumed_failed":
        made.error = dice.choice(agent.errors)
        made.later = [_failing(_visit(agent.nodes[0], dice), made.error)]


def _break_off(made: Plan, route: list[Node], dice: Random) -> None:
    if made.fate == "failed":
        node = route[len(made.visits)]
        made.error = dice.choice(made.agent.errors)
        made.visits.append(_failing(_visit(node, dice), made.error))
    elif made.fate == "stopped":
        made.error = "Execution paused by user"
    elif made.fate == "cancelled":
        made.error = "Execution cancelled"


def _retry(made: Plan, dice: Random) -> None:
    at = dice.randrange(len(made.visits))
    kept = made.visits[at]
    first = _failing(_visit(kept.node, dice), dice.choice(made.agent.errors), "guard_failure")
    second = Visit(kept.node, kept.seconds, kept.input_tokens, kept.output_tokens, kept.steps, attempt=2)
    made.visits[at : at + 1] = [first, second]


def _failing(visit: Visit, error: str, outcome: str | None = None) -> Visit:
    how = outcome or ("stalled" if "stalled" in error else "failure")
    return Visit(
        visit.node, visit.seconds, visit.input_tokens, visit.output_tokens, visit.steps, visit.attempt, how, error
    )


def _visit(node: Node, dice: Random) -> Visit:
    low, high = node.seconds
    slow = 3.0 if dice.random() < 0.03 else 1.0
    seconds = dice.triangular(low, high, low + (high - low) / 4) * slow
    tokens = round(dice.triangular(*node.tokens, node.tokens[0]))
    steps = dice.choices((1, 2, 3, 4), (6, 3, 1, 1))[0]
    return Visit(
        node, seconds, tokens, round(tokens * dice.uniform(0.03, 0.12)), steps, gap_seconds=dice.uniform(0.01, 0.4)
    )
