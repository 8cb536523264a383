"""What others are told, in a company that has one of everything: consumers, webhooks and what is brought to them."""

import itertools

from controlplane.domain import consumers, events
from controlplane.domain.webhooks import deliveries, endpoints
from controlplane.kit.ids import text_id
from tests.make import SHELL

serial = itertools.count(1)


def factory(db, tenant, canary):
    """What addresses of events are filled in with."""
    newest = []

    async def consumer():
        """To whom everything is still to be told."""
        async with db.tenant(tenant.tenant_id) as tx:
            made = await consumers.create(tx, SHELL, f"{canary}-{next(serial)}", [], after=0)
        return made.name

    async def message():
        async with db.tenant(tenant.tenant_id) as tx:
            [event, *_] = await events.after(tx, 0, 1)
        return text_id("evt", event.id)

    async def webhook():
        async with db.tenant(tenant.tenant_id) as tx:
            made, _ = await endpoints.create(tx, SHELL, f"https://{canary}.invalid/", description=canary)
        newest.append(made.id)
        return text_id("whk", made.id)

    async def delivery():
        """Of the webhook that was made last."""
        if not newest:
            await webhook()
        async with db.tenant(tenant.tenant_id) as tx:
            made = await deliveries.test(tx, SHELL, newest[-1])
        return text_id("dlv", made.id)

    return {"consumer": consumer, "message": message, "webhook": webhook, "delivery": delivery}
