import asyncio
from hashlib import sha256
from itertools import pairwise
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import text

from controlplane.domain import audit, projects
from controlplane.domain.audit import Event
from tests.make import SHELL

EVERYTHING = text("""
    SELECT seq, id, occurred_us, action, outcome, actor_kind, actor_id, target_kind, target_id, facts, request_id,
        prev_hash, hash
    FROM audit_events ORDER BY seq
""")
PLATFORM = text(EVERYTHING.text.replace("audit_events", "platform_audit_events"))


async def chain(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        return await tx.query(Event, EVERYTHING)


async def test_a_tenants_first_event_is_its_creation(db, make):
    tenant = await make.tenant("acme")

    events = await chain(db, tenant)

    assert [event.action for event in events] == ["tenant.created", "project.created"]
    assert [event.seq for event in events] == [1, 2]
    assert events[0].prev_hash == audit.START
    assert events[0].facts == {"slug": "acme"}


async def test_every_event_carries_the_hash_of_the_one_before(db, make):
    tenant = await make.tenant()
    await make.api_key(tenant)

    previous = audit.START
    for event in await chain(db, tenant):
        assert event.prev_hash == previous
        assert audit.link(tenant.tenant_id, event) == event.hash
        previous = event.hash


async def test_the_hash_covers_every_field_and_the_chain(db, make):
    tenant = await make.tenant()
    [event, _] = await chain(db, tenant)
    others = {
        "seq": 7,
        "id": tenant.tenant_id,
        "occurred_us": event.occurred_us + 1,
        "action": "x.y",
        "outcome": "denied",
        "actor_kind": "account",
        "actor_id": "x",
        "target_kind": "x",
        "target_id": "x",
        "facts": {},
        "request_id": "x",
        "prev_hash": sha256().digest(),
    }

    assert others.keys() | {"hash"} == set(Event.__struct_fields__)
    for name, other in others.items():
        assert audit.link(tenant.tenant_id, replace(event, **{name: other})) != event.hash, name
    assert audit.link(None, event) != event.hash


async def test_a_published_event_hashes_to_this(db):
    event = Event(
        seq=1,
        id=UUID(int=1),
        occurred_us=1_767_225_600_000_000,
        action="tenant.created",
        outcome="success",
        actor_kind="shell",
        actor_id="tests",
        target_kind="tenant",
        target_id="ten_x",
        facts={"b": [1, None, True], "a": "ä"},
        request_id="",
        prev_hash=audit.START,
        hash=b"",
    )
    content = (
        '{"action":"tenant.created","actor":{"id":"tests","kind":"shell"},"chain":"platform",'
        '"facts":{"a":"ä","b":[1,null,true]},"id":"00000000-0000-0000-0000-000000000001",'
        '"occurred_us":1767225600000000,"outcome":"success","request_id":"","schema":1,"seq":1,'
        '"target":{"id":"ten_x","kind":"tenant"}}'
    ).encode()
    framed = b"cp.audit.v1" + (32).to_bytes(8, "big") + bytes(32) + len(content).to_bytes(8, "big") + content

    assert audit.link(None, event) == sha256(framed).digest()


async def test_many_at_once_do_not_fork_the_chain(db, make):
    tenant = await make.tenant()

    async def change(number):
        async with db.tenant(tenant.tenant_id) as tx:
            await projects.create(tx, SHELL, f"p{number}", "P", "dev")

    await asyncio.gather(*(change(number) for number in range(40)))

    events = await chain(db, tenant)
    assert [event.seq for event in events] == list(range(1, 43))
    assert all(after.prev_hash == before.hash for before, after in pairwise(events))


async def test_what_is_rolled_back_is_not_in_the_chain(db, make):
    tenant = await make.tenant()

    try:
        async with db.tenant(tenant.tenant_id) as tx:
            await projects.create(tx, SHELL, "gone", "Gone", "dev")
            raise KeyError
    except KeyError:
        pass

    assert len(await chain(db, tenant)) == 2


async def test_acts_on_the_platform_have_a_chain_of_their_own(db, make):
    await make.account()
    await make.operator()

    async with db.platform() as tx:
        events = await tx.query(Event, PLATFORM)

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(audit.link(None, event) == event.hash for event in events)
    assert {"account.created", "operator.created", "session.began"} == {event.action for event in events}
