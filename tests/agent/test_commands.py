"""Commands in the agent: done once whatever dies, only what is allowed and signed, and each with its receipt."""

from contextlib import contextmanager
from datetime import timedelta

import httpx
import msgspec
import pytest
from sqlalchemy import text

from controlplane.domain import commands
from controlplane.domain.commands import Wanted
from controlplane.kit.ids import RuntimeId
from runtime_agent import identity as identities
from runtime_agent.commands import AGAIN, Commands
from runtime_agent.http import Http
from runtime_agent.orders import CommandForged
from runtime_agent.outbox import Outbox, inbox
from runtime_agent.server import Server
from runtime_agent.sync import Sync
from runtime_agent.tokens import Tokens
from runtime_agent.wire.commands import Orders
from tests.http.agents import Agent
from tests.http.lessees import Lessee
from tests.make import SHELL


class Killed(BaseException):
    """What a signal 9 is to a program: nothing after it happens."""


class Fuse:
    """Burns down at every place where something lasting happens, before and after it."""

    def __init__(self):
        self.left = None

    def burn(self):
        if self.left == 0:
            self.left = None
            raise Killed
        if self.left is not None:
            self.left -= 1


class Fragile(Outbox):
    def __init__(self, path, runtime_id, fuse):
        self.fuse = fuse
        super().__init__(path, runtime_id)

    @contextmanager
    def transaction(self):
        self.fuse.burn()
        with super().transaction() as tx:
            yield tx
        self.fuse.burn()


class Way(httpx.ASGITransport):
    """To the app; somebody may sit on it."""

    def __init__(self, app, fuse):
        super().__init__(app)
        self.fuse, self.twist = fuse, None

    async def handle_async_request(self, request):
        self.fuse.burn()
        answer = await super().handle_async_request(request)
        self.fuse.burn()
        if self.twist is None or "/poll" not in request.url.path:
            return answer
        said = self.twist(msgspec.json.decode(await answer.aread(), type=Orders))
        return httpx.Response(200, content=msgspec.json.encode(said))


class Machine:
    """One runtime's agent, as far as commands go; ``boot`` is what a start of the program is."""

    def __init__(self, db, clock, way, folder, identity, tenant):
        self.db, self.clock, self.way, self.folder, self.tenant = db, clock, way, folder, tenant
        self.identity, self.fuse, self.done = identity, way.fuse, []
        self.outbox = None
        self.boot()

    def boot(self):
        if self.outbox is not None:
            self.outbox.close()
        self.outbox = Fragile(self.folder / "outbox.db", self.identity.id, self.fuse)
        http = Http("http://test", self.clock, self.way)
        tokens = Tokens(http, self.folder, identities.load(self.folder), self.clock)
        server = Server(http, tokens)
        self.sync = Sync(self.outbox, server, boot_id=self.identity.id, clock=self.clock)
        self.commands = Commands(self.outbox, server, http, tokens, self.clock)
        self.commands.doers = dict.fromkeys(("rescan", "drain", "resume", "approve"), self.do)
        self.commands.allowed = frozenset({"rescan", "resume", "approve"})
        self.commands.asked.set()

    async def do(self, command):
        self.fuse.burn()
        self.done.append(command.command)
        self.fuse.burn()
        return "done"

    async def go_on(self):
        """Until there is nothing left to do and everything is said."""
        for _ in range(4):
            self.commands.asked.set()
            await self.commands.step()
        while await self.sync.step():
            pass

    async def ask(self, kind="rescan", **given):
        async with self.db.tenant(self.tenant.tenant_id) as tx:
            wanted = Wanted(kind=kind, runtime_id=RuntimeId(self.identity.id), **given)
            return await commands.create(tx, SHELL, wanted)

    async def receipt(self, command):
        async with self.db.tenant(self.tenant.tenant_id) as tx:
            return await commands.get(tx, command.id)

    async def force(self, statement, **values):
        async with self.db.tenant(self.tenant.tenant_id) as tx:
            await tx.load(text(statement), **values)


@pytest.fixture
async def machine(app, client, db, clock, make, tmp_path):
    tenant = await make.tenant()
    agent = Agent(client, clock)
    assert (await agent.enroll(await make.join_token(tenant))).status_code == 201
    known = msgspec.structs.replace(Lessee(agent).identity, join_state=agent.answer.join_state)
    tmp_path.chmod(0o700)
    identities.save(tmp_path, known)
    made = Machine(db, clock, Way(app, Fuse()), tmp_path, known, tenant)
    yield made
    made.outbox.close()


async def test_a_command_is_fetched_kept_acknowledged_done_and_its_receipt_arrives(machine):
    asked = await machine.ask()

    await machine.go_on()

    done = await machine.receipt(asked)
    assert (done.state, done.detail, len(machine.done)) == ("succeeded", "done", 1)
    assert None not in (done.delivered_at, done.started_at, done.ended_at)
    await machine.go_on()
    assert len(machine.done) == 1


