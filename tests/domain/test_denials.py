import pytest
from sqlalchemy import text

from controlplane.domain.audit import Actor, Event
from controlplane.domain.audit.denials import ONE_BY_ONE, WINDOW, Denial, Denials

EVENTS = text("""
    SELECT seq, id, occurred_us, action, outcome, actor_kind, actor_id, impersonator, target_kind, target_id,
        facts, request_id, sealed, prev_hash, hash
    FROM audit_events WHERE outcome = 'denied' ORDER BY seq
""")


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
def denial(tenant):
    def denial(caller="acc_1", action="access.denied"):
        return Denial(
            chain=tenant.tenant_id,
            caller=caller,
            actor=Actor(kind="account", id=caller),
            action=action,
            target=("permission", "audit:read"),
            facts={"code": "permission-denied"},
        )

    return denial


@pytest.fixture
def written(db, tenant):
    async def written():
        async with db.tenant(tenant.tenant_id) as tx:
            return [(event.actor_id, event.facts.get("times", 1)) for event in await tx.query(Event, EVENTS)]

    return written


async def test_the_first_few_are_written_one_by_one_and_the_rest_summed_up(db, clock, denial, written):
    denials = Denials(db)
    for _ in range(ONE_BY_ONE + 57):
        await denials.note(denial())
    assert await written() == [("acc_1", 1)] * ONE_BY_ONE

    assert await denials.sum_up() == 0
    clock.forward(WINDOW)
    assert await denials.sum_up() == 57

    assert await written() == [*[("acc_1", 1)] * ONE_BY_ONE, ("acc_1", 57)]
    assert await denials.sum_up() == 0


async def test_nothing_counted_is_lost_when_the_process_ends(db, denial, written):
    denials = Denials(db)
    for _ in range(ONE_BY_ONE + 2):
        await denials.note(denial())

    assert await denials.sum_up(at_the_end=True) == 2
    assert (await written())[-1] == ("acc_1", 2)


async def test_callers_are_counted_apart(db, denial, written):
    denials = Denials(db)
    for caller in ("acc_1", "acc_2"):
        for _ in range(ONE_BY_ONE + 5):
            await denials.note(denial(caller))

    assert sorted(await written()) == [("acc_1", 1)] * ONE_BY_ONE + [("acc_2", 1)] * ONE_BY_ONE


async def test_a_new_minute_begins_with_the_sum_of_the_last_one(db, clock, denial, written):
    denials = Denials(db)
    for _ in range(ONE_BY_ONE + 3):
        await denials.note(denial())
    clock.forward(WINDOW)

    await denials.note(denial())

    assert (await written())[-2:] == [("acc_1", 3), ("acc_1", 1)]


async def test_nobody_is_forgotten_because_there_are_many(db, denial, written):
    denials = Denials(db, callers=2)
    for _ in range(ONE_BY_ONE + 4):
        await denials.note(denial("acc_1"))
    for caller in ("acc_2", "acc_3"):
        await denials.note(denial(caller))

    assert ("acc_1", 4) in await written()
