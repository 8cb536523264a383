"""The agent's own rotation against the server: killed anywhere, on either side, one of the keys still opens the door."""

import httpx
import pytest
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain import audit
from runtime_agent import identity as identities
from runtime_agent import joining, rotating
from runtime_agent.duties import Duties
from runtime_agent.http import Http, Unreachable
from runtime_agent.outbox import open_outbox
from runtime_agent.server import Server
from runtime_agent.tokens import Tokens
from runtime_agent.wire.heartbeat import Pulse
from runtime_agent.wire.join import Facts
from tests.make import SHELL


class Wire(httpx.ASGITransport):
    """Loses requests for a new key, or the answers to them."""

    fate = "deliver"

    async def handle_async_request(self, request):
        if request.url.path != rotating.KEY or self.fate == "deliver":
            return await super().handle_async_request(request)
        if self.fate == "lose-answer":
            await super().handle_async_request(request)
        raise httpx.ReadTimeout("lost")


class Program:
    """What dies with the process; the folder stays."""

    def __init__(self, app, folder, clock):
        self.wire, self.clock = Wire(app), clock
        self.http = Http("http://test", clock, self.wire)
        self.tokens = Tokens(self.http, folder, identities.load(folder), clock)
        self.outbox = open_outbox(folder / "outbox.db", self.tokens.identity.id)

    async def rotate(self, fate="deliver"):
        self.wire.fate = fate
        return await rotating.rotate(self.http, self.tokens, self.clock)

    async def beats(self):
        """Hears an answer to a heartbeat that asks for nothing."""
        pulse = Pulse(server_ms=0, store_id=identities.UUID(int=1), epoch=1, acked=0, head="0" * 64)
        await Duties(self.outbox, Server(self.http, self.tokens), self.clock).heed(pulse, may_compare=False)


@pytest.fixture
async def start(app, clock, make, tenant, tmp_path):
    """Starts the program, each time anew."""
    identity = joining.prepared(tmp_path, "http://test")
    ticket = joining.Ticket(await make.join_token(tenant), "vpc-1", Facts())
    async with Http("http://test", clock, httpx.ASGITransport(app)) as http:
        await joining.join(http, tmp_path, identity, ticket, clock)
    return lambda: Program(app, tmp_path, clock)


class Row(Struct, frozen=True):
    public_key: bytes


async def known_by(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        [row] = await tx.all(Row, tx.select(t.runtimes))
    return identities.encoded(row.public_key)


async def test_the_new_key_opens_the_door_in_this_process_and_the_next(start, db, tenant):
    program = start()
    before = program.tokens.identity.public_key()

    key = await program.rotate()

    assert await known_by(db, tenant) == key != before
    assert await program.tokens.current()
    assert await start().tokens.current()


@pytest.mark.parametrize("fate", ["lose", "lose-answer"])
@pytest.mark.parametrize("killed", [True, False])
async def test_what_was_cut_short_is_brought_to_its_end_with_the_same_key(start, db, tenant, fate, killed):
    program = start()
    with pytest.raises(Unreachable):
        await program.rotate(fate)
    begun = program.tokens.identity.known_by_next().public_key()
    if killed:
        program = start()

    program.wire.fate = "deliver"
    assert await program.tokens.current()
    await program.beats()

    assert await known_by(db, tenant) == begun
    assert program.tokens.identity.next_signing_key == ""


async def test_a_server_that_went_back_knows_the_key_before_and_is_told_the_new_one_again(start, db, tenant):
    program = start()
    before = program.tokens.identity.public_key()
    key = await program.rotate()
    async with db.tenant(tenant.tenant_id) as tx:
        await tx.run(tx.update(t.runtimes).values(public_key=identities.decoded(before), previous_key=None))
        audit.record(tx, SHELL, "runtime.key-rotated", ("runtime", "tests"))

    program = start()
    assert await program.tokens.current()
    await program.beats()

    assert await known_by(db, tenant) == key
    assert start().tokens.identity.public_key() == key
