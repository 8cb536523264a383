"""Proving once more who one is, before what is dangerous; then back to where one was."""

from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter, URLEncodedBody
from msgspec import Meta, Struct

from controlplane.db.database import Database
from controlplane.domain import passwords
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Person, ReauthenticationRequired
from controlplane.http import proving
from controlplane.http.authorize import Surface, rule
from controlplane.http.console import render
from controlplane.http.console.sign_in import AnyRequest, into
from controlplane.http.console.view import CONSOLE
from controlplane.http.demanded_factors import MfaRequired
from controlplane.http.paths import inside
from controlplane.http.proving import Shown
from controlplane.kit.limiter import Limiter
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

UNDONE: Final = "#undone"
"""Behind the address of the page that somebody comes back to, for its script to say what is still to do."""


class Proof(Struct, frozen=True, kw_only=True):
    password: Annotated[str, Meta(max_length=passwords.LONGEST)] = ""
    code: Annotated[str, Meta(max_length=40)] = ""
    next: Annotated[str, Meta(max_length=2_000)] = ""


@get("/confirm", opt=rule(Surface.CONSOLE, vouched=True))
async def form(
    person: NamedDependency[Person], wanted: Annotated[str, QueryParameter(name="next")] = ""
) -> Response[str]:
    return _page(person, wanted)


@post("/confirm", opt=rule(Surface.CONSOLE))
async def confirm(
    data: URLEncodedBody[Proof],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
    person: NamedDependency[Person],
) -> Response[Any]:
    shown = Shown(Secret(data.password) if data.password else None, data.code or None)
    try:
        cookie = await proving.again(request, db, keyring, limiter, person, shown)
    except Refusal as refusal:
        return _page(person, data.next, refusal)
    return into(data.next, cookie)


def first_confirm(request: AnyRequest) -> Response[Any]:
    """To that page, and afterwards back: to what was asked for, or to the page whose form was sent and is not done."""
    undone = "" if request.method == "GET" else UNDONE
    return into(f"{CONSOLE}/confirm?next={quote(_wanted(request) + undone, safe='')}")


def first_second_factor(request: AnyRequest, refusal: MfaRequired) -> Response[Any]:
    """To showing the one that they have; without any, to a page that leads to adding one, and back."""
    if refusal.ways:
        return first_confirm(request)
    return render.html("mfa_required.html", {"problem": refusal, "then": _wanted(request)}, refusal.status)


def _wanted(request: AnyRequest) -> str:
    asked = urlsplit(str(request.url) if request.method == "GET" else request.headers.get("referer", ""))
    return inside(f"{asked.path}?{asked.query}" if asked.query else asked.path)


HANDLERS: Final = [form, confirm]


def _page(person: Person, wanted: str, problem: Refusal | None = None) -> Response[str]:
    ways = ReauthenticationRequired(person.ways).ways
    context = {"ways": ways, "then": inside(wanted), "email": person.email, "problem": problem}
    answer = render.html("confirm.html", context, problem.status if problem else 200)
    if problem is not None:
        answer.headers.update(problem.headers())
    return answer
