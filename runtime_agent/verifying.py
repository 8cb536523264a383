"""``runtime-agent verify``: whether the control plane holds exactly what this runtime has said, and what differs if not."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from runtime_agent import comparing, home
from runtime_agent.clock import utc_now
from runtime_agent.comparing import Difference
from runtime_agent.http import Busy, Http, Refused, Unreachable
from runtime_agent.identity import Identity
from runtime_agent.outbox import DiskFull, Outbox, OutboxDamaged
from runtime_agent.outbox.position import Position, position
from runtime_agent.problems import Refusal
from runtime_agent.server import Server
from runtime_agent.tokens import Tokens
from runtime_agent.wire.comparing import KINDS, Compared

TRIES = 3
"""Comparisons during which something was written, before one is taken as it is."""


class Unverified(Refusal):
    """One of the two sides could not be looked at."""

    code = "unverified"


class Stand(Struct, frozen=True, kw_only=True):
    """Where one side's log stands."""

    epoch: int
    last_seq: int
    head: str
    """Of the chain, there."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What ``verify`` prints."""

    identical: bool
    here: Stand
    there: Stand
    waiting: int
    """Records that are written here and not acknowledged yet."""
    said: int
    """Things that were compared: sessions, runs, checkpoints, cost lines."""
    missing: dict[str, int]
    """Of each kind, how many are missing or older there."""
    newer: int
    """Newer there."""
    only_there: int
    """Known there, and not here any more. No difference: whatever was said stays."""


async def verify(folder: Path, identity: Identity) -> Verdict:
    """Compare both sides, changing neither; beside the daemon or without it.

    Raises:
        Unverified: If one of them cannot be looked at.
    """
    outbox = _opened(folder, identity)
    try:
        async with Http(identity.server, utc_now) as http:
            server = Server(http, Tokens(http, folder, identity, utc_now))
            for _ in range(TRIES):
                before = position(outbox)
                answer, found = await comparing.compare(outbox, server)
                if position(outbox) == before:
                    break
                await asyncio.sleep(1.0)
            return _verdict(position(outbox), answer, found)
    except (Unreachable, Busy, Refused) as error:
        raise Unverified(f"the control plane cannot be asked: {error}", hint="Try again later.") from error
    finally:
        outbox.close()


def lines(verdict: Verdict) -> Iterator[str]:
    """For people."""
    if verdict.identical:
        yield "identical"
    for kind, count in verdict.missing.items():
        yield f"{count:,} of kind {kind} are missing or older there"
    if verdict.newer:
        yield f"{verdict.newer:,} are newer there"
    if verdict.waiting:
        yield f"{verdict.waiting:,} records wait to be sent"
    elif verdict.here != verdict.there:
        here, there = verdict.here, verdict.there
        yield f"the log stands at {here.epoch}/{here.last_seq} here and at {there.epoch}/{there.last_seq} there"
    if verdict.only_there:
        yield f"{verdict.only_there:,} more are known there, of what is not here any more"


def _opened(folder: Path, identity: Identity) -> Outbox:
    path = folder / home.OUTBOX
    if not path.exists():
        raise Unverified("nothing has been read here yet", hint="Run: runtime-agent once")
    try:
        return Outbox(path, identity.id)
    except (OutboxDamaged, DiskFull) as error:
        raise Unverified(f"the outbox cannot be read: {error}") from error


def _verdict(where: Position, answer: Compared, found: Difference) -> Verdict:
    here = Stand(epoch=where.epoch, last_seq=where.last_seq, head=where.head.hex())
    there = Stand(epoch=answer.epoch, last_seq=answer.last_seq, head=answer.head)
    counted = Counter(entity.kind for entity in found.missing)
    return Verdict(
        identical=here == there and not counted and not found.newer,
        here=here,
        there=there,
        waiting=where.last_seq - where.acked,
        said=found.said,
        missing={kind: counted[kind] for kind in KINDS if counted[kind]},
        newer=found.newer,
        only_there=found.only_there,
    )
