"""Events are told with what they tell, in order, without gaps, and nobody misses one unnoticed."""

import ast
import asyncio
import importlib
import re
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

import controlplane
from controlplane.chores import webhooks as chores
from controlplane.db import schema as t
from controlplane.domain import audit, consumers, events, projects
from controlplane.domain.consumers import ConsumerNameTaken, NotYetThere
from controlplane.domain.events import EventsGone, TypeUnknown
from controlplane.domain.events.catalogue import ALL, Act
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound
from tests.make import SHELL

THE_PLATFORMS = re.compile(
    r"(account|code|database|operator|operator-key|passkey|password-reset|plans|recovery-codes?|session|sign-in-link|tombstone|totp|vault)\."
)
"""What is of people's accounts and of the service: no tenant is told of it."""

NOT_TOLD = {
    "audit-retention.changed": "the service's own settings",
    "audit-retention.held": "the service's own settings",
    "audit-retention.released": "the service's own settings",
    "audit.exported": "for auditors",
    "audit.pruned": "for auditors",
    "audit.read": "for auditors",
    "connection.begun": "nothing has changed until something comes of it",
    "connection.departed": "nothing has changed until something comes of it",
    "connection.refresh_asked": "nothing has changed until something comes of it",
    "content.pruned": "the tenant's own rule at work",
    "domain.checked": "nothing follows from it alone",
    "domain.created": "how people come in is for auditors",
    "domain.deleted": "how people come in is for auditors",
    "domain.lapsed": "how people come in is for auditors",
    "domain.verified": "how people come in is for auditors",
    "event-consumer.created": "a reader of events has no use for it",
    "event-consumer.deleted": "a reader of events has no use for it",
    "event-consumer.rewound": "a reader of events has no use for it",
    "export.discarded": "for auditors",
    "export.downloaded": "for auditors",
    "export.requested": "for auditors",
    "invitation.batch-created": "each invitation is told",
    "invitation.resent": "nothing has changed",
    "keys.destroyed": "how secrets are kept is for auditors",
    "keys.master-adopted": "stands in the platform's log",
    "keys.master-retired": "stands in the platform's log",
    "keys.replaced": "how secrets are kept is for auditors",
    "keys.rewrapped": "how secrets are kept is for auditors",
    "keys.rotated": "how secrets are kept is for auditors",
    "keys.rotation-asked": "how secrets are kept is for auditors",
    "rollout.failed": "told with its reason, by what stops it",
    "rollout.finished": "told by what ends it",
    "rollout.wave-answered": "the next wave, or the end, is told",
    "rollout.wave-released": "told as rollout.advanced",
    "runtime-key.created": "for auditors",
    "runtime-key.revoked": "for auditors",
    "runtime-key.rotated": "for auditors",
    "scim-token.created": "how people come in is for auditors",
    "scim-token.revoked": "how people come in is for auditors",
    "scim-token.rotated": "how people come in is for auditors",
    "sso-connection.changed": "how people come in is for auditors",
    "sso-connection.created": "how people come in is for auditors",
    "sso-connection.deleted": "how people come in is for auditors",
    "sso-connection.tested": "how people come in is for auditors",
    "sso.connected": "how people come in is for auditors",
    "sso.glass-broken": "how people come in is for auditors",
    "sso.logged-out": "how people come in is for auditors",
    "tenant.return-urls-changed": "the tenant's own settings",
    "tenant.device-flow-changed": "the tenant's own settings",
    "sso.signed-in": "how people come in is for auditors",
    "tenant.created": "nobody can listen yet",
    "tenant.deleted": "nobody is served any more",
    "tenant.exported": "for auditors",
    "tenant.import-began": "stands in the platform's log",
    "tenant.imported": "stands in the platform's log",
    "tenant.limits-changed": "the service's own settings",
    "tenant.disclosure-policy-changed": "how credentials are read is for auditors",
    "tenant.impersonation-policy-changed": "how people come in is for auditors",
    "tenant.mfa-changed": "how people come in is for auditors",
    "tenant.purge-began": "nobody is served any more",
    "tenant.purged": "stands in the platform's log",
    "tenant.renamed": "receivers know the tenant by its id",
    "tenant.unsealed-reads-changed": "the tenant's own settings",
    "tenant.undeleted": "for auditors; that it is served again shows",
    "webhook.replayed": "what is replayed is told once more already",
    "webhook.tested": "its test is told to it alone",
}
"""What is recorded in a tenant and no event, each with its reason."""

ACTION = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+([-_][a-z]+)*")


def recorded():
    """Every action that any call of ``audit.record`` names, itself or by a name that its module gives it."""
    root = Path(controlplane.__file__).parent
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
            called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if called == "record" and len(call.args) == 4:
                module = ".".join(path.relative_to(root.parent).with_suffix("").parts)
                yield from named(call.args[2], tree, module)


