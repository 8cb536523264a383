"""The first wall: statements that cannot leave their tenant, whatever the database would say to them."""

import contextlib
from uuid import UUID

import pytest

from controlplane.db import schema as t


@pytest.mark.parametrize("build", ["select", "update", "delete"])
async def test_a_statement_of_a_tenant_names_it_before_anything_else(db, make, build):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        statement = getattr(tx, build)(t.projects)

    [condition] = statement._where_criteria
    assert condition.left.name == "tenant_id"
    assert condition.right.value == tenant.tenant_id


async def test_a_row_of_a_tenant_is_put_into_it(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        statement = tx.insert(t.projects).values(id=UUID(int=1))

    assert statement.compile().params == {"tenant_id": tenant.tenant_id, "id": UUID(int=1)}


async def test_a_part_that_fails_is_undone_and_the_rest_goes_on(db, make):
    tenant = await make.tenant()

    async with db.tenant(tenant.tenant_id) as tx:
        tx.audited = True
        await tx.run(tx.update(t.tenants).values(name="kept"))
        with contextlib.suppress(ZeroDivisionError):
            async with tx.part():
                await tx.run(tx.update(t.tenants).values(name="undone"))
                raise ZeroDivisionError

    async with db.tenant(tenant.tenant_id) as tx:
        assert await tx.scalar(tx.select(t.tenants).with_only_columns(t.tenants.c.name)) == "kept"
