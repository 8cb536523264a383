"""The form of a policy: from what somebody has filled in to what decides, and back."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from controlplane.domain.vault.deciding import MODES, Conditions, Connections, Effect, Mode, Subject
from controlplane.domain.vault.policies import Change, NewPolicy, Policy
from controlplane.http.problems import Invalid

Lines = Annotated[str, Meta(max_length=20_000)]
"""One of them on each."""

Short = Annotated[str, Meta(max_length=40)]

Part = TypeVar("Part", bound=Struct)


class Filled(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    effect: Effect = "allow"
    mode: list[str] = []
    runtime: list[str] = []
    project: list[str] = []
    agents: Lines = ""
    runtime_labels: Lines = ""
    connection: list[str] = []
    provider: list[str] = []
    owners: Lines = ""
    connection_labels: Lines = ""
    purposes: Lines = ""
    scoped: Literal["", "on"] = ""
    """Whether *scopes* are meant: without any it is no limit, or the narrowest."""
    scopes: Lines = ""
    max_ttl_s: Short = ""
    not_before: Short = ""
    not_after: Short = ""
    since: Short = ""
    until: Short = ""
    day: list[str] = []
    version: int = 0
    """Of the policy that was on the page."""

    @property
    def limits_who(self) -> bool:
        return bool(self.runtime or self.project or self.agents or self.runtime_labels)

    @property
    def limits_what(self) -> bool:
        return bool(self.connection or self.provider or self.owners or self.connection_labels)

    @property
    def limits_when(self) -> bool:
        given = (self.purposes, self.scoped, self.max_ttl_s, self.not_before, self.not_after, self.since, self.until)
        return any(given)

    def new(self) -> NewPolicy:
        """
        Raises:
            Invalid: If it says nothing that can be meant.
        """
        if not self.name.strip():
            raise _unfit("give it a name")
        return NewPolicy(
            name=self.name.strip(),
            effect=self.effect,
            modes=self._modes(),
            subject=self._subject(),
            connections=self._connections(),
            conditions=self._conditions(),
        )

    def change(self) -> Change:
        """
        Raises:
            Invalid: As :meth:`new`.
        """
        new = self.new()
        return Change(
            name=new.name,
            effect=new.effect,
            modes=new.modes,
            subject=new.subject,
            connections=new.connections,
            conditions=new.conditions,
        )

    def _modes(self) -> list[Mode]:
        wanted: list[Mode] = [mode for mode in MODES if mode in self.mode]
        if not wanted:
            raise _unfit("say what it is about: to have it, to have calls made with it, or to know that it is there")
        return wanted

    def _subject(self) -> Subject:
        given = {
            "runtimes": self.runtime,
            "projects": self.project,
            "agents": _lines(self.agents),
            "labels": _labels(self.runtime_labels),
        }
        return _part(given, Subject)

    def _connections(self) -> Connections:
        given = {
            "ids": self.connection,
            "providers": self.provider,
            "owners": _lines(self.owners),
            "labels": _labels(self.connection_labels),
        }
        return _part(given, Connections)

    def _conditions(self) -> Conditions:
        if bool(self.since) != bool(self.until):
            raise _unfit("hours take both, from when and until when")
        hours = {"since": self.since, "until": self.until, "days": self.day} if self.since else None
        given = {
            "purposes": _lines(self.purposes),
            "scopes": self.scopes.split() if self.scoped else None,
            "max_ttl_s": self.max_ttl_s or None,
            "not_before": _instant(self.not_before),
            "not_after": _instant(self.not_after),
            "hours": hours,
        }
        return _part(given, Conditions)


def filled(its: Policy) -> Filled:
    """The form as *its* policy fills it in."""
    when = its.conditions
    return Filled(
        name=its.name,
        effect=its.effect,
        mode=[*its.modes],
        runtime=its.subject.runtimes,
        project=its.subject.projects,
        agents="\n".join(its.subject.agents),
        runtime_labels=_written(its.subject.labels),
        connection=its.connections.ids,
        provider=its.connections.providers,
        owners="\n".join(its.connections.owners),
        connection_labels=_written(its.connections.labels),
        purposes="\n".join(when.purposes),
        scoped="" if when.scopes is None else "on",
        scopes=" ".join(when.scopes or ()),
        max_ttl_s="" if when.max_ttl_s is None else str(when.max_ttl_s),
        not_before=_local(when.not_before),
        not_after=_local(when.not_after),
        since=when.hours.since if when.hours else "",
        until=when.hours.until if when.hours else "",
        day=[*when.hours.days] if when.hours else [],
        version=its.version,
    )


def _part(given: Mapping[str, Any], into: type[Part]) -> Part:
    try:
        return msgspec.convert(given, into, strict=False)
    except msgspec.ValidationError as error:
        raise _unfit(str(error)) from error


def _unfit(detail: str) -> Invalid:
    return Invalid([{"in": "body", "name": "", "detail": detail}])


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _labels(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _lines(text):
        name, equals, value = line.partition("=")
        if not equals or not name:
            raise _unfit("write labels as name=value, one on each line")
        found[name] = value
    return found


def _written(labels: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in labels.items())


def _instant(text: str) -> datetime | None:
    """What an input of the type ``datetime-local`` brings, taken as UTC."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise _unfit("write times as 2026-11-22T10:00, in UTC") from error


def _local(instant: datetime | None) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" if instant else ""


def rest(chosen: Iterable[str], known: Iterable[str]) -> list[str]:
    """What was chosen and is not offered: it stays chosen."""
    offered = set(known)
    return [each for each in chosen if each not in offered]
