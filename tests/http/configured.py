"""Configuration in a company that has one of everything, and the states in which something can be done with it."""

import itertools

from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.domain.configs import documents
from controlplane.domain.configs.documents import Edit, Scope
from controlplane.kit.ids import text_id
from tests.make import SHELL

serial = itertools.count(1)

FAILED = text("""
    INSERT INTO runtime_configs
    SELECT tenant_id, id, 1000000000, 1, 'x', '{}', '[]', '', now(), NULL, 'failed', 1, 0, '', '', '{}', NULL
    FROM runtimes WHERE tenant_id = :tenant_id
    ON CONFLICT (tenant_id, runtime_id) DO UPDATE SET revision = excluded.revision, problem = '', generation = 1,
        status = 'failed', said_generation = 1
""")


def factory(db, tenant, canary):
    """What addresses of configuration are filled in with."""

    async def config():
        entry = {"greeting": {"text": canary}}
        edit = Edit(document={"prompts": entry, "skills": entry}, note=canary)
        async with db.tenant(tenant.tenant_id) as tx:
            made = await documents.create(tx, SHELL, Scope(level="label", label="n", value=str(next(serial))), edit)
        return text_id("cfg", made.id)

    async def kind():
        return "prompts"

    async def name():
        return "greeting"

    async def version():
        return "1"

    return {"config": config, "kind": kind, "name": name, "version": version}


async def settle(db, company, operation):
    """The state in which its owner can do this."""
    async with db.tenant(company.tenant.tenant_id) as tx:
        tx.audited = True
        if operation.body == "NewConfig":
            await tx.run(tx.delete(t.configs).where(t.configs.c.level == "tenant"))
        elif operation.method in ("PUT", "DELETE") and "config" in operation.parameters:
            await tx.run(tx.update(t.rollouts).values(state="finished"))
        elif operation.path.endswith("/configuration/retry"):
            await tx.load(FAILED)
