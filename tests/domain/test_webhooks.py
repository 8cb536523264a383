"""What happens reaches those who asked for it: signed, on schedule, and nobody is asked for ever."""

from datetime import timedelta
from functools import partial

import asyncpg
import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from controlplane.chores.webhooks import Courier
from controlplane.domain import audit, events, mails
from controlplane.domain.events import TypeUnknown
from controlplane.domain.webhooks import endpoints, sending
from controlplane.domain.webhooks.endpoints import Changes, TooManyWebhooks
from controlplane.kit.envelope import NotOpened
from controlplane.kit.guard import Guard
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound
from tests.hooks import receiving, world
from tests.make import SHELL


@pytest.fixture
async def w(db, make, clock):
    async with world(db, await make.tenant(), clock) as w:
        yield w


async def test_an_event_arrives_signed_so_that_anybodys_library_takes_it(w):
    webhook, secret = await w.hook()
    project = await w.happen()

    assert await w.deliver() == 1

    told = w.receiver.verified(secret, w.clock.now)
    assert told["type"] == "project.created"
    assert told["data"]["object"]["id"] == text_id("prj", project.id)
    assert w.receiver.heard[0][0]["webhook-id"] == told["id"]
    [delivery] = await w.sent(webhook)
    assert (delivery.state, delivery.attempts, delivery.next_at) == ("delivered", 1, None)
    assert [(each.status, each.response) for each in delivery.told()] == [(200, "heard")]


async def test_what_was_changed_on_the_way_is_not_taken_for_genuine(w):
    _, secret = await w.hook()
    await w.happen()
    await w.deliver()
    headers, body = w.receiver.heard[0]

    w.receiver.heard[0] = headers, body.replace(b"dev", b"pro")

    with pytest.raises(WebhookVerificationError):
        w.receiver.verified(secret, w.clock.now)
    w.receiver.heard[0] = headers, body
    with pytest.raises(WebhookVerificationError):
        w.receiver.verified(secret, w.clock.now + timedelta(minutes=6))


async def test_what_is_sent_is_what_the_feed_shows(w):
    await w.hook()
    await w.happen()
    await w.deliver()

    async with w.inside() as tx:
        shown = events.payload(w.tenant.tenant_id, (await events.after(tx, 0, 100))[-1])
    assert w.receiver.bodies[0]["sequence"] == shown.sequence
    assert w.receiver.bodies[0]["data"] == shown.data


async def test_only_what_was_asked_for_is_sent_and_only_from_then_on(w):
    await w.happen()
    await w.hook(types=["user.added"])
    await w.hook(types=["project.created", "runtime.joined"])
    await w.happen()

    await w.deliver()

    assert [body["type"] for body in w.receiver.bodies] == ["project.created"]


async def test_who_names_no_types_gets_all_of_them(w):
    await w.hook(types=[])
    await w.happen()
    await w.deliver()

    assert {body["type"] for body in w.receiver.bodies} == {"webhook.created", "project.created"}


async def test_what_fails_is_tried_again_on_schedule_and_then_given_up(w):
    webhook, _ = await w.hook()
    await w.happen()
    w.receiver.answers(500)
    waits = []
    for _ in range(9):
        assert await w.deliver() == 1
        [delivery] = await w.sent(webhook)
        waits.append((delivery.next_at - w.clock.now).total_seconds())
        assert await w.deliver() == 0
        w.clock.forward(delivery.next_at - w.clock.now)
    assert await w.deliver() == 1

    [delivery] = await w.sent(webhook)

    assert (delivery.state, delivery.attempts, len(delivery.tries)) == ("failed", 10, 10)
    assert all(0.9 * due <= wait <= 1.1 * due for due, wait in zip(sending.DELAYS_S, waits, strict=True))
    assert {headers["webhook-id"] for headers, _ in w.receiver.heard} == {text_id("evt", delivery.event_id)}
    assert len({headers["webhook-timestamp"] for headers, _ in w.receiver.heard}) == 10


