"""Whether a runtime may use a connection, and by which policy: nothing is allowed unless one allows it, and no wins.

Pure: what is decided depends on what is given, and on nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Meta, Struct

from controlplane.domain.vault import paths
from controlplane.domain.vault.paths import Call, Methods, Patterns

Mode: TypeAlias = Literal["metadata", "proxy", "lease"]
"""``metadata``: may know that it is there. ``proxy``: may have calls made with it. ``lease``: may have it."""

Effect: TypeAlias = Literal["allow", "deny"]

Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

Term: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Terms: TypeAlias = Annotated[list[Term], Meta(max_length=100)]
Labels: TypeAlias = Annotated[dict[Term, Annotated[str, Meta(max_length=200)]], Meta(max_length=20)]
Clock: TypeAlias = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]

DAYS: Final[Sequence[Weekday]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

MODES: Final[Sequence[Mode]] = ("metadata", "proxy", "lease")

NO_POLICY: Final = "default"
ANOTHER_PROJECT: Final = "project"
"""Rules that are no policy: nobody allowed it; the connection is for another project."""


class Subject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who asks. Every list that is not empty has to hold them; all empty: every runtime of the tenant."""

    runtimes: Terms = []
    """``rt_…``."""
    agents: Terms = []
    """Names of agents; ``*`` stands for anything."""
    projects: Terms = []
    """``prj_…``."""
    labels: Labels = {}
    """That the runtime has, all of them."""


class Connections(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is asked for; as with :class:`Subject`."""

    ids: Terms = []
    """``con_…``."""
    providers: Terms = []
    owners: Terms = []
    """Of the connection's ``owner_ref``."""
    labels: Labels = {}


class Hours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In UTC; from the evening into the morning where *until* is before *since*."""

    since: Clock
    until: Clock
    days: Annotated[list[Weekday], Meta(max_length=7)] = []
    """On which it begins; empty: on all."""

    def hold(self, now: datetime) -> bool:
        since, until, at = time.fromisoformat(self.since), time.fromisoformat(self.until), now.time()
        if since <= until:
            began, inside = now, since <= at < until
        else:
            began, inside = (now if at >= since else now - timedelta(days=1)), at >= since or at < until
        return inside and (not self.days or DAYS[began.weekday()] in self.days)


class Conditions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    scopes: Terms | None = None
    """The connection was granted no others: most tokens cannot be narrowed. None: whatever it was granted."""
    max_ttl_s: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    """Of a lease. None: as long as the installation lets it last."""
    purposes: Terms = []
    """One of these has to be given; empty: none is asked for."""
    methods: Methods = []
    """Of calls that are made for a runtime; empty: all."""
    paths: Patterns = []
    """Of such calls; empty: all."""
    not_before: datetime | None = None
    not_after: datetime | None = None
    hours: Hours | None = None


class Rule(Struct, frozen=True, kw_only=True):
    """Of a policy: what decides."""

    id: UUID
    name: str
    effect: Effect
    subject: Subject
    connections: Connections
    modes: Sequence[Mode]
    conditions: Conditions


class Asking(Struct, frozen=True, kw_only=True):
    """Who asks, as the control plane knows them; agent and purpose are the runtime's own words."""

    runtime: str
    project: str
    labels: Mapping[str, object]
    agent: str = ""
    purpose: str | None = ""
    """None: whichever it takes, to see what could be."""
    call: Call | None = None
    """What is to be called; None: no call in particular."""


class Wanted(Struct, frozen=True, kw_only=True):
    """The connection."""

    connection: str
    provider: str
    project: str | None
    """None: it is for every project."""
    owner: str
    labels: Mapping[str, object]
    scopes: Sequence[str]


class Decision(Struct, frozen=True, kw_only=True):
    allowed: bool
    rule: str
    """:data:`NO_POLICY`, :data:`ANOTHER_PROJECT`, or ``policy``."""
    policy: Rule | None = None
    """The one that decided."""

    @property
    def max_ttl_s(self) -> int | None:
        return self.policy.conditions.max_ttl_s if self.policy else None


def decide(rules: Iterable[Rule], asking: Asking, wanted: Wanted, mode: Mode, now: datetime | None) -> Decision:
    """
    Args:
        now: None: at whatever time, to see what could be.
    """
    if wanted.project is not None and wanted.project != asking.project:
        return Decision(allowed=False, rule=ANOTHER_PROJECT)
    fitting = [rule for rule in rules if _speaks(rule, mode) and _fits(rule, asking, wanted)]
    for rule in fitting:
        its, denies = rule.conditions, rule.effect == "deny"
        if (
            denies
            and _reaches(its, asking.call, mode, denies=True)
            and _holds(its, asking, wanted, now, possibly=False)
        ):
            return Decision(allowed=False, rule="policy", policy=rule)
    allowing = [
        rule
        for rule in fitting
        if rule.effect == "allow"
        and _reaches(rule.conditions, asking.call, mode, denies=False)
        and _holds(rule.conditions, asking, wanted, now, possibly=True)
    ]
    if not allowing:
        return Decision(allowed=False, rule=NO_POLICY)
    longest = max(allowing, key=lambda rule: (rule.conditions.max_ttl_s or 86_401, rule.id.int))
    return Decision(allowed=True, rule="policy", policy=longest)


def _speaks(rule: Rule, mode: Mode) -> bool:
    """Who may use something may know of it; who may not know of it may not use it."""
    if rule.effect == "allow":
        return mode in rule.modes or mode == "metadata"
    return mode in rule.modes or "metadata" in rule.modes


def _fits(rule: Rule, asking: Asking, wanted: Wanted) -> bool:
    who, what = rule.subject, rule.connections
    return (
        (not who.runtimes or asking.runtime in who.runtimes)
        and (not who.projects or asking.project in who.projects)
        and (not who.agents or any(fnmatchcase(asking.agent, pattern) for pattern in who.agents))
        and _has(asking.labels, who.labels)
        and (not what.ids or wanted.connection in what.ids)
        and (not what.providers or wanted.provider in what.providers)
        and (not what.owners or wanted.owner in what.owners)
        and _has(wanted.labels, what.labels)
    )


def _reaches(its: Conditions, call: Call | None, mode: Mode, *, denies: bool) -> bool:
    """Whether this call is one of those that are meant. Who has the credential can make every call: what is meant for
    some calls only allows no lease, and denies each.
    """
    if not its.methods and not its.paths:
        return True
    if mode != "proxy" or call is None:
        return denies == (mode == "lease")
    if its.methods and call.method not in its.methods:
        return False
    return not its.paths or (paths.may_be if denies else paths.surely_is)(call, its.paths)


def _holds(its: Conditions, asking: Asking, wanted: Wanted, now: datetime | None, *, possibly: bool) -> bool:
    """Whether the conditions are met; *possibly* stands where what is asked leaves it open."""
    if its.scopes is not None and not set(wanted.scopes) <= set(its.scopes):
        return False
    if its.purposes:
        if asking.purpose is None:
            if not possibly:
                return False
        elif asking.purpose not in its.purposes:
            return False
    if now is None:
        return possibly or (its.not_before is None and its.not_after is None and its.hours is None)
    if (its.not_before and now < its.not_before) or (its.not_after and now >= its.not_after):
        return False
    return its.hours is None or its.hours.hold(now)


def _has(labels: Mapping[str, object], asked: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in asked.items())
