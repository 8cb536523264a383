"""``once``: look at everything, send until nothing is left, and say what came of it."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from runtime_agent.agent import Agent, Post, opened
from runtime_agent.clock import to_ms
from runtime_agent.home import OUTBOX
from runtime_agent.outbox import DiskFull, OutboxDamaged, contents, cursor, quarantine, refilling
from runtime_agent.outbox.file import set_aside
from runtime_agent.outbox.position import position
from runtime_agent.scan import Outcome, Scanner
from runtime_agent.wire.heartbeat import Trouble

TRIES = 3
"""Calls in a row that may fail before giving up."""

LONGEST_WAIT_S = 15.0
"""A server that wants to be left alone for longer is left alone; the next call sends what is left."""

HALF_WRITTEN_S = 0.5
"""Units that are being written are read again within this time, then left as they are."""


class Done(Struct, kw_only=True):
    """What ``once`` did."""

    sessions: int = 0
    read: int = 0
    records: int = 0
    """New in this call."""
    sent: int = 0
    """Acknowledged in this call, those of earlier calls included."""
    left: int = 0
    quarantined: int = 0
    chunks_left: int = 0
    """Of checkpoint content."""
    problem: str = ""
    """What kept us from finishing; empty: everything was looked at, and the control plane holds it."""
    troubles: list[Trouble] = []


class Progress:
    """Told on the way. This one shows nothing."""

    def looked(self, outcome: Outcome) -> None:
        """Called in the scanning thread."""

    def sent(self, done: int, left: int) -> None:
        """Called after each answer."""


async def once(post: Post, progress: Progress) -> Done:
    """One look, and everything sent, as far as it goes; a damaged outbox is replaced on the way.

    Raises:
        Refusal: A setting, a mode or a file stands in the way.
    """
    while True:
        damage = ""
        async with opened(post) as agent:
            try:
                return await _once(agent, progress)
            except OutboxDamaged as error:
                damage = str(error)
            post = post._replace(identity=agent.tokens.identity)
        set_aside(post.home / OUTBOX, damage)


async def _once(agent: Agent, progress: Progress) -> Done:
    done = Done()
    if position(agent.outbox).epoch == 0:  # a number granted before the first scan need not be given twice
        await agent.send()
    for scanner in agent.scanners:
        await _look(agent, scanner, done, progress.looked)
    await _send_everything(agent, done, progress)
    if refilling.is_under_way(agent.outbox):  # what the comparison at the end asked for is said in the same call
        for scanner in agent.scanners:
            done.records += await _read_again(agent, scanner)
        await _send_everything(agent, done, progress)
    if not done.problem:
        await _configure(agent)
        await _bring_content(agent, done, progress)
    where = position(agent.outbox)
    done.left, done.quarantined = where.last_seq - where.acked, quarantine.count(agent.outbox)
    done.chunks_left = contents.pending(agent.outbox)
    done.troubles = agent.troubles.all()
    await asyncio.to_thread(agent.prune)
    return done


async def _configure(agent: Agent) -> None:
    """What was tried in this call has proved itself; what is new is tried from the next one on."""
    if agent.trial.trying:
        agent.trial.looked = True
        if agent.trial.prove(0):
            await agent.beat()
    if agent.fetching.wanted:
        await agent.configure()


async def _look(agent: Agent, scanner: Scanner, done: Done, told: Callable[[Outcome], None]) -> None:
    outcome = await asyncio.to_thread(agent.look, scanner, told)
    if outcome is None:
        done.problem = f"{scanner.source.path}: " + "; ".join(trouble.line for trouble in agent.troubles.all())
        return
    try:
        outcome.records += await _read_again(agent, scanner)
    except DiskFull as error:
        done.problem = str(error)
    done.sessions += outcome.looked_at
    done.read += outcome.read
    done.records += outcome.records


async def _read_again(agent: Agent, scanner: Scanner) -> int:
    """Give units that are being written a moment to become whole; return how many records came of it."""
    until_ms, records = to_ms(agent.clock()) + round(HALF_WRITTEN_S * 1000), 0
    while (due_ms := cursor.next_due_ms(agent.outbox, scanner.source.kind)) is not None and due_ms <= until_ms:
        await asyncio.sleep(max(0.0, (due_ms - to_ms(agent.clock())) / 1000))
        records += (await asyncio.to_thread(scanner.overdue)).records
    return records


async def _bring_content(agent: Agent, done: Done, progress: Progress) -> None:
    """What checkpoints hold, where it may leave: first what they are made of, by the log, then the chunks."""
    try:
        while await asyncio.to_thread(agent.taker.take, agent.sync.content):
            pass
    except DiskFull as error:
        done.problem = str(error)
        return
    if agent.sync.unsent():
        await _send_everything(agent, done, progress)
    failures = 0
    while failures < TRIES and agent.lane_pace.wait_s() <= LONGEST_WAIT_S:
        await asyncio.sleep(agent.lane_pace.wait_s())
        if not await agent.bring():
            return
        failures = failures + 1 if agent.lane_pace.connected is False else 0
    done.problem = "; ".join(trouble.line for trouble in agent.troubles.all())


async def _send_everything(agent: Agent, done: Done, progress: Progress) -> None:
    failures = doubts = 0
    while True:
        wait_s = max(agent.pace.wait_s(), agent.log_pace.wait_s())
        if failures >= TRIES or doubts >= TRIES or wait_s > LONGEST_WAIT_S:
            done.problem = done.problem or agent.last_words or "the control plane and this log do not come together"
            return
        await asyncio.sleep(wait_s)
        before = position(agent.outbox)
        more = await agent.send()
        after = position(agent.outbox)
        if after.epoch == before.epoch:
            done.sent += max(0, after.acked - before.acked)
        progress.sent(done.sent, after.last_seq - after.acked)
        failures = failures + 1 if agent.last_words else 0
        if not more:
            await agent.beat()
            if agent.sync.store_id is not None:
                return
            doubts += 1
