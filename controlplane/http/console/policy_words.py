"""What a policy says, in words for people: whom it is about, what they may have, and only when."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from controlplane.domain.vault.deciding import ANOTHER_PROJECT, Conditions, Connections, Decision, Hours, Mode, Subject
from controlplane.http.console.words import duration, stamp

MODES: Final[Mapping[Mode, str]] = {
    "lease": "have it",
    "proxy": "have calls made with it",
    "metadata": "know that it is there",
}
"""What each way to use a connection is called; the one that gives most first."""


class Said(Struct, frozen=True, kw_only=True):
    """One limit: what it is about, and the names or values that meet it."""

    about: str
    terms: list[str]


def who(its: Subject, names: Mapping[str, str]) -> list[Said]:
    """
    Args:
        names: What runtimes, projects and connections are called, by their ids.

    Returns:
        Nothing where it is about every runtime.
    """
    return _said(
        ("runtimes", _called(its.runtimes, names)),
        ("in the project", _called(its.projects, names)),
        ("labelled", _labels(its.labels)),
        ("agents", its.agents),
    )


def what(its: Connections, names: Mapping[str, str]) -> list[Said]:
    """As :func:`who`; nothing where it is about every connection."""
    return _said(
        ("", _called(its.ids, names)),
        ("of", _called(its.providers, names)),
        ("owned by", its.owners),
        ("labelled", _labels(its.labels)),
    )


def only(its: Conditions) -> list[Said]:
    """Under which conditions; nothing where there are none. Times are UTC."""
    found = list(_said(("for the purpose", its.purposes)))
    if its.scopes is not None:
        found.append(Said(about="granted no scopes but", terms=its.scopes or ["none at all"]))
    if its.max_ttl_s is not None:
        found.append(Said(about="for at most", terms=[duration(its.max_ttl_s * 1_000)]))
    if its.not_before is not None:
        found.append(Said(about="from", terms=[f"{stamp(its.not_before)} UTC"]))
    if its.not_after is not None:
        found.append(Said(about="until", terms=[f"{stamp(its.not_after)} UTC"]))
    if its.hours is not None:
        found.append(Said(about="between", terms=[_hours(its.hours)]))
    return found


def because(its: Decision) -> str:
    """Why, where no policy has decided."""
    return "it is for another project" if its.rule == ANOTHER_PROJECT else "no policy allows it"


def _said(*limits: tuple[str, Iterable[str]]) -> list[Said]:
    return [Said(about=about, terms=terms) for about, given in limits if (terms := list(given))]


def _called(ids: Iterable[str], names: Mapping[str, str]) -> Iterator[str]:
    return (names.get(each, each) for each in ids)


def _labels(labels: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}={value}" for name, value in labels.items())


def _hours(its: Hours) -> str:
    days = f" on {', '.join(its.days)}" if its.days else ""
    return f"{its.since} and {its.until} UTC{days}"
