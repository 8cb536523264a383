"""My account: password, authenticator app, passkeys, and where one is signed in."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, URLEncodedBody
from litestar.response import Redirect
from msgspec import Meta, Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import passkeys, passwords, sign_ins, totp
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.passkey_answers import Name
from controlplane.domain.permissions import Person
from controlplane.http import proving
from controlplane.http.authorize import Surface, rule
from controlplane.http.console.screen import Screen
from controlplane.http.console.sign_in import SIGN_IN, AnyRequest
from controlplane.http.console.single_sign_on import sso_places, told
from controlplane.http.console.view import CONSOLE
from controlplane.http.paths import identity, inside
from controlplane.http.transaction import PLATFORM_TX
from controlplane.kit import qr
from controlplane.kit.limiter import Limiter
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

PAGE: Final = f"{CONSOLE}/account"
APP_PAGE: Final = f"{PAGE}/totp"

Then: TypeAlias = Annotated[str, QueryParameter(name="next")]
"""Where to go on to, once there is a second factor."""

MINE: Final = rule(Surface.CONSOLE)
FRESH: Final = rule(Surface.CONSOLE, fresh=True)


class PasswordChange(Struct, frozen=True, kw_only=True):
    new: Annotated[str, Meta(max_length=passwords.LONGEST)]
    old: Annotated[str, Meta(max_length=passwords.LONGEST)] = ""


class Code(Struct, frozen=True, kw_only=True):
    code: Annotated[str, Meta(max_length=40)]


class Naming(Struct, frozen=True, kw_only=True):
    name: Name


@get("/account", opt=MINE)
async def page(screen: NamedDependency[Screen], request: AnyRequest) -> Response[str]:
    return await _page(screen, request)


@post("/account/password", opt=MINE)
async def change_password(
    data: URLEncodedBody[PasswordChange],
    screen: NamedDependency[Screen],
    request: AnyRequest,
    db: NamedDependency[Database],
    limiter: NamedDependency[Limiter],
    person: NamedDependency[Person],
) -> Response[Any]:
    old = Secret(data.old) if data.old else None
    try:
        await proving.change_password(request, db, limiter, person, old, Secret(data.new))
    except (passwords.PasswordUnfit, proving.PasswordWrong) as refusal:
        return await _page(screen, request, problem=refusal)
    return _back("password")


@post("/account/sessions/end", opt=MINE, dependencies=PLATFORM_TX)
async def end_all(
    request: AnyRequest, person: NamedDependency[Person], actor: NamedDependency[Actor], tx: NamedDependency[PlatformTx]
) -> Response[Any]:
    """Sign out everywhere, here too."""
    await sign_ins.end_all(tx, actor, person.account_id)
    return Redirect(SIGN_IN, status_code=303, cookies=[request.app.state.session_cookie.gone()])


@post("/account/sessions/{session:str}/end", opt=MINE, dependencies=PLATFORM_TX)
async def end(
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
    tx: NamedDependency[PlatformTx],
    session: FromPath[str],
) -> Response[Any]:
    await sign_ins.end_another(tx, actor, person.account_id, identity("bs", session))
    return _back("session")


@post("/account/totp", opt=FRESH, dependencies=PLATFORM_TX)
async def begin_app(
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
    tx: NamedDependency[PlatformTx],
    then: Then = "",
) -> Response[Any]:
    await totp.enroll(tx, actor, person.account_id)
    return Redirect(f"{APP_PAGE}{_onward(then)}", status_code=303)


@get("/account/totp", opt=FRESH)
async def app_page(screen: NamedDependency[Screen], person: NamedDependency[Person], then: Then = "") -> Response[Any]:
    return await _app_page(screen, person, then)


@post("/account/totp/confirm", opt=FRESH)
async def confirm_app(
    data: URLEncodedBody[Code],
    request: AnyRequest,
    screen: NamedDependency[Screen],
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    then: Then = "",
) -> Response[Any]:
    person = screen.view.person
    try:
        async with db.platform() as tx:
            codes, cookie = await proving.add_app(request, tx, keyring, person, data.code)
    except totp.CodeWrong as refusal:
        return await _app_page(screen, person, then, refusal)
    answer = await screen.plain("account/codes.html", {"codes": codes, "then": inside(then) if then else PAGE})
    answer.set_cookie(cookie)
    return answer


@post("/account/totp/remove", opt=FRESH, dependencies=PLATFORM_TX)
async def remove_app(
    person: NamedDependency[Person], actor: NamedDependency[Actor], tx: NamedDependency[PlatformTx]
) -> Response[Any]:
    await totp.remove(tx, actor, person.account_id)
    return _back("app")


@post("/account/recovery-codes", opt=FRESH)
async def renew_codes(
    screen: NamedDependency[Screen],
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
) -> Response[Any]:
    async with db.platform() as tx:
        codes = await totp.renew_recovery_codes(tx, actor, keyring.pepper, person.account_id)
    return await screen.plain("account/codes.html", {"codes": codes, "then": PAGE})


@post("/account/passkeys/{passkey:str}/name", opt=MINE, dependencies=PLATFORM_TX)
async def name_passkey(
    data: URLEncodedBody[Naming],
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
    tx: NamedDependency[PlatformTx],
    passkey: FromPath[str],
) -> Response[Any]:
    await passkeys.rename(tx, actor, person.account_id, identity("pk", passkey), data.name)
    return _back("passkey")


@post("/account/passkeys/{passkey:str}/remove", opt=FRESH, dependencies=PLATFORM_TX)
async def remove_passkey(
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
    tx: NamedDependency[PlatformTx],
    passkey: FromPath[str],
) -> Response[Any]:
    await passkeys.remove(tx, actor, person.account_id, identity("pk", passkey))
    return _back("passkey")


HANDLERS: Final = [
    *(page, change_password, end_all, end),
    *(begin_app, app_page, confirm_app, remove_app, renew_codes),
    *(name_passkey, remove_passkey),
]

DONE: Final[Mapping[str, str]] = {
    "password": "Your password is changed; your other sessions have ended.",
    "session": "That session has ended.",
    "app": "Your authenticator app is removed.",
    "sso": "You are connected: the provider signs you in from now on.",
    "passkey": "Your passkeys are as you wanted them.",
}
"""What the page says at its top, by what the address names after ``done``."""


async def _page(screen: Screen, request: AnyRequest, problem: Refusal | None = None) -> Response[str]:
    person = screen.view.person
    async with screen.db.platform() as tx:
        context = {
            "factors": await totp.factors(tx, person.account_id),
            "passkeys": await passkeys.listing(tx, person.account_id),
            "sessions": await sign_ins.sessions_of(tx, person.account_id),
            "now": tx.now,
        }
    done = DONE.get(request.query_params.get("done", ""), "")
    sso = {"sso_places": await sso_places(screen), "came_back": told(request.query_params.get("problem", ""))}
    then = request.query_params.get("next", "")
    onward = {"then": inside(then) if then else "", "onward": _onward(then)}
    fixed = {**sso, **onward, "done": done, "site": request.app.state.passkey_site, "shortest": passwords.SHORTEST}
    return await screen.plain("account/page.html", {**context, **fixed}, problem)


async def _app_page(screen: Screen, person: Person, then: str, problem: Refusal | None = None) -> Response[Any]:
    async with screen.db.platform() as tx:
        seed = await totp.pending(tx, person.account_id)
    if seed is None:
        return Redirect(PAGE, status_code=303)
    address = totp.address(seed, person.email)
    context = {"seed": seed, "address": address, "code": _drawn(address), "onward": _onward(then)}
    return await screen.plain("account/app.html", context, problem)


def _drawn(address: str) -> tuple[int, str] | None:
    """The width of its QR code, and the path of the dark modules; None where an address is too long for one."""
    try:
        rows = qr.matrix(address)
    except ValueError:
        return None
    dark = ((x, y) for y, row in enumerate(rows) for x, module in enumerate(row) if module)
    return len(rows), "".join(f"M{x} {y}h1v1h-1z" for x, y in dark)


def _onward(then: str) -> str:
    """The query that carries along where somebody comes from who is to add a second factor."""
    return f"?{urlencode({'next': inside(then)})}" if then else ""


def _back(done: str) -> Response[Any]:
    return Redirect(f"{PAGE}?done={done}", status_code=303)
