import asyncio
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from controlplane.db.database import Database
from controlplane.domain import audit, keys, projects
from controlplane.domain.audit import Actor, Event, Filters, Personal
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound
from tests.conftest import KEYRING
from tests.make import SHELL

SOMEBODY = Actor(kind="account", id="acc_somebody", personal=Personal(address="192.0.2.7", name="Zoë"))

EVERYTHING = text("""
    SELECT seq, id, occurred_us, action, outcome, actor_kind, actor_id, impersonator, target_kind, target_id,
        facts, request_id, sealed, prev_hash, hash
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
        "impersonator": "x",
        "target_kind": "x",
        "target_id": "x",
        "facts": {},
        "request_id": "x",
        "sealed": b"x",
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
        sealed=None,
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


async def test_many_at_once_through_two_replicas_do_not_fork_the_chain(app_url, clock, make):
    tenant = await make.tenant()
    replicas = [Database(app_url, clock, sealing=keys.sealing(KEYRING), pool_size=4) for _ in range(2)]

    async def append(worker):
        for number in range(75):
            async with replicas[worker % 2].tenant(tenant.tenant_id) as tx:
                audit.record(tx, SOMEBODY, "test.happened", ("worker", str(worker)), number=number)

    await asyncio.gather(*(append(worker) for worker in range(8)))

    events = await chain(replicas[0], tenant)
    assert [event.seq for event in events] == list(range(1, 603))
    assert all(after.prev_hash == before.hash for before, after in pairwise(events))
    assert all(audit.link(tenant.tenant_id, event) == event.hash for event in events)
    for replica in replicas:
        await replica.close()


async def test_several_events_of_one_transaction_follow_each_other(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        for number in range(5):
            audit.record(tx, SOMEBODY, "test.happened", ("thing", str(number)))

    events = (await chain(db, tenant))[2:]
    assert [event.target_id for event in events] == list("01234")
    assert all(audit.link(tenant.tenant_id, event) == event.hash for event in events)


@given(
    facts=st.dictionaries(
        st.text('abcsq"\\:0,', max_size=5),
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        max_size=4,
    )
)
async def test_whatever_the_facts_are_the_database_hashes_as_the_verifier_does(db, make, facts):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SOMEBODY, "test.happened", ("thing", '"seq":0,'), **{f"_{key}": facts[key] for key in facts})

    event = (await chain(db, tenant))[-1]
    assert audit.link(tenant.tenant_id, event) == event.hash


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


async def test_what_operators_do_in_a_tenant_stands_in_both_chains(db, make):
    tenant = await make.tenant()
    operator = Actor(kind="operator", id="acc_op", personal=Personal(name="Olga"))

    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, operator, "tenant.suspended", ("tenant", "ten_x"), own={"name": "x"}, why="unpaid")
        audit.record(tx, SOMEBODY, "test.happened", ("thing", "x"))

    [*_, mine, _] = await chain(db, tenant)
    async with db.platform() as tx:
        [*_, outside] = await tx.query(Event, PLATFORM)
    assert (outside.action, outside.actor_id, outside.target_id) == (mine.action, mine.actor_id, mine.target_id)
    assert mine.facts == {"why": "unpaid", "name": "x"}
    assert outside.facts == {"why": "unpaid", "tenant": text_id("ten", tenant.tenant_id)}
    assert audit.link(None, outside) == outside.hash


async def test_who_it_was_is_sealed_and_read_again(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SOMEBODY, "test.happened", ("thing", "x"))

    async with db.tenant(tenant.tenant_id) as tx:
        [event, created, _] = await audit.listing(tx, limit=10)
        people = await audit.people(tx, [event, created])

    assert people == {event.seq: SOMEBODY.personal}
    assert "Zoë".encode() not in event.sealed
    assert b"192.0.2.7" not in event.sealed


async def test_a_person_that_was_erased_is_gone_and_the_chain_still_holds(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SOMEBODY, "test.happened", ("thing", "x"))
        audit.record(tx, replace(SOMEBODY, id="acc_other"), "test.happened", ("thing", "x"))

    async with db.tenant(tenant.tenant_id) as tx:
        audit.record(tx, SHELL, "person.erased", ("account", "acc_somebody"))
        await keys.shred(tx, subject="acc_somebody")

    async with db.tenant(tenant.tenant_id) as tx:
        [_, other, erased, *_] = events = await audit.listing(tx, limit=10)
        assert await audit.people(tx, events) == {erased.seq: None, other.seq: SOMEBODY.personal}
    assert all(audit.link(tenant.tenant_id, event) == event.hash for event in await chain(db, tenant))


async def test_the_log_is_narrowed_by_what_who_whom_and_when(db, clock, make):
    tenant = await make.tenant()
    began = clock()
    for action, actor, target in (("a.b", "acc_1", "x"), ("a.c", "acc_2", "y"), ("ab.d", "acc_1", "y")):
        clock.forward(timedelta(hours=1))
        async with db.tenant(tenant.tenant_id) as tx:
            audit.record(tx, Actor(kind="account", id=actor), action, ("thing", target))
    async with db.tenant(tenant.tenant_id) as tx:
        audit.denied(tx, Actor(kind="account", id="acc_3"), "a.b", ("thing", "z"))

    async def found(**filters):
        async with db.tenant(tenant.tenant_id) as tx:
            return [event.seq for event in await audit.listing(tx, limit=10, filters=Filters(**filters))]

    assert await found() == [6, 5, 4, 3, 2, 1]
    assert await found(action="a.b") == [6, 3]
    assert await found(action="a.") == [6, 4, 3]
    assert await found(actor="acc_1") == [5, 3]
    assert await found(target="y", actor="acc_2") == [4]
    assert await found(outcome="denied") == [6]
    assert await found(since=began + timedelta(hours=2)) == [6, 5, 4]
    assert await found(since=began + timedelta(hours=1), until=began + timedelta(hours=2)) == [3]


async def test_an_event_is_found_by_its_id_in_its_own_tenant_only(db, make):
    tenant, other = await make.tenant(), await make.tenant()
    [event, _] = await chain(db, tenant)

    async with db.tenant(tenant.tenant_id) as tx:
        assert await audit.get(tx, event.id) == event
    async with db.tenant(other.tenant_id) as tx:
        with pytest.raises(NotFound):
            await audit.get(tx, event.id)
