"""Whether a chain is what was written and signed, and if not, where and how it was damaged. Needs no database.

Events are given one after the other. Every event must follow the one before it and have the hash that its content
gives; at each checkpoint the Merkle root over all events so far must be the one that was signed.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from controlplane.domain.audit.events import PRUNED, START, Event, Head, link, linked, schema_of
from controlplane.kit.canonical import uncheckedly
from controlplane.kit.merkle import Tree
from controlplane.kit.notes import Checkpoint

Kind: TypeAlias = Literal["content", "link", "gap", "fork", "truncated-vs-checkpoint", "signature", "reads"]

MOST_DAMAGES: Final = 20
"""Reported one by one; what follows is counted only."""


class Damage(Struct, frozen=True, kw_only=True):
    """Where the log is not what it was."""

    seq: int
    """The first event that is concerned."""
    kind: Kind
    """``content``: it does not give its hash. ``link``: it does not follow the event before it. ``gap``: events are
    missing before it. ``fork``: another event stands, or stood, in its place. ``truncated-vs-checkpoint``: events that
    were signed are missing at the end. ``signature``: a checkpoint is not signed by the key given. ``reads``: the reads of credentials that
    this event has the root over are not those that there are."""
    detail: str


class Verdict(Struct, frozen=True, kw_only=True):
    events: int
    """How many were looked at."""
    first_seq: int
    last_seq: int
    """0: none."""
    signed_through: int
    """The last event that a checkpoint covers which was verified."""
    checkpoints: int
    """How many were verified."""
    damages: list[Damage]
    """The first :data:`MOST_DAMAGES`."""

    @property
    def unbroken(self) -> bool:
        return not self.damages


class Start(Struct, frozen=True):
    """Where verification begins: at the first event of all, or behind what was verified or pruned."""

    head: Head
    tree: Tree


def beginning() -> Start:
    return Start(Head(0, START), Tree())


def behind_pruned(facts: Mapping[str, Any]) -> Start:
    """Behind the events that the facts of an ``audit.pruned`` event speak of.

    Raises:
        ValueError: If they do not say what they must.
    """
    try:
        seq = int(facts["through"])
        tree = Tree(seq, [bytes.fromhex(node) for node in facts["edge"]])
        return Start(Head(seq, bytes.fromhex(facts["hash"])), tree)
    except (KeyError, TypeError) as error:
        raise ValueError("an audit.pruned event without its facts") from error


class Verifier:
    """Takes a chain's events in their order."""

    def __init__(self, start: Start, checkpoints: Iterable[Checkpoint] = ()) -> None:
        """
        Args:
            start: Where the first event given must follow.
            checkpoints: Of this log, their signatures verified.
        """
        self._head = start.head
        self._tree = Tree(start.tree.size, start.tree.edge)
        self._signed: dict[int, list[Checkpoint]] = {}
        for checkpoint in checkpoints:
            self._signed.setdefault(checkpoint.size, []).append(checkpoint)
        self._first = 0
        self.events = 0
        self._verified = 0
        self._good_through = 0
        self._damages: list[Damage] = []
        self._compare()

    @property
    def head(self) -> Head:
        """The last event taken."""
        return self._head

    @property
    def tree(self) -> Tree:
        """Over all events up to :attr:`head`."""
        return self._tree

    def damaged(self, seq: int, kind: Kind, detail: str) -> None:
        if len(self._damages) < MOST_DAMAGES:
            self._damages.append(Damage(seq=seq, kind=kind, detail=detail))

    def take(self, seq: int, prev_hash: bytes, claimed: bytes, computed: bytes) -> None:
        """The next event.

        Args:
            claimed: The hash that it carries.
            computed: The hash that its content gives.
        """
        self.events += 1
        expected = self._head.seq + 1
        if claimed != computed:
            self.damaged(expected, "content", f"event {expected} is not what was written: its content has another hash")
            seq = expected  # nothing in it counts, its number neither
        elif seq > expected:
            self.damaged(expected, "gap", f"event {expected} is missing: {seq} follows on {expected - 1}")
        elif seq < expected:
            self.damaged(seq, "fork", f"event {seq} stands here a second time, or out of its order")
            return
        elif self._head.hash and prev_hash != self._head.hash:
            self.damaged(seq, "link", f"event {seq} does not follow the event {seq - 1} that stands before it")
        self._first = self._first or seq
        self._head = Head(seq, claimed)
        self._tree.append(claimed)
        self._compare()

    def unreadable(self, why: str) -> None:
        """The next event cannot be read at all."""
        self.events += 1
        seq = self._head.seq + 1
        self._first = self._first or seq
        self.damaged(seq, "content", f"event {seq} cannot be read: {why}")
        self._head = Head(seq, b"")

    def finish(self) -> Verdict:
        """What was found, with what can be said only at the end."""
        last = self._head.seq
        for size in sorted(self._signed):
            if size > last:
                self.damaged(last + 1, "truncated-vs-checkpoint", f"{size} events were signed, the log ends at {last}")
                break
        return Verdict(
            events=self.events,
            first_seq=self._first,
            last_seq=last if self.events else 0,
            signed_through=self._good_through,
            checkpoints=self._verified,
            damages=self._damages,
        )

    def _compare(self) -> None:
        """Whether the log so far is the one that was signed. Once it is not, later checkpoints say nothing new."""
        for checkpoint in self._signed.get(self._head.seq, ()):
            if self._damages:
                continue
            if self._tree.size != checkpoint.size or self._tree.root() != checkpoint.root:
                here = f"the events {self._good_through + 1} to {checkpoint.size}"
                self.damaged(self._good_through + 1, "fork", f"{here} are not the ones that were signed")
                continue
            self._verified += 1
            self._good_through = checkpoint.size


