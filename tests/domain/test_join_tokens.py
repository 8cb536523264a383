import asyncio
from datetime import timedelta

import pytest

from controlplane.domain import audit, join_tokens, projects
from controlplane.domain.join_tokens import (
    JoinTokenExpired,
    JoinTokenRevoked,
    JoinTokenUnfit,
    JoinTokenUnknown,
    JoinTokenUsedUp,
)
from controlplane.kit import tokens
from tests.conftest import KEYRING
from tests.make import SHELL


@pytest.fixture
async def tenant(make):
    return await make.tenant()


@pytest.fixture
def spend(db, tenant):
    async def once(secret, inside=None):
        async with db.tenant((inside or tenant).tenant_id) as tx:
            token = await join_tokens.spend(tx, tokens.fingerprint(KEYRING.pepper, secret))
            audit.record(tx, SHELL, "test.spent", ("join-token", "x"))
            return token

    return once


async def test_a_token_lets_in_as_often_as_it_says(make, tenant, spend):
    secret = await make.join_token(tenant, uses=2)

    assert [(await spend(secret)).uses, (await spend(secret)).uses] == [1, 2]
    with pytest.raises(JoinTokenUsedUp):
        await spend(secret)


async def test_of_many_who_come_for_the_last_use_one_gets_it(make, tenant, spend):
    secret = await make.join_token(tenant)

    ends = await asyncio.gather(*(spend(secret) for _ in range(8)), return_exceptions=True)

    assert sorted(type(end).__name__ for end in ends) == ["JoinToken"] + ["JoinTokenUsedUp"] * 7


async def test_a_token_opens_nothing_once_its_time_is_over(make, tenant, spend, clock):
    secret = await make.join_token(tenant, lifetime=timedelta(minutes=5))
    clock.forward(timedelta(minutes=5))

    with pytest.raises(JoinTokenExpired):
        await spend(secret)


async def test_a_revoked_token_opens_nothing(db, make, tenant, spend):
    secret = await make.join_token(tenant)
    async with db.tenant(tenant.tenant_id) as tx:
        [token] = await join_tokens.listing(tx, after=None, limit=9)
        await join_tokens.revoke(tx, SHELL, token.id)
        await join_tokens.revoke(tx, SHELL, token.id)

    with pytest.raises(JoinTokenRevoked):
        await spend(secret)


async def test_a_token_of_another_tenant_is_unknown_here(make, tenant, spend):
    secret = await make.join_token(tenant)

    with pytest.raises(JoinTokenUnknown):
        await spend(secret, inside=await make.tenant())


@pytest.mark.parametrize("unfit", [{"uses": 0}, {"lifetime": timedelta(0)}, {"lifetime": timedelta(days=31)}])
async def test_a_token_cannot_be_made_for_ever_or_for_nothing(db, tenant, unfit):
    async with db.tenant(tenant.tenant_id) as tx:
        project = await projects.named(tx, projects.DEFAULT)
        with pytest.raises(JoinTokenUnfit):
            await join_tokens.create(tx, SHELL, bytes(32), project.id, **unfit)


async def test_the_secret_is_nowhere_in_the_database(make, tenant, db):
    secret = await make.join_token(tenant)

    async with db.tenant(tenant.tenant_id) as tx:
        [token] = await join_tokens.listing(tx, after=None, limit=9)

    assert token.hint == f"ec_jt_…{secret[-4:]}"