def named(action, tree, module):
    if isinstance(action, ast.Constant):
        return {action.value}
    constant = getattr(importlib.import_module(module), action.id, None)
    if constant is not None:
        return {constant}
    texts = {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    return set(filter(ACTION.fullmatch, texts))


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
def happen(db, tenant):
    async def happen(number=1):
        """Something that is told of, in a transaction of its own each."""
        for each in range(number):
            async with db.tenant(tenant.tenant_id) as tx:
                await projects.create(tx, SHELL, f"p{each}-{await last(tx)}", "P", "dev")

    return happen


async def last(tx):
    return (await events.span(tx)).seq


async def twice_in_one(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        await projects.create(tx, SHELL, "once", "P", "dev")
        await projects.create(tx, SHELL, "once", "P", "dev")


async def told(db, tenant, after=0, **given):
    async with db.tenant(tenant.tenant_id) as tx:
        return await events.after(tx, after, 1_000, **given)


async def test_an_act_is_told_with_its_facts_and_nothing_else(db, tenant, happen):
    await happen()

    event = (await told(db, tenant))[-1]

    assert event.type == "project.created"
    assert event.data.keys() == {"actor", "object", "environment"}
    assert event.data["actor"] == {"kind": "shell", "id": "tests"}
    assert event.data["environment"] == "dev"


async def test_what_is_told_fits_the_schema_of_its_type(db, tenant, happen, make):
    await happen()
    await make.person(tenant)
    await make.api_key(tenant)

    for event in await told(db, tenant):
        assert msgspec.convert(event.data, events.catalogue()[event.type].data, strict=True)


async def test_what_is_rolled_back_was_never_told(db, tenant, happen):
    before = await told(db, tenant)
    with pytest.raises(projects.ProjectSlugTaken):
        await twice_in_one(db, tenant)

    await happen()

    assert [each.seq for each in await told(db, tenant)] == list(range(1, len(before) + 2))


async def test_an_act_that_failed_or_is_in_no_catalogue_is_not_told(db, tenant):
    before = await told(db, tenant)
    async with db.tenant(tenant.tenant_id) as tx:
        audit.denied(tx, SHELL, "project.created", ("project", ""))
        audit.record(tx, SHELL, "audit.exported", ("tenant", ""))

    assert await told(db, tenant) == before


def test_every_act_on_record_is_told_or_named_with_the_reason_why_not():
    acts = {each.name for each in ALL if issubclass(each.data, Act)}
    found = {action for action in recorded() if not THE_PLATFORMS.match(action)}

    assert found - acts == NOT_TOLD.keys()
    assert acts <= found


async def test_whoever_reads_while_others_write_misses_nothing(db, tenant, happen):
    """The trap of sequences: numbers taken before the commit become visible out of order."""
    read, done = [], asyncio.Event()

    async def write(name):
        for each in range(15):
            async with db.tenant(tenant.tenant_id) as tx:
                await projects.create(tx, SHELL, f"{name}-{each}", "P", "dev")

    async def follow():
        while not done.is_set():
            read.extend(await told(db, tenant, after=read[-1].seq if read else 0))
        read.extend(await told(db, tenant, after=read[-1].seq if read else 0))

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(write(name) for name in "abcdef"))
    done.set()
    await follower

    assert [each.seq for each in read] == list(range(1, len(read) + 1))
    assert len([each for each in read if each.type == "project.created"]) == 6 * 15 + 1


async def test_the_head_is_held_until_the_commit_so_that_numbers_become_visible_in_order(db, tenant):
    async with db.tenant(tenant.tenant_id) as slow:
        await projects.create(slow, SHELL, "slow", "P", "dev")
        await slow.finish()
        slow._before_commit.clear()

        async def quick():
            async with db.tenant(tenant.tenant_id) as tx:
                await projects.create(tx, SHELL, "quick", "P", "dev")

        other = asyncio.create_task(quick())
        done, _ = await asyncio.wait([other], timeout=0.3)
        assert not done
    await other

    objects = [each.data["object"]["id"] for each in await told(db, tenant)]
    async with db.tenant(tenant.tenant_id) as tx:
        slow_one, quick_one = [text_id("prj", (await projects.named(tx, slug)).id) for slug in ("slow", "quick")]
    assert objects.index(slow_one) < objects.index(quick_one)


async def test_types_narrow_what_is_read(db, tenant, happen, make):
    await make.person(tenant)
    await happen(2)

    assert {each.type for each in await told(db, tenant, types=["user.added"])} == {"user.added"}
    with pytest.raises(TypeUnknown):
        events.check_types(["user.added", "no.such"])


async def test_what_retention_took_away_is_said_and_never_skipped(db, tenant, happen, clock):
    await happen(2)
    gone = (await told(db, tenant))[-1].seq
    clock.forward(timedelta(days=31))
    await happen()

    assert await chores.prune(db) == gone
    assert await chores.prune(db) == 0
    with pytest.raises(EventsGone) as refused:
        await told(db, tenant, after=gone - 1)
    assert refused.value.facts() == {"last_gone": gone}
    assert [each.seq for each in await told(db, tenant, after=gone)] == [gone + 1]


async def test_a_consumer_gets_the_same_until_it_acknowledges(db, tenant, happen):
    async with db.tenant(tenant.tenant_id) as tx:
        await consumers.create(tx, SHELL, "erp", ["project.created"], after=None)
    await happen(3)

    async with db.tenant(tenant.tenant_id) as tx:
        first = await consumers.waiting(tx, "erp", 2)
        again = await consumers.waiting(tx, "erp", 2)
        await consumers.acknowledge(tx, "erp", first[-1].seq)
        rest = await consumers.waiting(tx, "erp", 2)

    assert first == again
    assert len(rest) == 1
    assert rest[0].seq == first[-1].seq + 1


async def test_acknowledging_goes_forward_only_and_not_beyond_what_there_is(db, tenant, happen):
    await happen(2)
    async with db.tenant(tenant.tenant_id) as tx:
        await consumers.create(tx, SHELL, "erp", [], after=0)
        end = await last(tx)
        assert (await consumers.acknowledge(tx, "erp", end)).acknowledged == end
        assert (await consumers.acknowledge(tx, "erp", 1)).acknowledged == end

        with pytest.raises(NotYetThere) as refused:
            await consumers.acknowledge(tx, "erp", end + 1)

    assert refused.value.facts() == {"last": end}


async def test_a_consumer_goes_back_when_it_lost_what_it_had(db, tenant, happen):
    await happen(2)
    async with db.tenant(tenant.tenant_id) as tx:
        await consumers.create(tx, SHELL, "erp", [], after=None)
        assert await consumers.waiting(tx, "erp", 100) == []

        await consumers.rewind(tx, SHELL, "erp", 0)

    async with db.tenant(tenant.tenant_id) as tx:
        assert (await consumers.waiting(tx, "erp", 100))[0].seq == 1


async def test_a_consumer_that_was_away_for_too_long_is_told_what_it_missed(db, tenant, happen, clock):
    async with db.tenant(tenant.tenant_id) as tx:
        await consumers.create(tx, SHELL, "erp", [], after=0)
    clock.forward(timedelta(days=31))
    await happen()
    await chores.prune(db)

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(EventsGone) as refused:
            await consumers.waiting(tx, "erp", 10)
        await consumers.acknowledge(tx, "erp", refused.value.pruned)
        assert len(await consumers.waiting(tx, "erp", 10)) == 1


async def test_consumers_have_names_of_their_own(db, tenant, make):
    async with db.tenant(tenant.tenant_id) as tx:
        await consumers.create(tx, SHELL, "erp", [], after=None)
    async with db.tenant((await make.tenant()).tenant_id) as tx:
        await consumers.create(tx, SHELL, "erp", [], after=None)

    with pytest.raises(ConsumerNameTaken):
        async with db.tenant(tenant.tenant_id) as tx:
            await consumers.create(tx, SHELL, "erp", [], after=None)
    async with db.tenant(tenant.tenant_id) as tx:
        await consumers.delete(tx, SHELL, "erp")
        for act in (
            consumers.get(tx, "erp"),
            consumers.delete(tx, SHELL, "erp"),
            consumers.rewind(tx, SHELL, "erp", 0),
        ):
            with pytest.raises(NotFound):
                await act


async def test_there_is_an_end_to_consumers(db, tenant):
    async with db.tenant(tenant.tenant_id) as tx:
        for each in range(consumers.MOST):
            await consumers.create(tx, SHELL, f"c{each}", [], after=None)

        with pytest.raises(consumers.TooManyConsumers):
            await consumers.create(tx, SHELL, "one-more", [], after=None)


def test_every_act_of_the_catalogue_is_one_that_is_recorded():
    source = "".join(file.read_text() for file in (Path(controlplane.__file__).parent / "domain").rglob("*.py"))
    for each in ALL:
        if issubclass(each.data, Act):
            assert source.count(f'"{each.name}"') > 1, f"{each.name} is in the catalogue and nowhere else"


async def test_the_head_and_the_rows_agree(db, tenant, happen):
    await happen(5)

    async with db.tenant(tenant.tenant_id) as tx:
        numbers = [each.seq for each in await events.after(tx, 0, 100)]
        assert numbers == list(range(1, (await events.span(tx)).seq + 1))
        assert await tx.scalar(tx.select(t.event_heads).with_only_columns(t.event_heads.c.seq)) == numbers[-1]