@pytest.mark.parametrize("kind", ["rescan", "resume"])
async def test_killed_anywhere_it_is_done_once_and_always_has_an_end(machine, kind):
    await machine.go_on()
    for place in range(60):
        asked, machine.done = await machine.ask(kind), []
        machine.fuse.left = place
        try:
            await machine.go_on()
        except Killed:
            machine.boot()
            await machine.go_on()
        survived, machine.fuse.left = machine.fuse.left is not None, None

        ended = await machine.receipt(asked)
        assert ended.state in {"succeeded", "failed"}, place
        if kind not in AGAIN:
            assert len(machine.done) <= 1
            assert ended.code in {"", "interrupted"}
            assert machine.done or ended.code == "interrupted", place
        else:
            assert ended.state == "succeeded"
        if survived:
            return
    pytest.fail("there are more places to die at than were tried")


async def test_what_is_not_allowed_here_unknown_or_too_late_is_refused_with_a_receipt(machine, clock):
    drain = await machine.ask("drain")
    unknown = await machine.ask("rescan")
    await machine.force("UPDATE commands SET kind = 'self-destruct' WHERE id = :id", id=unknown.id)
    late = await machine.ask("rescan", not_after=clock() + timedelta(minutes=1))
    machine.commands.asked.set()
    await machine.commands.step()
    await machine.commands.step()

    clock.forward(timedelta(minutes=2))
    await machine.go_on()

    ended = [await machine.receipt(each) for each in (drain, unknown, late)]
    assert [(each.state, each.code) for each in ended] == [
        ("failed", "not-allowed"),
        ("failed", "unknown-kind"),
        ("expired", "too-late"),
    ]
    assert machine.done == []


def signed_by_nobody(order):
    return msgspec.structs.replace(order, signature="A" * 86)


def by_an_unknown_key(order):
    return msgspec.structs.replace(order, key="another")


def of_another_kind(order):
    return msgspec.structs.replace(order, command=msgspec.structs.replace(order.command, kind="approve"))


def put_off(order):
    later = msgspec.structs.replace(order.command, not_after="2030-01-01T00:00:00.000Z")
    return msgspec.structs.replace(order, command=later)


@pytest.mark.parametrize("forge", [signed_by_nobody, by_an_unknown_key, of_another_kind, put_off])
async def test_a_forged_command_is_neither_kept_nor_done_and_the_true_ones_beside_it_are(machine, forge):
    asked, true = await machine.ask("rescan"), await machine.ask("resume")

    def twist(found):
        forged = [forge(each) if each.command.kind == "rescan" else each for each in found.orders]
        return msgspec.structs.replace(found, orders=forged)

    machine.way.twist = twist
    with pytest.raises(CommandForged):
        await machine.commands.step()
    machine.way.twist = lambda found: msgspec.structs.replace(found, orders=[])
    await machine.go_on()

    assert (await machine.receipt(asked)).state == "queued"
    assert (await machine.receipt(true)).state == "succeeded"
    assert len(machine.done) == 1


async def test_a_command_for_another_runtime_is_forged_here(machine, clock, client, make):
    other = Agent(client, clock)
    await other.enroll(await make.join_token(machine.tenant))
    async with machine.db.tenant(machine.tenant.tenant_id) as tx:
        await commands.create(tx, SHELL, Wanted(kind="rescan", runtime_id=other.answer.runtime_id))
    theirs = (await client.get("/v1/runtime/poll", headers={"authorization": f"Bearer {other.token}"})).content

    machine.way.twist = lambda _: msgspec.json.decode(theirs, type=Orders)
    with pytest.raises(CommandForged, match="another runtime"):
        await machine.commands.step()
    assert inbox.unconfirmed(machine.outbox, 10) == []


async def test_a_control_plane_that_went_back_delivers_again_and_it_is_not_done_again(machine):
    asked = await machine.ask()
    await machine.go_on()

    await machine.force("UPDATE commands SET state = 'queued', ended_at = NULL WHERE id = :id", id=asked.id)
    await machine.go_on()

    assert len(machine.done) == 1
    assert (await machine.receipt(asked)).state == "delivered", "else it would be handed out for ever"
    await machine.ask()
    await machine.go_on()
    assert len(machine.done) == 2


async def test_a_disk_that_went_back_gets_it_again_and_does_not_begin_what_had_begun(machine):
    fresh, begun = await machine.ask("rescan"), await machine.ask("resume")
    machine.commands.asked.set()
    await machine.commands.step()
    await machine.commands.step()
    begins = "UPDATE commands SET state = 'running', started_at = now() WHERE id = :id"
    await machine.force(begins, id=begun.id)
    machine.outbox.rows("DELETE FROM inbox")
    machine.boot()

    await machine.go_on()

    assert (await machine.receipt(fresh)).state == "succeeded"
    assert (await machine.receipt(begun)).code == "interrupted"
    assert len(machine.done) == 1


async def test_what_was_taken_back_while_it_was_on_its_way_is_not_done(machine):
    asked = await machine.ask()
    await machine.commands.step()
    async with machine.db.tenant(machine.tenant.tenant_id) as tx:
        await commands.withdraw(tx, SHELL, asked.id)

    await machine.go_on()

    assert machine.done == []
    assert (await machine.receipt(asked)).code == "withdrawn"
