"""GET /v1/me: who is signed in, where they belong, and what proves who they are."""

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import passkeys, people, totp
from controlplane.domain.permissions import Person, Scope
from controlplane.http.authorize import Surface, rule
from controlplane.kit.ids import text_id


class Membership(Struct, frozen=True, kw_only=True):
    """A tenant that one belongs to."""

    id: str
    slug: str
    name: str
    status: str
    roles: list[str]
    """Their names."""


class FactorsView(Struct, frozen=True, kw_only=True):
    """What proves who one is."""

    password: bool
    totp: bool
    recovery_codes: int
    """That are left."""
    passkeys: int


class Me(Struct, frozen=True, kw_only=True):
    id: str
    email: str
    name: str
    operator_role: str | None
    """None: does not operate the service."""
    scope: Scope
    """To whom they have proved who they are: a tenant's provider answers for that tenant only."""
    factors: FactorsView
    tenants: list[Membership]


@get("/", opt=rule(Surface.ME, vouched=True))
async def me(person: NamedDependency[Person], db: NamedDependency[Database]) -> Me:
    """Who is signed in, where they belong, and what proves who they are."""
    return Me(
        id=text_id("acc", person.account_id),
        email=person.email,
        name=person.name,
        operator_role=person.operator_role,
        scope=person.scope,
        factors=await _factors(db, person),
        tenants=await _memberships(db, person),
    )


async def _factors(db: Database, person: Person) -> FactorsView:
    async with db.platform() as tx:
        codes = await totp.factors(tx, person.account_id)
        keys = await passkeys.listing(tx, person.account_id)
    return FactorsView(
        password="password" in person.ways,
        totp=codes.totp,
        recovery_codes=codes.recovery_codes,
        passkeys=len(keys),
    )


async def _memberships(db: Database, person: Person) -> list[Membership]:
    """Those that this session can see: all, or what providers have let it into."""
    account_id = person.account_id
    async with db.platform() as tx:
        knocking_at = await people.tenants_of(tx, account_id)
    found = []
    for tenant_id in filter(person.sees, knocking_at):
        entrance = await people.enter(db, tenant_id, account_id)
        if entrance is not None and entrance.user_id is not None:
            found.append(
                Membership(
                    id=text_id("ten", tenant_id),
                    slug=entrance.tenant.slug,
                    name=entrance.tenant.name,
                    status=entrance.tenant.status,
                    roles=sorted({grant.role for grant in entrance.grants}),
                )
            )
    return found
