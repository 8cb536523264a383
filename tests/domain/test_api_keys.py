from datetime import timedelta

import pytest

from controlplane.domain import api_keys
from controlplane.domain.api_keys import LifetimeInvalid
from controlplane.domain.permissions import UnknownRole
from controlplane.kit import tokens
from tests.conftest import KEYRING
from tests.make import SHELL


@pytest.mark.parametrize("lifetime", [timedelta(seconds=59), timedelta(days=3661), timedelta(days=-1)])
async def test_a_key_lasts_between_a_minute_and_ten_years(db, make, lifetime):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(LifetimeInvalid):
            await api_keys.for_automation(tx, SHELL, KEYRING.pepper, "ci", lifetime=lifetime)


async def test_a_key_has_a_role_that_exists(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        with pytest.raises(UnknownRole):
            await api_keys.for_automation(tx, SHELL, KEYRING.pepper, "ci", role="emperor")


async def test_another_pepper_recognizes_nothing(db, make):
    tenant = await make.tenant()
    async with db.tenant(tenant.tenant_id) as tx:
        _, secret = await api_keys.for_automation(tx, SHELL, KEYRING.pepper, "ci")

    assert await db.tenant_of(api_keys.ROUTE, tokens.fingerprint(KEYRING.pepper, secret)) == tenant.tenant_id
    assert await db.tenant_of(api_keys.ROUTE, tokens.fingerprint(bytes([1] * 32), secret)) is None
