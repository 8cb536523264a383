"""An operator who works as somebody, for tests of what that opens and what ends it."""

from msgspec import Struct

from controlplane.domain import people
from controlplane.domain.tenants import Tenant
from controlplane.kit.ids import text_id
from tests.make import SHELL, Human


class Case(Struct, frozen=True):
    """A tenant with an owner and somebody else, and an operator."""

    tenant: Tenant
    owner: Human
    subject: Human
    user: str
    """Of the subject: ``usr_…``."""
    operator: Human

    def asking(self, **more):
        return {"tenant": self.tenant.slug, "user": self.user, "reason": "a run that hangs", "ticket": "T-1", **more}


async def case(db, make, role="developer"):
    tenant = await make.tenant()
    owner, account, operator = await make.person(tenant), await make.account(), await make.operator()
    async with db.tenant(tenant.tenant_id) as tx:
        user = await people.add_user(tx, SHELL, account, role)
    subject = await make.signed_in(account)
    return Case(tenant, owner, subject, text_id("usr", user.id), operator)


class Doing:
    """What operators and owners do about impersonations, through the API."""

    def __init__(self, client, case):
        self.client, self.case = client, case

    async def ask(self, **more):
        body = self.case.asking(**more)
        return await self.client.post("/v1/operator/impersonations", headers=self.case.operator.headers, json=body)

    async def owner(self, act, made, headers=None):
        address = f"/v1/tenants/{self.case.tenant.slug}/impersonations/{made}/{act}"
        return await self.client.post(address, headers=headers or self.case.owner.headers)

    async def operator(self, act, made, headers=None):
        address = f"/v1/operator/impersonations/{made}/{act}"
        return await self.client.post(address, headers=headers or self.case.operator.headers)

    async def policy(self, policy, headers=None):
        headers = {"If-Match": "*", **(headers or self.case.owner.headers)}
        address = f"/v1/tenants/{self.case.tenant.slug}/settings"
        return await self.client.patch(address, headers=headers, json={"impersonation_policy": policy})

    async def wear(self, **more):
        """Ask, agree and begin; returns the id and the headers of the session that works as somebody."""
        asked = await self.ask(**more)
        assert asked.status_code == 201, asked.text
        made = asked.json()["id"]
        assert (await self.owner("consent", made)).status_code == 200
        began = await self.operator("start", made)
        assert began.status_code == 200, began.text
        return made, both(self.case.operator, began)


def both(operator, began):
    """The headers of an operator's browser after *began*."""
    worn = began.headers["set-cookie"].partition(";")[0]
    assert worn.startswith("impersonation=")
    return {"cookie": f"{operator.headers['cookie']}; {worn}"}
