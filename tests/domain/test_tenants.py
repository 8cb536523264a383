import pytest

from controlplane.domain import projects, tenants
from controlplane.domain.projects import ProjectSlugTaken
from controlplane.domain.tenants import NameInvalid, SlugInvalid, SlugTaken
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound
from tests.make import SHELL


@pytest.mark.parametrize("slug", ["a", "-a", "a-", "A1", "ä1", "a_b", "a/b", "a" * 41, "", "a\n"])
async def test_a_slug_has_to_be_fit_for_an_address(db, slug):
    with pytest.raises(SlugInvalid):
        async with db.new_tenant() as tx:
            await tenants.create(tx, SHELL, slug, "Acme")


@pytest.mark.parametrize("name", ["", " ", "x" * 101])
async def test_a_tenant_has_a_name_that_can_be_shown(db, name):
    with pytest.raises(NameInvalid):
        async with db.new_tenant() as tx:
            await tenants.create(tx, SHELL, "acme", name)


async def test_a_slug_belongs_to_one_tenant(make):
    await make.tenant("acme")

    with pytest.raises(SlugTaken):
        await make.tenant("acme")


async def test_a_tenant_is_found_by_slug_and_by_id(db, make):
    tenant = await make.tenant("acme")

    assert await tenants.find(db, "acme") == tenant.tenant_id
    assert await tenants.find(db, text_id("ten", tenant.tenant_id)) == tenant.tenant_id
    assert await tenants.find(db, "nobody") is None


async def test_a_tenant_begins_with_one_project(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        [project] = await projects.listing(tx, after=None, limit=9)

    assert (project.slug, project.environment) == ("default", "prod")


async def test_a_project_slug_is_used_once_in_a_tenant(db, make):
    tenant = await make.tenant()

    with pytest.raises(ProjectSlugTaken):
        async with db.tenant(tenant.tenant_id) as tx:
            await projects.create(tx, SHELL, "default", "Again", "dev")


async def test_suspended_and_resumed_a_tenant_is_what_it_was(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        suspended = await tenants.suspend(tx, SHELL, "unpaid")
    async with db.tenant(tenant.tenant_id) as tx:
        resumed = await tenants.resume(tx, SHELL)

    assert (suspended.status, suspended.status_reason) == ("suspended", "unpaid")
    assert (resumed.status, resumed.status_reason, resumed.name) == (tenant.status, tenant.status_reason, tenant.name)


async def test_what_is_not_there_cannot_be_suspended(db):
    with pytest.raises(NotFound):
        async with db.new_tenant() as tx:
            await tenants.suspend(tx, SHELL, "")
