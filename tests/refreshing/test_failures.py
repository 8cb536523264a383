"""Every way in which a refresh fails, and what is done about it: nothing that is not dead is given up."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from controlplane.db import schema as t
from controlplane.domain import audit
from controlplane.domain.vault import apps
from controlplane.domain.vault.standing import AppBroken, NeedsReauth, RefreshFailing
from tests.make import SHELL

LATER = timedelta(hours=2)


async def fails(rig, with_):
    """One try of a caller whose token has expired. Where there is something to be heard they wait until it is there."""
    rig.pace = replace(rig.pace, block_s=0.6 if with_ is RefreshFailing else 10.0)
    refresher = rig.refresher()
    with pytest.raises(with_) as refused:
        await refresher.ensure(rig.tenant_id, rig.id)
    await refresher.landed()
    return refused.value


async def test_a_dead_grant_needs_a_person(rig, strict, clock):
    clock.forward(LATER)
    rig.grant.die()

    refused = await fails(rig, NeedsReauth)

    row = await rig.row()
    async with rig.db.tenant(rig.tenant_id) as tx:
        [event] = await audit.listing(tx, limit=1)
    assert (refused.reason, row["state"], row["state_reason"]) == ("invalid_grant", "needs_reauth", "invalid_grant")
    assert (row["refresh_blob"], row["rstate"], row["next_refresh_at"]) == (None, "idle", None)
    assert (event.action, event.facts["reason"]) == ("connection.needs_reauth", "invalid_grant")


async def test_a_person_is_asked_for_at_once_where_the_provider_wants_one(rig, strict, clock):
    clock.forward(LATER)
    strict.faults = ["status:400:interaction_required"]

    assert (await fails(rig, NeedsReauth)).reason == "interaction_required"


async def test_trouble_at_the_provider_is_waited_out_and_nobody_is_asked_for(rig, strict, clock):
    clock.forward(LATER)
    for _ in range(12):
        strict.faults = ["status:503"]
        assert (await fails(rig, RefreshFailing)).kind in ("transient", "app:paused")
        clock.forward(timedelta(seconds=5))
    seen = await rig.seen()

    await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert (seen.state, seen.fail_class, seen.state_reason) == ("refresh_failing", "transient", "transient")
    assert seen.fail_count >= 10
    now = await rig.seen()
    assert (now.state, now.state_reason, now.fail_class, now.fail_count) == ("active", "", None, 0)
    assert rig.grant.alive


async def test_a_provider_that_says_when_is_not_called_before(rig, strict, clock):
    clock.forward(LATER)
    strict.faults = ["status:429:slow_down"]
    await fails(rig, RefreshFailing)
    calls = strict.calls

    await fails(rig, RefreshFailing)

    assert strict.calls == calls


async def test_nobody_reached_is_no_reason_to_give_up(rig, strict, clock):
    clock.forward(LATER)
    await rig.write(endpoints={"token": "http://127.0.0.1:1/token"})

    assert (await fails(rig, RefreshFailing)).kind == "not_sent"

    await rig.write(endpoints=strict.endpoints())
    clock.forward(timedelta(seconds=5))
    await rig.refresher().ensure(rig.tenant_id, rig.id)
    assert (await rig.seen()).state == "active"


async def test_an_app_that_is_not_taken_breaks_and_its_connections_do_not(rig, strict, clock):
    clock.forward(LATER)
    strict.faults = ["status:401:invalid_client"]
    refused = await fails(rig, AppBroken)
    calls = strict.calls
    await fails(rig, AppBroken)
    async with rig.db.tenant(rig.tenant_id) as tx:
        app = await apps.get(tx, rig.app_id)
        alerts = [event for event in await audit.listing(tx, limit=20) if event.action == "oauth-app.broken"]
        await apps.change(tx, SHELL, rig.app_id, apps.Change(client_id="another"))
    seen = await rig.seen()

    await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert (refused.reason, app.state, app.state_reason) == ("invalid_client", "broken", "invalid_client")
    assert (seen.state, seen.fail_class, len(alerts), strict.calls - calls) == ("active", None, 1, 1)
    assert (await rig.seen()).cred_version == 2


async def test_a_request_that_is_called_wrong_is_our_fault_and_nobody_elses(rig, strict, clock):
    clock.forward(LATER)
    strict.faults = ["status:400:invalid_request"]

    await fails(rig, RefreshFailing)

    seen = await rig.seen()
    assert (seen.state, seen.fail_class) == ("refresh_failing", "request_fault")
    assert seen.next_refresh_at == rig.db.clock() + timedelta(seconds=rig.pace.fault_retry_s)


async def test_answers_that_say_nothing_are_asked_for_three_times_in_an_hour(rig, strict, clock):
    clock.forward(LATER)
    for _ in range(2):
        strict.faults = ["body"]
        assert (await fails(rig, RefreshFailing)).kind == "malformed"
        clock.forward(timedelta(minutes=20))
    strict.faults = ["body"]

    assert (await fails(rig, NeedsReauth)).reason == "unclear"


async def test_an_address_that_must_not_be_called_is_not_tried_again(rig, strict, clock):
    clock.forward(LATER)
    await rig.write(endpoints={"token": "https://169.254.169.254/token"})
    await fails(rig, RefreshFailing)
    clock.forward(timedelta(days=30))

    refused = await fails(rig, RefreshFailing)

    seen = await rig.seen()
    assert (refused.kind, seen.state, seen.fail_class, seen.fail_count) == ("blocked", "refresh_failing", "blocked", 1)


async def test_an_answer_that_was_lost_is_asked_for_once_more_and_then_it_is_said(rig, strict, clock):
    clock.forward(LATER)
    strict.faults = ["drop"]

    assert (await fails(rig, NeedsReauth)).reason == "lost_response"

    assert (strict.calls, strict.refreshed) == (2, 1)


async def test_a_request_that_was_not_read_survives_a_lost_answer(rig, strict, clock):
    clock.forward(LATER)
    strict.faults = ["hang:5"]

    await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert (strict.calls, rig.grant.alive, (await rig.seen()).cred_version) == (2, True, 2)


async def test_a_server_that_hangs_for_a_while_ends_no_grant(rig, strict, clock):
    clock.forward(LATER)
    strict.faults = ["status:502", "status:502"]
    await fails(rig, RefreshFailing)
    clock.forward(timedelta(seconds=5))

    await rig.refresher().ensure(rig.tenant_id, rig.id)

    assert (rig.grant.alive, (await rig.seen()).cred_version) == (True, 2)


async def test_an_app_whose_provider_is_down_pauses_and_sends_one_to_look(rig, strict, clock):
    clock.forward(LATER)
    async with rig.db.tenant(rig.tenant_id) as tx:
        tx.audited = True
        until = tx.now + timedelta(minutes=1)
        await tx.run(tx.update(t.oauth_apps).values(failures=9, paused_until=until))

    assert (await fails(rig, RefreshFailing)).kind == "app:paused"

    assert strict.calls == 0
    clock.forward(timedelta(minutes=2))
    both = rig.refresher(), rig.refresher()
    await asyncio.gather(*(each.ensure(rig.tenant_id, rig.id) for each in both))
    async with rig.db.tenant(rig.tenant_id) as tx:
        app = await apps.get(tx, rig.app_id)
    assert (strict.calls, app.failures, app.paused_until) == (1, 0, None)