async def test_a_receiver_that_comes_back_gets_what_it_missed(w):
    webhook, secret = await w.hook()
    await w.happen()
    w.receiver.answers(503, 200)
    await w.deliver()
    assert (await w.webhook(webhook)).failing_since == w.clock.now

    w.clock.forward(timedelta(seconds=6))
    await w.deliver()

    assert w.receiver.verified(secret, w.clock.now)["type"] == "project.created"
    assert (await w.webhook(webhook)).failing_since is None


@pytest.mark.parametrize(
    ("status", "asked", "wait"), [(429, "900", 900), (503, "90", 90), (500, "900", 5), (429, "x", 5)]
)
async def test_who_asks_to_wait_is_waited_for(w, status, asked, wait):
    webhook, _ = await w.hook()
    await w.happen()
    w.receiver.answers(status, headers=f"Retry-After: {asked}\r\n")

    await w.deliver()

    [delivery] = await w.sent(webhook)
    assert (delivery.next_at - w.clock.now).total_seconds() == pytest.approx(wait, rel=0.1)


async def test_a_redirect_is_a_failure_and_nobody_follows_it(w):
    webhook, _ = await w.hook()
    await w.happen()
    async with receiving() as elsewhere:
        w.receiver.answers(302, headers=f"Location: {elsewhere.url}\r\n")
        await w.deliver()

    [delivery] = await w.sent(webhook)
    assert elsewhere.heard == []
    assert delivery.told()[0].trouble == "a redirect, which is not followed"


async def test_an_address_that_turned_bad_is_refused_when_it_is_called(w):
    async def resolve(host, port):
        return ["169.254.169.254"]

    webhook, _ = await w.hook(url="https://hooks.example.com/in")
    await w.happen()
    strict = Courier(w.db, Guard(resolve=resolve))
    await strict.run()
    await strict.arrived()

    [delivery] = await w.sent(webhook)
    assert delivery.state == "pending"
    assert delivery.told()[0].trouble == "refused: not on the public internet"


async def test_a_receiver_that_is_gone_for_good_is_left_alone(w):
    webhook, _ = await w.hook()
    await w.happen()
    await w.happen()
    w.receiver.answers(500, 410)

    await w.deliver()

    assert (await w.webhook(webhook)).state == "disabled"
    assert {each.state for each in await w.sent(webhook)} == {"failed", "dropped"}
    w.clock.forward(timedelta(days=1))
    await w.happen()
    assert await w.deliver() == 0
    async with w.inside() as tx:
        [event] = [each for each in await audit.listing(tx, limit=50) if each.action == "webhook.disabled"]
    assert (event.actor_kind, event.actor_id) == ("chore", "deliver-webhooks")


async def test_after_five_days_in_which_nothing_got_there_it_is_disabled_and_told(w):
    webhook, _ = await w.hook()
    other, _ = await w.hook(types=["webhook.disabled"])
    w.receiver.answers(500)
    await w.happen()
    await w.deliver()
    w.clock.forward(timedelta(days=4, hours=23))
    await w.deliver()
    assert (await w.webhook(webhook)).state == "enabled"

    w.clock.forward(timedelta(days=3))
    w.receiver.answers(500, 200)
    await w.deliver()
    await w.deliver()

    now = await w.webhook(webhook)
    assert (now.state, now.state_reason[:25]) == ("disabled", "nothing got there since 2")
    assert w.receiver.bodies[-1]["type"] == "webhook.disabled"
    assert (await w.webhook(other)).state == "enabled"


async def test_the_owners_are_written_to_when_a_webhook_is_disabled(w, make):
    owner = await make.person(w.tenant, "owner")
    await make.person(w.tenant, "viewer")
    await w.hook()
    w.receiver.answers(410)
    await w.happen()
    await w.deliver()

    async with w.inside() as tx:
        [mail] = [each for each in await mails.claim(tx) if each.kind == "webhook-disabled"]
    assert mail.letter.to == owner.account.email
    assert "(410)" in mail.letter.text()


