"""Coming in and going out: address and password, a second step, a link that works once, a letter for who forgot."""

from typing import Annotated, Any
from urllib.parse import quote

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import QueryParameter, URLEncodedBody
from litestar.response import Redirect
from msgspec import Meta, Struct

from controlplane.db.database import Database
from controlplane.domain import passwords
from controlplane.domain.ceremonies import CeremonyOver
from controlplane.domain.keys import Keyring
from controlplane.http import signing_in
from controlplane.http.authorize import Surface, open_to_all
from controlplane.http.console import render
from controlplane.http.console.view import CONSOLE
from controlplane.http.paths import inside
from controlplane.http.signing_in import SecondFactorRequired
from controlplane.kit.limiter import Limiter
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

AnyRequest = Request[Any, Any, Any]

SIGN_IN = f"{CONSOLE}/sign-in"


class Credentials(Struct, frozen=True, kw_only=True):
    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(max_length=passwords.LONGEST)]
    next: Annotated[str, Meta(max_length=2_000)] = ""


class SecondStep(Struct, frozen=True, kw_only=True):
    ticket: Annotated[str, Meta(max_length=200)]
    code: Annotated[str, Meta(max_length=40)]
    next: Annotated[str, Meta(max_length=2_000)] = ""


class Forgotten(Struct, frozen=True, kw_only=True):
    email: Annotated[str, Meta(max_length=254)]


class Arrival(Struct, frozen=True, kw_only=True):
    token: Annotated[str, Meta(max_length=500)]
    """What stands after ``#``; the whole link will do."""
    password: Annotated[str, Meta(max_length=passwords.LONGEST)] = ""


@get("/sign-in", opt=open_to_all("how a session begins", Surface.CONSOLE))
async def sign_in_form(next_page: Annotated[str, QueryParameter(name="next")] = "") -> Response[str]:
    return _sign_in_page(next_page)


@post("/sign-in", opt=open_to_all("how a session begins", Surface.CONSOLE))
async def sign_in(
    data: URLEncodedBody[Credentials],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[Any]:
    try:
        cookie = await signing_in.with_password(request, db, keyring, limiter, data.email, Secret(data.password))
    except SecondFactorRequired as more:
        return _second_step_page(more.ticket, data.next)
    except Refusal as refusal:
        return _sign_in_page(data.next, data.email, refusal)
    return into(data.next, cookie)


@post("/second-factor", opt=open_to_all("how a session begins", Surface.CONSOLE))
async def second_step(
    data: URLEncodedBody[SecondStep],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[Any]:
    """The second half: a code. A wrong one may be tried again, until the ticket is worth nothing any more."""
    try:
        cookie = await signing_in.with_code(request, db, keyring, limiter, data.ticket, data.code)
    except CeremonyOver as over:
        return _sign_in_page(data.next, problem=over)
    except Refusal as refusal:
        return _second_step_page(data.ticket, data.next, refusal)
    return into(data.next, cookie)


@get("/forgot", opt=open_to_all("asks for a letter", Surface.CONSOLE))
async def forgot_form() -> Response[str]:
    return _forgot_page()


@post("/forgot", opt=open_to_all("asks for a letter", Surface.CONSOLE))
async def forgot(
    data: URLEncodedBody[Forgotten],
    request: AnyRequest,
    db: NamedDependency[Database],
    limiter: NamedDependency[Limiter],
) -> Response[str]:
    """The same page, whether or not there is such an account."""
    try:
        await signing_in.ask_for_reset(request, db, limiter, data.email)
    except Refusal as refusal:
        return _forgot_page(refusal)
    return _forgot_page(asked=data.email)


@get("/welcome", opt=open_to_all("how a session begins", Surface.CONSOLE))
async def welcome_form() -> Response[str]:
    return _welcome_page()


@post("/welcome", opt=open_to_all("how a session begins", Surface.CONSOLE))
async def welcome(
    data: URLEncodedBody[Arrival],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
) -> Response[Any]:
    """Use the link up. A password that will not do is refused first, so that it does not cost the link."""
    token = data.token.rpartition("#")[2].strip()
    password = Secret(data.password) if data.password else None
    try:
        cookie = await signing_in.with_link(request, db, keyring, limiter, token, password=password)
    except SecondFactorRequired as more:
        return _second_step_page(more.ticket, "")
    except Refusal as refusal:
        return _welcome_page(refusal)
    return into("", cookie)


def first_sign_in(request: AnyRequest) -> Response[Any]:
    """To the sign-in page, and afterwards back to where somebody wanted to go."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(wanted, safe='')}" if request.method == "GET" and wanted != f"{CONSOLE}/" else ""
    return Redirect(f"{SIGN_IN}{back}", status_code=303)


def into(wanted: str, *cookies: Cookie) -> Response[Any]:
    """On with the session; only to a page of the console, whatever the form said."""
    return Redirect(inside(wanted), status_code=303, cookies=list(cookies))


def _sign_in_page(wanted: str, email: str = "", problem: Refusal | None = None) -> Response[str]:
    answer = render.html(
        "sign_in.html",
        {"next": wanted, "then": inside(wanted), "email": email, "problem": problem},
        problem.status if problem else 200,
    )
    return _with_headers(answer, problem)


def _second_step_page(ticket: str, wanted: str, problem: Refusal | None = None) -> Response[str]:
    context = {"ticket": ticket, "next": wanted, "problem": problem}
    return _with_headers(render.html("second_step.html", context, problem.status if problem else 200), problem)


def _forgot_page(problem: Refusal | None = None, *, asked: str = "") -> Response[str]:
    context = {"problem": problem, "asked": asked}
    return _with_headers(render.html("forgot.html", context, problem.status if problem else 200), problem)


def _welcome_page(problem: Refusal | None = None) -> Response[str]:
    context = {"problem": problem, "shortest": passwords.SHORTEST}
    return _with_headers(render.html("welcome.html", context, problem.status if problem else 200), problem)


def _with_headers(answer: Response[str], problem: Refusal | None) -> Response[str]:
    if problem is not None:
        answer.headers.update(problem.headers())
    return answer
