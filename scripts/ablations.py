"""The rules of the sync protocol, taken out of the code one at a time, under the names that its model gives them."""

from scripts.sabotage import Change, Sabotage

CAMPAIGN = "tests/faults/test_campaign.py"

_NO_HEAD_IN_ACK = Change(
    file="runtime_agent/outbox/log.py",
    was="if own is None or own.hex() != head:",
    becomes="if own is None:",
)
_NO_HEAD_IN_DURABLE = Change(
    file="runtime_agent/outbox/pruning.py",
    was="if own is None or own.hex() != mark.head:",
    becomes="if own is None:",
)
_NO_FENCE = Change(
    file="controlplane/domain/sync/log.py",
    was="if place.epoch != cursor.epoch:",
    becomes="if place.epoch > cursor.epoch:",
)
_NO_NEW_EPOCH = Change(
    file="controlplane/domain/sync/recovery.py",
    was="    if _may_resume(cursor, said):",
    becomes="    if cursor.epoch > 0 or _may_resume(cursor, said):",
)
_NO_CHAIN = (
    _NO_HEAD_IN_ACK,
    _NO_HEAD_IN_DURABLE,
    Change(
        file="controlplane/domain/sync/log.py",
        was="if chain.extend(place.prev, batch.lines[:skip]) != cursor.head:",
        becomes="if not chain:",
    ),
    Change(
        file="controlplane/domain/sync/recovery.py",
        was="agrees_at_the_end = said.last_seq != cursor.last_seq or said.head == cursor.head.hex()",
        becomes="agrees_at_the_end = True",
    ),
    Change(
        file="runtime_agent/outbox/position.py",
        was="return own is not None and own.hex() == head",
        becomes="return own is not None or not head",
    ),
)
_ASYNCIO = Change(
    file="controlplane/http/runtime_api/sync.py",
    was="from typing import Any\n\nfrom litestar import Controller",
    becomes="import asyncio\nfrom typing import Any\n\nfrom litestar import Controller",
)
_OLD_TOKENS_GOOD = Change(
    file="controlplane/db/backups.py",
    was="SET generation = generation + 1000",
    becomes="SET generation = generation + 0",
)
"""The model knows of no tokens: in the code, what was sent before a restore is turned away by its token as well."""

ABLATIONS = (
    Sabotage(
        name="no-cursor-check: heartbeats that do not compare cursors",
        file="runtime_agent/agent.py",
        was="fits = heartbeat.fits(self.outbox, before, store_id, pulse)",
        becomes="fits = heartbeat.fits(self.outbox, before, None, pulse)",
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="prune-on-ack: records that are dropped when they are acknowledged",
        file="runtime_agent/outbox/pruning.py",
        was="gone = _drop_up_to(tx, where, min(mark.seq, where.acked))",
        becomes="gone = _drop_up_to(tx, where, where.acked)",
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="no-fencing-no-chain: a bare sequence number",
        file=_NO_FENCE.file,
        was=_NO_FENCE.was,
        becomes=_NO_FENCE.becomes,
        besides=(_NO_NEW_EPOCH, *_NO_CHAIN),
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="no-chain: epochs, and nobody compares histories",
        file=_NO_HEAD_IN_ACK.file,
        was=_NO_HEAD_IN_ACK.was,
        becomes=_NO_HEAD_IN_ACK.becomes,
        besides=_NO_CHAIN[1:],
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="no-diff: a new epoch that sends everything again",
        file="runtime_agent/sync.py",
        was="epochs.note_known(self._outbox, [record_id for record_id in page if record_id not in missing])",
        becomes="epochs.note_known(self._outbox, [record_id for record_id in () if record_id not in missing])",
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="cursor-outside-transaction: records in one transaction, the cursor in the next",
        file="controlplane/domain/sync/log.py",
        was="        WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id\n    )\n    INSERT",
        becomes="        WHERE tenant_id = :tenant_id AND runtime_id = :runtime_id AND false\n    )\n    INSERT",
        besides=(
            Change(
                file="controlplane/http/runtime_api/sync.py",
                was="        return await log.append(tx, runtime.id, cursor, place, body, partitions.there)\n",
                becomes=(
                    "        kept = await log.append(tx, runtime.id, cursor, place, body, partitions.there)\n"
                    "    if kept.added:\n"
                    "        async with db.tenant(runtime.tenant_id) as tx:\n"
                    "            where = {'epoch': place.epoch, 'last_seq': kept.acked, 'head': kept.head}\n"
                    "            await cursors.move(tx, runtime.id, **where)\n"
                    "    return kept\n"
                ),
            ),
            Change(
                file="controlplane/http/runtime_api/sync.py",
                was="from controlplane.domain.sync import batches, comparing, log, recovery, refills\n",
                becomes="from controlplane.domain.sync import batches, comparing, cursors, log, recovery, refills\n",
            ),
        ),
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="ack-before-commit: an answer that does not wait for the commit",
        file="controlplane/http/runtime_api/sync.py",
        was="    async with db.tenant(runtime.tenant_id) as tx:\n        cursor = await standing.locked(tx, runtime)\n        return await log.append(tx, runtime.id, cursor, place, body, partitions.there)\n",
        becomes=(
            "    answer = asyncio.get_running_loop().create_future()\n"
            "\n"
            "    async def work() -> None:\n"
            "        try:\n"
            "            async with db.tenant(runtime.tenant_id) as tx:\n"
            "                cursor = await standing.locked(tx, runtime)\n"
            "                kept = await log.append(tx, runtime.id, cursor, place, body, partitions.there)\n"
            "                answer.set_result(kept)\n"
            "        except BaseException as error:\n"
            "            if not answer.done():\n"
            "                answer.set_exception(error)\n"
            "\n"
            "    batches.doing = asyncio.ensure_future(work())\n"
            "    return await answer\n"
        ),
        besides=(_ASYNCIO,),
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="no-fencing: a chain, and no epochs",
        file=_NO_FENCE.file,
        was=_NO_FENCE.was,
        becomes=_NO_FENCE.becomes,
        besides=(_NO_NEW_EPOCH,),
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="no-head-in-ack-nor-durable: numbers without the history that they stand for",
        file=_NO_HEAD_IN_ACK.file,
        was=_NO_HEAD_IN_ACK.was,
        becomes=_NO_HEAD_IN_ACK.becomes,
        besides=(_NO_HEAD_IN_DURABLE,),
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="no-store-id: an append that is taken by whichever database",
        file="controlplane/domain/sync/log.py",
        was="if place.store_id != cursor.store_id:",
        becomes="if not place.store_id:",
        besides=(_OLD_TOKENS_GOOD,),
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="no-head-in-ack: an acknowledgement of somebody else's history",
        file=_NO_HEAD_IN_ACK.file,
        was=_NO_HEAD_IN_ACK.was,
        becomes=_NO_HEAD_IN_ACK.becomes,
        noticed_by=(CAMPAIGN,),
    ),
    Sabotage(
        name="no-head-in-durable: a backup of somebody else's history",
        file=_NO_HEAD_IN_DURABLE.file,
        was=_NO_HEAD_IN_DURABLE.was,
        becomes=_NO_HEAD_IN_DURABLE.becomes,
        noticed_by=(CAMPAIGN,),
    ),
)
"""The last two are a redundant pair in the model, where either alone loses nothing. The campaign looks after every step,
and puts copies of the disk back in any order: it sees each of them alone."""
