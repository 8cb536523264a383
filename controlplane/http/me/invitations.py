"""/v1/auth/invitations: what somebody does with the link that they were sent."""

from typing import Annotated

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database
from controlplane.domain import passwords
from controlplane.domain.keys import Keyring
from controlplane.http import joining
from controlplane.http.authorize import Surface, open_to_all
from controlplane.http.me.sign_in import AnyRequest, Token
from controlplane.kit.limiter import Limiter
from controlplane.kit.secret import Secret

OPEN = open_to_all("whoever has the link reads that address's letters", Surface.ME)


class InvitationLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Token
    """What stands after ``#`` in the letter's link."""


class Acceptance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Token
    name: Annotated[str, Meta(max_length=100)] = ""
    """For an address without an account."""
    password: Annotated[str, Meta(max_length=passwords.LONGEST)] | None = None
    """For an address without an account."""


class InvitationShown(Struct, frozen=True, kw_only=True):
    """What whoever holds the link may see."""

    tenant: str
    tenant_name: str
    email: str
    role: str
    account: bool
    """Whether the address has an account, and so its owner has to sign in first."""


class Joined(Struct, frozen=True, kw_only=True):
    tenant: str
    role: str


@post("/invitations/show", status_code=200, opt=OPEN)
async def show(
    data: JSONBody[InvitationLink],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> InvitationShown:
    """Who invites whom, for a link that still works. Changes nothing."""
    found = await joining.look(request, db, keyring, limiter, data.token)
    return InvitationShown(
        tenant=found.tenant.slug,
        tenant_name=found.tenant.name,
        email=found.invitation.email,
        role=found.invitation.role,
        account=found.claimed,
    )


@post("/invitations/accept", status_code=200, opt=OPEN)
async def accept(
    data: JSONBody[Acceptance],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[Joined]:
    """Join the tenant: signed in with the account of that address, or with a password for a new one."""
    found = await joining.look(request, db, keyring, limiter, data.token)
    newcomer = joining.Newcomer(data.name, Secret(data.password)) if data.password is not None else None
    cookie = await joining.join(request, db, keyring, found, newcomer)
    joined = Joined(tenant=found.tenant.slug, role=found.invitation.role)
    return Response(joined, cookies=[cookie] if cookie else [])
