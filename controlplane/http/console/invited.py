"""The page behind an invitation's link.

Its secret stands in the fragment, comes in a form, and is kept in a cookie of this one page while somebody signs in.
"""

from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody
from msgspec import Meta, Struct

from controlplane.db.database import Database
from controlplane.domain import passwords, people
from controlplane.domain.keys import Keyring
from controlplane.http import authentication, joining
from controlplane.http.authorize import Surface, open_to_all
from controlplane.http.console import render
from controlplane.http.console.sign_in import AnyRequest, into
from controlplane.http.console.view import CONSOLE, home_of
from controlplane.http.joining import Found, Newcomer
from controlplane.kit.limiter import Limiter
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

PAGE: Final = f"{CONSOLE}/invitation"
COOKIE: Final = "invitation"
KEPT_S: Final = 30 * 60

OPEN: Final = open_to_all("whoever has the link reads that address's letters", Surface.CONSOLE)


class Arrival(Struct, frozen=True, kw_only=True):
    token: Annotated[str, Meta(max_length=500)]
    """What stands after ``#``; the whole link will do."""


class Choice(Struct, frozen=True, kw_only=True):
    name: Annotated[str, Meta(max_length=100)] = ""
    password: Annotated[str, Meta(max_length=passwords.LONGEST)] = ""


@get("/invitation", opt=OPEN)
async def page(
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[Any]:
    """The invitation whose link was read in this browser, or a place to put one."""
    token = request.cookies.get(COOKIE)
    if not token:
        return await _show(request)
    try:
        return await _show(request, await joining.look(request, db, keyring, limiter, token))
    except Refusal as refusal:
        return await _show(request, problem=refusal)


@post("/invitation", opt=OPEN)
async def read(
    data: URLEncodedBody[Arrival],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[Any]:
    """Look at the link once, and keep it while its owner signs in."""
    token = data.token.rpartition("#")[2].strip()
    try:
        await joining.look(request, db, keyring, limiter, token)
    except Refusal as refusal:
        return await _show(request, problem=refusal)
    return into(PAGE, _cookie(request, token))


@post("/invitation/accept", opt=OPEN)
async def accept(
    data: URLEncodedBody[Choice],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[Any]:
    found = None
    try:
        found = await joining.look(request, db, keyring, limiter, request.cookies.get(COOKIE, ""))
        newcomer = Newcomer(data.name, Secret(data.password)) if data.password else None
        session = await joining.join(request, db, keyring, found, newcomer)
    except Refusal as refusal:
        return await _show(request, found, refusal)
    cookies = [_cookie(request, ""), *([session] if session else [])]
    return into(f"{home_of(found.tenant.slug)}/", *cookies)


HANDLERS: Final = [page, read, accept]


async def _show(request: AnyRequest, found: Found | None = None, problem: Refusal | None = None) -> Response[Any]:
    person = await authentication.oneself(request)
    mine = person and found and people.normalized(person.email) == found.invitation.email_norm
    context = {"found": found, "person": person, "mine": mine, "problem": problem, "shortest": passwords.SHORTEST}
    answer = render.html("invitation.html", context, problem.status if problem else 200)
    if problem is not None:
        answer.headers.update(problem.headers())
    return answer


def _cookie(request: AnyRequest, token: str) -> Cookie:
    """Of this page only; without a token it is taken away."""
    secure: bool = request.app.state.session_cookie.secure
    kept_s = KEPT_S if token else 0
    return Cookie(key=COOKIE, value=token, path=PAGE, max_age=kept_s, secure=secure, httponly=True, samesite="lax")
