"""What keeps logs on demand from being kept, taken out of the code one at a time."""

from scripts.sabotage import Change, Sabotage

DOOR = "tests/http/test_logs.py"
DESKS = "tests/contracts/test_log_desks.py"
AGENT = "tests/agent/test_logs.py"

LOGS = (
    Sabotage(
        name="a line of a log in the database",
        file="controlplane/http/runtime_api/logs.py",
        was="            await logs.live(tx, runtime.id, tail_id)\n",
        becomes="            await logs.live(tx, runtime.id, tail_id)\n"
        "            kept = tx.update(t.log_tails).where(t.log_tails.c.id == tail_id)\n"
        '            await tx.run(kept.values(path=" ".join(data.lines)))\n',
        noticed_by=(f"{DOOR}::test_no_table_holds_a_line_that_is_looked_at",),
        besides=(
            Change(
                file="controlplane/http/runtime_api/logs.py",
                was="from controlplane.db.database import Database\n",
                becomes="from controlplane.db import schema as t\nfrom controlplane.db.database import Database\n",
            ),
        ),
    ),
    Sabotage(
        name="a line of a log that stays in Redis",
        file="controlplane/kit/channels.py",
        was="            await self._redis.publish(channel, message)\n",
        becomes="            await self._redis.publish(channel, message)\n            await self._redis.set(channel, message)\n",
        noticed_by=(f"{DESKS}::test_lines_go_to_the_replica_where_they_are_looked_at_and_none_is_kept_or_readable",),
    ),
    Sabotage(
        name="a line of a log that whoever listens at Redis can read",
        file="controlplane/domain/logs/desk.py",
        was="        return nonce + self._seal.encrypt(nonce, msgspec.json.encode(said), channel.encode())\n",
        becomes="        return msgspec.json.encode(said)\n",
        noticed_by=(f"{DESKS}::test_lines_go_to_the_replica_where_they_are_looked_at_and_none_is_kept_or_readable",),
        besides=(
            Change(
                file="controlplane/domain/logs/desk.py",
                was="self._seal.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], channel.encode()), type=into",
                becomes="raw, type=into",
            ),
        ),
    ),
    Sabotage(
        name="words that whoever reaches Redis puts into a log",
        file="controlplane/domain/logs/desk.py",
        was="            chunk = self._opened(here, await get(), Chunk)\n            if chunk is None:\n",
        becomes="            chunk = self._opened(here, raw := await get(), Chunk)\n"
        "            chunk = chunk or Chunk(number=1, offset=0, next=0, size=0, lines=[str(raw)])\n"
        "            if chunk is None:\n",
        noticed_by=(f"{DESKS}::test_what_somebody_else_says_there_is_not_heard",),
    ),
    Sabotage(
        name="a tail that outlives its viewer",
        file="controlplane/http/looking.py",
        was="            await logs.close(tx, tail.id)\n",
        becomes="            str(tail.id)\n",
        noticed_by=(f"{DOOR}::test_lines_reach_who_looks_and_the_agent_is_told_when_they_go",),
    ),
    Sabotage(
        name="a tail that outlives the replica of its viewer",
        file="controlplane/domain/logs/tails.py",
        was="wanted.where(its.until > tx.now, its.not_after > tx.now)",
        becomes="wanted.where(its.not_after > tx.now)",
        noticed_by=(f"{DOOR}::test_a_viewer_of_whom_nothing_is_heard_any_more_looks_no_longer",),
    ),
    Sabotage(
        name="a viewer who may not look any more",
        file="controlplane/http/looking.py",
        was="            await authorize.authorize(self._request, self._request.route_handler)\n",
        becomes="",
        noticed_by=(f"{DOOR}::test_who_loses_the_permission_stops_seeing",),
    ),
    Sabotage(
        name="another runtime's lines",
        file="controlplane/domain/logs/tails.py",
        was="wanted = tx.select(t.log_tails).where(its.id == tail_id, its.runtime_id == runtime_id)",
        becomes="wanted = tx.select(t.log_tails).where(its.id == tail_id)",
        noticed_by=(f"{DOOR}::test_another_runtimes_tail_is_nobodys",),
    ),
    Sabotage(
        name="a raw line that leaves with its secrets",
        file="runtime_agent/logs/tails.py",
        was="text = showing.shown(self._tail.log, line, self._redaction)",
        becomes='text = line.content.decode(errors="replace")',
        noticed_by=(f"{AGENT}::test_what_is_sent_is_what_may_be_shown",),
    ),
    Sabotage(
        name="a tail that takes whatever comes",
        file="controlplane/domain/logs/looks.py",
        was="fits = asked_for and weight <= self._credit() and len(self._chunks) < MOST_CHUNKS",
        becomes="fits = asked_for",
        noticed_by=(f"{DESKS}::test_an_agent_waits_while_nobody_takes_what_it_sent",),
    ),
    Sabotage(
        name="room that is granted where there is none",
        file="controlplane/domain/logs/looks.py",
        was="return CHUNK_BYTES if fits else 0",
        becomes="return CHUNK_BYTES",
        noticed_by=(f"{DESKS}::test_an_agent_waits_while_nobody_takes_what_it_sent",),
    ),
    Sabotage(
        name="a tail without an end",
        file="controlplane/domain/logs/looks.py",
        was="asked_for = self._taken + weight <= self.tail.most + CHUNK_BYTES",
        becomes="asked_for = weight <= CHUNK_BYTES",
        noticed_by=(f"{DESKS}::test_more_than_was_asked_for_is_not_taken",),
    ),
    Sabotage(
        name="an agent that sends more than it was asked for",
        file="runtime_agent/logs/tails.py",
        was="capped = bool(self._sent + used) and self._sent + used + weight > self._tail.most",
        becomes="capped = False",
        noticed_by=(f"{AGENT}::test_no_more_is_sent_than_was_asked_for",),
    ),
)