async def test_enabling_again_begins_with_what_happens_from_then_on(w):
    webhook, _ = await w.hook()
    async with w.inside() as tx:
        await endpoints.change(tx, SHELL, webhook.id, Changes(state="disabled"))
    await w.happen()
    async with w.inside() as tx:
        await endpoints.change(tx, SHELL, webhook.id, Changes(state="enabled"))
    project = await w.happen()

    await w.deliver()

    assert [body["data"]["object"]["id"] for body in w.receiver.bodies] == [text_id("prj", project.id)]


async def test_during_a_rotation_both_secrets_prove_it_and_afterwards_the_new_one(w):
    webhook, old = await w.hook()
    async with w.inside() as tx:
        _, new = await endpoints.rotate(tx, SHELL, webhook.id, timedelta(hours=1))
    await w.happen()
    await w.deliver()
    assert w.receiver.verified(old, w.clock.now) == w.receiver.verified(new, w.clock.now)

    w.clock.forward(timedelta(hours=1))
    await w.happen()
    await w.deliver()

    assert w.receiver.verified(new, w.clock.now)
    with pytest.raises(WebhookVerificationError):
        w.receiver.verified(old, w.clock.now)


async def test_a_second_rotation_ends_the_first_secret_and_one_without_overlap_every_other(w):
    webhook, first = await w.hook()
    async with w.inside() as tx:
        _, second = await endpoints.rotate(tx, SHELL, webhook.id)
        _, third = await endpoints.rotate(tx, SHELL, webhook.id)
    await w.happen()
    await w.deliver()
    assert w.receiver.verified(second, w.clock.now) == w.receiver.verified(third, w.clock.now)
    with pytest.raises(WebhookVerificationError):
        w.receiver.verified(first, w.clock.now)

    async with w.inside() as tx:
        _, fourth = await endpoints.rotate(tx, SHELL, webhook.id, timedelta())
    await w.happen()
    await w.deliver()

    assert w.receiver.verified(fourth, w.clock.now)
    with pytest.raises(WebhookVerificationError):
        w.receiver.verified(third, w.clock.now)


async def test_no_secret_stands_in_the_database(w, admin_url):
    webhook, secret = await w.hook()
    async with w.inside() as tx:
        _, newer = await endpoints.rotate(tx, SHELL, webhook.id)
    connection = await asyncpg.connect(admin_url)
    dump = ""
    for table in ("webhooks", "webhook_deliveries", "events", "audit_events", "data_keys"):
        dump += str([dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")])
    await connection.close()

    for each in (secret, newer):
        assert each.removeprefix("whsec_") not in dump


async def test_a_secret_is_of_no_use_in_another_row(w, admin_url):
    one, _ = await w.hook()
    two, _ = await w.hook()
    connection = await asyncpg.connect(admin_url)
    await connection.execute(
        "UPDATE webhooks SET secret = (SELECT secret FROM webhooks WHERE id = $1) WHERE id = $2", one.id, two.id
    )
    await connection.close()

    async with w.inside() as tx:
        with pytest.raises(NotOpened):
            await endpoints.secrets_of(tx, [two.id])


async def test_there_is_an_end_to_webhooks_and_to_types(w):
    with pytest.raises(TypeUnknown):
        await w.hook(types=["no.such"])
    for _ in range(endpoints.MOST):
        await w.hook()
    with pytest.raises(TooManyWebhooks):
        await w.hook()


async def test_what_is_deleted_is_gone_with_its_deliveries(w):
    webhook, _ = await w.hook()
    await w.happen()
    await w.deliver()
    async with w.inside() as tx:
        await endpoints.delete(tx, SHELL, webhook.id)

    for act in (endpoints.get, partial(endpoints.delete, actor=SHELL), partial(endpoints.rotate, actor=SHELL)):
        with pytest.raises(NotFound):
            async with w.inside() as tx:
                await act(tx, webhook_id=webhook.id)


def test_waits_are_jittered_and_end():
    assert sending.delay(1, 0.0) == timedelta(seconds=4.5)
    assert sending.delay(1, 0.5) == timedelta(seconds=5)
    assert sending.delay(len(sending.DELAYS_S), 0.999) < timedelta(hours=26.4)
    assert sending.delay(len(sending.DELAYS_S) + 1, 0.5) is None
