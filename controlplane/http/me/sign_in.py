"""/v1/auth: how a browser session begins and ends."""

from typing import Annotated, Any

from litestar import Request, Response, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import passwords, sign_ins
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.passkey_answers import Credential
from controlplane.domain.permissions import Person
from controlplane.http import signing_in
from controlplane.http.authorize import Surface, as_oneself, open_to_all, rule
from controlplane.http.signing_in import Asked
from controlplane.http.transaction import PLATFORM_TX
from controlplane.kit.limiter import Limiter
from controlplane.kit.secret import Secret

AnyRequest = Request[Any, Any, Any]

BEGINS = open_to_all("how a session begins", Surface.ME)

Token = Annotated[str, Meta(max_length=200)]
Email = Annotated[str, Meta(max_length=254)]


class SignIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Email
    password: Annotated[str, Meta(max_length=passwords.LONGEST)]


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Token
    password: Annotated[str, Meta(max_length=passwords.LONGEST)] | None = None
    """The account's from now on; null leaves it as it is."""


class SecondFactor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket: Token
    """From the refusal that asked for this."""
    code: Annotated[str, Meta(max_length=40)]
    """Six digits of the authenticator app, or a recovery code."""


class PasskeySignIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket: Token
    credential: Credential


class Forgotten(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Email


@post("/sign-in", status_code=204, opt=BEGINS)
async def sign_in(
    data: JSONBody[SignIn],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[None]:
    """Begin a browser session with address and password. 401 `second-factor-required` asks for one step more."""
    cookie = await signing_in.with_password(request, db, keyring, limiter, data.email, Secret(data.password))
    return with_cookie(cookie)


@post("/second-factor", status_code=204, opt=BEGINS)
async def second_factor(
    data: JSONBody[SecondFactor],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[None]:
    """Begin a browser session with the second half of what was begun with a password or a link."""
    return with_cookie(await signing_in.with_code(request, db, keyring, limiter, data.ticket, data.code))


@post("/passkey/options", status_code=200, opt=BEGINS)
async def passkey_options(
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Asked:
    """What to ask a browser's authenticators for: `navigator.credentials.get({publicKey})`."""
    return await signing_in.ask_for_passkey(request, db, keyring, limiter)


@post("/passkey", status_code=204, opt=BEGINS)
async def passkey(
    data: JSONBody[PasskeySignIn],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[None]:
    """Begin a browser session with what an authenticator has signed."""
    return with_cookie(await signing_in.with_passkey(request, db, keyring, limiter, data.ticket, data.credential))


@post("/link", status_code=204, opt=BEGINS)
async def link(
    data: JSONBody[Link],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[None]:
    """Begin a browser session with a one-time link's token, which is used up by it."""
    password = Secret(data.password) if data.password is not None else None
    return with_cookie(await signing_in.with_link(request, db, keyring, limiter, data.token, password=password))


@post("/password-reset", status_code=202, opt=open_to_all("asks for a letter", Surface.ME))
async def password_reset(
    data: JSONBody[Forgotten],
    request: AnyRequest,
    db: NamedDependency[Database],
    limiter: NamedDependency[Limiter],
) -> None:
    """Ask for a letter with a link to a new password. The answer is the same whether or not there is an account."""
    await signing_in.ask_for_reset(request, db, limiter, data.email)


@post("/sign-out", status_code=204, opt=as_oneself(rule(Surface.ME, vouched=True)), dependencies=PLATFORM_TX)
async def sign_out(
    request: AnyRequest,
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
    tx: NamedDependency[PlatformTx],
) -> Response[None]:
    """End this session."""
    await sign_ins.end(tx, actor, person.session_id)
    return with_cookie(request.app.state.session_cookie.gone(), request.app.state.impersonation_cookie.gone())


def with_cookie(*cookies: Cookie) -> Response[None]:
    return Response(None, status_code=204, cookies=list(cookies))
