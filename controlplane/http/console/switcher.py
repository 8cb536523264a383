"""The tenants that somebody may switch to."""

from typing import Final

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import people
from controlplane.domain.permissions import Person
from controlplane.http.console.view import View

SHOWN: Final = 30
"""More do not fit into a menu; operators name the others."""


class Place(Struct, frozen=True, kw_only=True):
    slug: str
    name: str
    status: str


async def places_for(db: Database, view: View) -> list[Place]:
    """What the menu of *view* offers. An operator gets the first by slug, others all that they belong to; whoever
    works as somebody else stays where that is."""
    if view.person.acting is not None and view.tenant is not None:
        return [Place(slug=view.tenant.slug, name=view.tenant.name, status=view.tenant.status)]
    if view.person.operator_role is None:
        return await memberships(db, view.person)
    async with db.operator() as tx:
        return await tx.all(Place, tx.select(t.tenants).order_by(t.tenants.c.slug).limit(SHOWN))


async def memberships(db: Database, person: Person) -> list[Place]:
    """The tenants that *person* is a member of, by name."""
    async with db.platform() as tx:
        knocking_at = await people.tenants_of(tx, person.account_id)
    places = []
    for tenant_id in list(filter(person.sees, knocking_at))[:SHOWN]:
        async with db.tenant(tenant_id) as own:
            if await people.member(own, person.account_id) is not None:
                places.extend(await own.all(Place, own.select(t.tenants)))
    return sorted(places, key=lambda place: place.name.casefold())
