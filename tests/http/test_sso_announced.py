"""Whom a tenant's directory has announced, and who then comes in by its provider."""

import pytest
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import assignments, groups, quotas, roles, users
from controlplane.domain.holdings import Holder
from controlplane.domain.people import User
from controlplane.domain.tenants import Tenant
from controlplane.domain.users import Found
from controlplane.kit.ids import parse_id, text_id
from tests import provider as providers
from tests.http.sso import Browser, connect, refused, verified
from tests.make import SHELL
from tests.provider import Provider

DOMAIN = "acme.example"
ADA = f"ada@{DOMAIN}"


class Site(Struct, frozen=True):
    """A tenant whose connection does not let new people in."""

    db: Database
    tenant: Tenant
    provider: Provider
    browser: Browser

    async def sign_in(self, sub, email, *, email_verified=True, browser=None):
        told = {} if email_verified is None else {"email_verified": email_verified}
        return await (browser or self.browser).sign_in(self.provider, sub, tenant=self.tenant.slug, email=email, **told)

    async def people(self) -> list[User]:
        async with self.db.tenant(self.tenant.tenant_id) as tx:
            return await users.listing(tx, Found(), after=None, limit=10)


@pytest.fixture
async def browsers(app):
    """Makes one; they are closed afterwards."""
    made = []

    def one():
        made.append(Browser(app))
        return made[-1]

    yield one
    for browser in made:
        await browser.client.aclose()


@pytest.fixture
async def site(db, clock, tenant, browsers):
    await verified(db, tenant, DOMAIN)
    async with providers.serving(clock) as provider:
        await connect(db, tenant, provider)
        yield Site(db, tenant, provider, browsers())


async def test_they_come_in_where_nobody_new_does_and_take_no_place(site, directory, browsers):
    ada = await directory.user(ADA, displayName="Ada")
    async with site.db.tenant(site.tenant.tenant_id) as tx:
        await quotas.agree(tx, SHELL, None, {"users": 1})

    await site.sign_in("u-1", "Ada@ACME.example")
    stranger = await site.sign_in("u-2", f"new@{DOMAIN}", browser=browsers())

    me = (await site.browser.get("/v1/me")).json()
    assert [(each["slug"], each["roles"]) for each in me["tenants"]] == [(site.tenant.slug, [])]
    [user] = await site.people()
    assert text_id("usr", user.id) == ada["id"]
    assert user.account_id is not None
    assert refused(stranger) == "sso-not-let-in"


async def test_from_then_on_they_are_known_by_the_subject(site, directory, browsers):
    await directory.user(ADA)
    await site.sign_in("u-1", ADA)

    again = browsers()
    await site.sign_in("u-1", "renamed@elsewhere.example", browser=again)
    heir = await site.sign_in("u-2", ADA, browser=browsers())

    assert (await again.get("/v1/me")).json()["email"] == ADA
    assert refused(heir) == "sso-link-first"


@pytest.mark.parametrize(
    ("active", "vouched", "why"),
    [(False, True, "sso-not-let-in"), (True, False, "sso-link-first"), (True, None, "sso-link-first")],
)
async def test_who_is_kept_out_by_the_directory_or_not_vouched_for_stays_out(site, directory, active, vouched, why):
    await directory.user(ADA, active=active)

    location = await site.sign_in("u-1", ADA, email_verified=vouched)

    assert refused(location) == why
    [user] = await site.people()
    assert user.account_id is None


async def test_who_would_hold_too_much_by_a_group_is_not_let_in_by_an_address(site, directory):
    ada = await directory.user(ADA)
    async with site.db.tenant(site.tenant.tenant_id) as tx:
        group = await groups.create(tx, SHELL, "Administrators")
        await groups.add_member(tx, SHELL, group.id, parse_id("usr", ada["id"]))
        await assignments.assign(tx, SHELL, Holder("group", group.id), await roles.named(tx, "admin"))

    location = await site.sign_in("u-1", ADA)

    assert refused(location) == "sso-link-first"
    [user] = await site.people()
    assert user.account_id is None
