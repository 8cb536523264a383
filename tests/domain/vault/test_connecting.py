"""Connecting: tickets and states are good once, for minutes, and nothing that is kept could be used."""

from datetime import timedelta

import pytest

from controlplane.db import schema as t
from controlplane.domain.vault import connecting, return_urls, sealed
from controlplane.domain.vault.connecting import (
    AWAY_FOR,
    SESSION_LIVES,
    LinkOver,
    NeverBegun,
    NotReconnectable,
    OwnerMissing,
    Replayed,
    TookTooLong,
)
from controlplane.domain.vault.return_urls import ReturnUrlUnfit, ReturnUrlUnknown
from controlplane.kit.problems import NotFound
from tests.domain.vault.begun import LEFT, PEPPER, begin, connected, typed
from tests.holdings import dumped
from tests.make import SHELL

BACK = "https://app.example/connected?from=vault"


async def test_a_ticket_opens_its_session_for_half_an_hour(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        session, ticket = await begin(tx)
    clock.forward(SESSION_LIVES - timedelta(seconds=1))

    async with db.tenant(tenant.tenant_id) as tx:
        assert await connecting.opened(tx, PEPPER, ticket) == session
        with pytest.raises(LinkOver):
            await connecting.opened(tx, PEPPER, "made up")
    clock.forward(timedelta(seconds=1))
    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(LinkOver):
            await connecting.opened(tx, PEPPER, ticket)
        with pytest.raises(LinkOver):
            await connecting.use(tx, session.id)


async def test_a_ticket_is_good_for_one_departure(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        session, ticket = await begin(tx)

        used = await connecting.use(tx, session.id)

        assert used.state == "away"
        with pytest.raises(LinkOver):
            await connecting.use(tx, session.id)
        with pytest.raises(LinkOver):
            await connecting.opened(tx, PEPPER, ticket)


async def test_whoever_is_not_signed_in_says_whose_account_it_is(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(OwnerMissing):
            await begin(tx, owner_ref="")


async def test_a_state_is_used_up_by_the_first_who_brings_it(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        session, _ = await begin(tx)
        state = await connecting.depart(tx, PEPPER, SHELL, session.id, LEFT)

    async with db.tenant(tenant.tenant_id) as tx:
        back = await connecting.claim(tx, PEPPER, state)
        verifier = await sealed.open_verifier(tx, back.id, back.pkce_blob)
        with pytest.raises(Replayed):
            await connecting.claim(tx, PEPPER, state)
        with pytest.raises(NeverBegun):
            await connecting.claim(tx, PEPPER, state + "x")

    assert (back.session_id, back.issuer, back.endpoints) == (session.id, LEFT.issuer, LEFT.endpoints)
    assert verifier.reveal() == "verifier"


async def test_a_state_of_another_tenant_was_never_begun(db, make):
    mine, theirs = await make.tenant(), await make.tenant()
    async with db.tenant(theirs.tenant_id) as tx:
        session, _ = await begin(tx)
        state = await connecting.depart(tx, PEPPER, SHELL, session.id, LEFT)

    async with db.tenant(mine.tenant_id) as tx:
        with pytest.raises(NeverBegun):
            await connecting.claim(tx, PEPPER, state)
        with pytest.raises(NotFound):
            await connecting.get(tx, session.id)


async def test_whoever_comes_back_too_late_is_told_so(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        session, _ = await begin(tx)
        state = await connecting.depart(tx, PEPPER, SHELL, session.id, LEFT)
    clock.forward(AWAY_FOR)

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(TookTooLong):
            await connecting.claim(tx, PEPPER, state)


async def test_nothing_that_is_kept_finishes_what_was_begun(db, make, admin_url):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        session, ticket = await begin(tx)
        state = await connecting.depart(tx, PEPPER, SHELL, session.id, LEFT)

    everything = await dumped(admin_url)

    for secret in (ticket, state, "verifier", "hush", "a browser"):
        assert secret not in everything


async def test_what_ended_is_forgotten_with_its_routes(db, make, clock):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        session, _ = await begin(tx)
        state = await connecting.depart(tx, PEPPER, SHELL, session.id, LEFT)
    clock.forward(timedelta(days=1, hours=1))

    async with db.tenant(tenant.tenant_id) as tx:
        await connecting.forget_ended(tx)
        with pytest.raises(NeverBegun):
            await connecting.claim(tx, PEPPER, state)
        routes = await tx.rows(tx.select(t.routes).where(t.routes.c.kind == connecting.ROUTE))

    assert routes == []


async def test_browsers_are_sent_exactly_where_the_tenant_says(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        assert await return_urls.decide(tx, SHELL, [BACK, BACK]) == [BACK]

        session, _ = await begin(tx, return_url=BACK)

        assert session.return_url == BACK
        for other in (BACK + "&more=1", BACK.upper(), "https://app.example/", "https://evil.example/?" + BACK):
            with pytest.raises(ReturnUrlUnknown):
                await begin(tx, return_url=other)


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/",
        "javascript:alert(1)",
        "//app.example/",
        "https://user@app.example/",
        "https://app.example/#part",
        "https://app.example/a b",
        "https:\\\\app.example",
        "https://",
        "https://[",
    ],
)
async def test_some_addresses_are_none_to_send_browsers_to(db, make, url):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(ReturnUrlUnfit):
            await return_urls.decide(tx, SHELL, [url])


async def test_only_what_was_connected_in_a_browser_is_connected_anew(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connected(tx)
        put_in = await typed(tx)

        session, _ = await begin(tx, connection_id=made.id)

        assert session.connection_id == made.id
        with pytest.raises(NotReconnectable):
            await begin(tx, connection_id=put_in.id)