class _Reference(Struct, forbid_unknown_fields=True):
    id: str
    kind: str


class _Actor(Struct, forbid_unknown_fields=True, kw_only=True):
    id: str
    impersonator: str | msgspec.UnsetType = msgspec.UNSET
    kind: str


class _Line(Struct, forbid_unknown_fields=True):
    """A line of an export, its fields in the order in which they stand there."""

    action: str
    actor: _Actor
    chain: str
    facts: dict[str, Any]
    hash: str
    id: str
    occurred_us: int
    outcome: str
    prev_hash: str
    request_id: str
    schema: int
    seq: int
    target: _Reference
    sealed: str | msgspec.UnsetType = msgspec.UNSET


class _Content(Struct):
    """What of a line is hashed."""

    action: str
    actor: _Actor
    chain: str
    facts: dict[str, Any]
    id: str
    occurred_us: int
    outcome: str
    request_id: str
    schema: int
    seq: int
    target: _Reference
    sealed: str | msgspec.UnsetType = msgspec.UNSET


_LINE = msgspec.json.Decoder(_Line)

_UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


def verify_events(verifier: Verifier, chain: UUID | None, events: Iterable[Event]) -> None:
    """Give *verifier* events as they stand in the database."""
    for event in events:
        verifier.take(event.seq, event.prev_hash, event.hash, link(chain, event))


def verify_line(verifier: Verifier, chain: str, raw: bytes) -> None:
    """Give *verifier* one line of an export. Not a byte of it may be other than it was exported."""
    try:
        found = _LINE.decode(raw)
        claimed, prev_hash = bytes.fromhex(found.hash), bytes.fromhex(found.prev_hash)
        as_exported = uncheckedly(found) == raw and (found.hash, found.prev_hash) == (claimed.hex(), prev_hash.hex())
    except _UNREADABLE:
        verifier.unreadable("the line is no event")
        return
    if not as_exported:
        verifier.unreadable("the line is not as it was exported")
    elif found.chain != chain or found.schema != schema_of(found.actor.impersonator or None):
        verifier.unreadable("it is of another log, or of a schema that is not known here")
    else:
        verifier.take(found.seq, prev_hash, claimed, linked(prev_hash, uncheckedly(_content(found))))


def start_of(lines: Iterable[bytes], first_seq: int) -> Start:
    """Where an export begins whose first event is *first_seq*: behind what one of its events says was pruned."""
    if first_seq == 1:
        return beginning()
    for raw in lines:
        if PRUNED.encode() not in raw:
            continue
        try:
            found = _LINE.decode(raw)
            if found.action == PRUNED and found.facts.get("through") == first_seq - 1:
                return behind_pruned(found.facts)
        except _UNREADABLE:  # it is told when its turn comes
            continue
    return beginning()


def _content(found: _Line) -> _Content:
    return _Content(
        action=found.action,
        actor=found.actor,
        chain=found.chain,
        facts=found.facts,
        id=found.id,
        occurred_us=found.occurred_us,
        outcome=found.outcome,
        request_id=found.request_id,
        schema=found.schema,
        seq=found.seq,
        target=found.target,
        sealed=found.sealed,
    )
