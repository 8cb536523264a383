"""/v1/auth and /v1/me: signing in and out, and who one is."""

from typing import Annotated, Any

from litestar import Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import passwords, people, sign_ins
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Person
from controlplane.http import signing_in
from controlplane.http.authorize import Surface, open_to_all, rule
from controlplane.http.transaction import PLATFORM_TX
from controlplane.kit.ids import AccountId, text_id
from controlplane.kit.limiter import Limiter
from controlplane.kit.secret import Secret

AnyRequest = Request[Any, Any, Any]


class SignIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(max_length=passwords.LONGEST)]


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Annotated[str, Meta(max_length=200)]


class Membership(Struct, frozen=True, kw_only=True):
    """A tenant that one belongs to."""

    id: str
    slug: str
    name: str
    status: str
    roles: list[str]
    """Their names."""


class Me(Struct, frozen=True, kw_only=True):
    id: str
    email: str
    name: str
    operator_role: str | None
    """None: does not operate the service."""
    tenants: list[Membership]


@post("/sign-in", status_code=204, opt=open_to_all("how a session begins", Surface.ME))
async def sign_in(
    data: JSONBody[SignIn],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[None]:
    """Begin a browser session with address and password."""
    cookie = await signing_in.with_password(request, db, keyring, limiter, data.email, Secret(data.password))
    return _with(cookie)


@post("/link", status_code=204, opt=open_to_all("how a session begins", Surface.ME))
async def link(
    data: JSONBody[Link],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[None]:
    """Begin a browser session with a one-time link's token, which is used up by it."""
    return _with(await signing_in.with_link(request, db, keyring, limiter, data.token))


@post("/sign-out", status_code=204, opt=rule(Surface.ME), dependencies=PLATFORM_TX)
async def sign_out(
    request: AnyRequest,
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
    tx: NamedDependency[PlatformTx],
) -> Response[None]:
    """End this session."""
    await sign_ins.end(tx, actor, person.session_id)
    return _with(request.app.state.session_cookie.gone())


@get("/", opt=rule(Surface.ME))
async def me(person: NamedDependency[Person], db: NamedDependency[Database]) -> Me:
    """Who is signed in, and where they belong."""
    return Me(
        id=text_id("acc", person.account_id),
        email=person.email,
        name=person.name,
        operator_role=person.operator_role,
        tenants=await _memberships(db, person.account_id),
    )


async def _memberships(db: Database, account_id: AccountId) -> list[Membership]:
    async with db.platform() as tx:
        knocking_at = await people.tenants_of(tx, account_id)
    found = []
    for tenant_id in knocking_at:
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


def _with(cookie: Cookie) -> Response[None]:
    return Response(None, status_code=204, cookies=[cookie])


router = Router("/v1/me", route_handlers=[me], tags=["me"])
auth_router = Router("/v1/auth", route_handlers=[sign_in, link, sign_out], tags=["me"])
