"""Comparing, record by record: what was written, what the agent says it sent, what the server stored and shows."""

import asyncio
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain.sync import batches
from controlplane.domain.sync.identities import Identities
from controlplane.domain.sync.projections import project
from runtime_agent.sources.engine.home import EngineHome
from runtime_agent.wire import chain
from tests.faults.items import shown
from tests.faults.stored import stretches

TABLES = (t.sessions, t.runs, t.checkpoints, t.cost_entries)
ROWS = {
    table: msgspec.defstruct(f"{table.name}_row", [(str(column.name), Any) for column in table.c], frozen=True)
    for table in TABLES
}
MADE_ANEW = {"received_at"}
PLACE = {"epoch", "seq", "received_at", "changed_at", "project_id"}
"""Columns that tell when something came, not what it says."""

CURSOR = "SELECT c.tenant_id, r.project_id, c.runtime_id, c.epoch, c.last_seq, c.head FROM sync_cursors c JOIN runtimes r ON r.id = c.runtime_id"


def broken_chains(stored, cursor):
    """Where the hash chain over the stored lines does not lead from each epoch's beginning to its end."""
    wrong, heads = [], {}
    for one in stored:
        last, head = heads.get(one.epoch, (0, chain.origin(cursor["runtime_id"], one.epoch)))
        place = f"epoch {one.epoch}, {one.first}-{one.last}"
        if one.first != last + 1:
            wrong.append(f"{place} is stored behind {last}")
        if one.prev != head or chain.extend(head, one.lines) != one.head:
            wrong.append(f"{place}: the chain is broken")
        if [msgspec.json.decode(line)["record_id"] for line in one.lines] != [str(each) for each in one.record_ids]:
            wrong.append(f"{place}: the ids beside the body are not those in it")
        heads[one.epoch] = (one.last, one.head)
    ends = heads.get(cursor["epoch"], (0, chain.origin(cursor["runtime_id"], cursor["epoch"])))
    if ends != (cursor["last_seq"], cursor["head"]):
        wrong.append(f"the cursor says {cursor['epoch']}/{cursor['last_seq']}, the batches end at {ends[0]}")
    newer = [epoch for epoch in heads if epoch > cursor["epoch"]]
    return wrong + [f"batches of epoch {epoch}, which was never granted" for epoch in newer]


def applied_twice(stored):
    """S1 of the model: a record is in the log once, whatever was sent again."""
    seen = Counter(identity for one in stored for identity in one.record_ids)
    return [f"record {identity} is stored {times} times" for identity, times in seen.items() if times > 1]


def items_astray(server, wanted, allowed):
    """Items that are missing, doubled, or were never written."""
    held = Counter(server)
    wrong = [f"missing: {item}" for item in sorted(wanted - set(held))]
    wrong += [f"{times} times there: {item}" for item, times in sorted(held.items()) if times > 1]
    return wrong + [f"never written: {item}" for item in sorted(set(held) - allowed) if item[0] != "state"]


def outcomes_astray(server, writer):
    """Ended sessions whose status and tokens are not what the writer knows they are."""
    told = {item[1]: item for item in server if item[0] == "state"}
    wrong = []
    for story in writer.stories.values():
        if not story.ended or story.key not in told or story.key in writer.gone:
            continue
        _, _, status, _, *tokens = told[story.key]
        meant, *counted = story.outcome()
        if story.plan.fate == "crashed" and status == "running":  # until it has been silent for long enough
            status = meant
        if (status, tokens) != (meant, counted):
            wrong.append(f"{story.key} is {status} {tokens}, not {meant} {counted}")
    return wrong


class _Enough(Exception):
    """Nothing of this is to stay."""


async def rows_astray(app_url, stored, cursor, home):
    """Rows that are not what projecting the stored batches anew gives, or not what reading the home anew gives."""
    db = Database(app_url, pool_size=1)
    identities = Identities(cursor["tenant_id"], cursor["runtime_id"])
    wrong = []
    try:
        async with db.tenant(cursor["tenant_id"]) as tx:
            held = await _rows(tx)
            await _clear(tx)
            for one in stored:
                records = [batches.decode(line) for line in one.lines]
                await project(identities, one.first, records).write(
                    tx, cursor["runtime_id"], cursor["project_id"], one.epoch
                )
            wrong += _differences("projected anew", held, await _rows(tx), MADE_ANEW, only_these=False)
            await _clear(tx)
            read = _read_anew(home)
            await project(identities, 1, read).write(tx, cursor["runtime_id"], cursor["project_id"], 1)
            wrong += _differences("read anew", held, await _rows(tx), PLACE, only_these=True)
            raise _Enough
    except _Enough:
        return wrong
    finally:
        await db.close()


async def _clear(tx):
    for table in TABLES:
        await tx.run(tx.delete(table))


async def _rows(tx):
    return {table: {row.id: row for row in await tx.all(ROWS[table], tx.select(table))} for table in TABLES}


def _read_anew(home):
    """Everything that a first look at the home would say now."""
    source, at = EngineHome(home, UTC), datetime.now(UTC)
    readings = [source.read(unit.key, now=at, seen=None) for unit in source.discover()]
    return [draft.make(uuid4(), at) for reading in readings for draft in reading.records]


def _differences(how, held, meant, apart_from, *, only_these):
    """Where *held* is not as *meant*; with *only_these* it may hold more."""
    wrong = []
    for table, rows in meant.items():
        extra = set() if only_these else held[table].keys() - rows.keys()
        wrong += [f"{table.name}, {how}: {_named(held[table][identity])} should not be there" for identity in extra]
        for identity, row in rows.items():
            found = held[table].get(identity)
            if found is None:
                wrong.append(f"{table.name}, {how}: {_named(row)} is missing")
                continue
            for name in row.__struct_fields__:
                there, right = getattr(found, name), getattr(row, name)
                if name not in apart_from and there != right:
                    wrong.append(f"{table.name}, {how}: {_named(row)}: {name} is {there!r}, not {right!r}")
    return wrong


def _named(row):
    return f"{row.agent}/{row.source_id}"


def everything(control_plane, agent, writer, promise):
    """What is wrong, in words; empty when every record is where it must be, once."""
    ask = control_plane.ask
    cursor, *others = ask(CURSOR)
    server, stored = shown(ask), stretches(ask)
    wrong = [f"a second runtime joined: {other['runtime_id']}" for other in others]
    where = agent.position()
    if where is None or (where.epoch, where.acked, where.head) != (cursor["epoch"], cursor["last_seq"], cursor["head"]):
        wrong.append(f"the agent stands at {where}, the server at {cursor['epoch']}/{cursor['last_seq']}")
    wrong += broken_chains(stored, cursor) + applied_twice(stored)
    wrong += items_astray(server, promise.wanted(writer), promise.allowed(writer))
    wrong += outcomes_astray(server, writer)
    wrong += asyncio.run(rows_astray(control_plane.app_url, stored, cursor, writer.home))
    wrong += [f"put aside by the agent: {row}" for row in agent.quarantined()]
    return wrong + [f"confessed: {dict(row)}" for row in ask("SELECT * FROM sync_losses WHERE kind <> 'lost'")]


def summary(wrong, most=60):
    """The first of them, and how many of each kind there are."""
    kinds = defaultdict(int)
    for line in wrong:
        kinds[line.split(":")[0][:60]] += 1
    counted = [f"{times} x {kind}" for kind, times in sorted(kinds.items(), key=lambda one: -one[1])[:10]]
    return "\n".join([*counted, "", *wrong[:most]])
