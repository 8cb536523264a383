"""How a browser session begins and ends, for the API and for the console alike."""

from typing import Any

from litestar import Request
from litestar.datastructures import Cookie

from controlplane.db.database import Database
from controlplane.domain import audit, passwords, people, sign_ins
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.sign_ins import SignInRefused
from controlplane.http import limits
from controlplane.http.headers import request_id
from controlplane.http.principals import personal
from controlplane.http.sessions import SessionCookie
from controlplane.kit.ids import AccountId, text_id
from controlplane.kit.limiter import Limiter
from controlplane.kit.secret import Secret

AnyRequest = Request[Any, Any, Any]


async def with_password(
    request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter, email: str, password: Secret
) -> Cookie:
    """The cookie of a new session. Takes as long for an unknown address as for a known one.

    Raises:
        RateLimited: If this address, or this place, has tried too often.
        SignInRefused: If they do not fit together.
    """
    place = limits.address(request)
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", place)
    await limits.check(limiter, limits.SIGN_IN, "sign-in", people.normalized(email), place)
    async with db.platform() as tx:
        held = await people.credentials(tx, email)
    active = held is not None and held.status == "active"
    right = await passwords.matches(password, held.password_hash if held and active else None)
    if held is None or not right:
        await _write_down(request, db, text_id("acc", held.id) if held else "unknown")
        raise SignInRefused
    return await _begin(request, db, keyring, held.id)


async def with_link(
    request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter, token: str, *, password: Secret | None = None
) -> Cookie:
    """The cookie of a new session, for a one-time link that is used up by it.

    Args:
        password: The account's from now on; None leaves it as it is.

    Raises:
        RateLimited: If this place has tried too often.
        PasswordUnfit: If the password will not do; the link stays as it was.
        LinkUsedUp: If the link does not work any more.
    """
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", limits.address(request))
    password_hash = await passwords.hashed(password) if password is not None else None
    async with db.platform() as tx:
        account_id = await sign_ins.redeem(tx, keyring.pepper, token)
        actor = _actor(request, account_id)
        if password is not None and password_hash is not None:
            passwords.check_fit(password, (await people.get(tx, account_id)).email)  # a refusal gives the link back
            await people.set_password(tx, actor, account_id, password_hash)
        begun = await sign_ins.begin(tx, actor, keyring.pepper, account_id, _client(request))
    return _cookie(request).holding(begun)


async def _begin(request: AnyRequest, db: Database, keyring: Keyring, account_id: AccountId) -> Cookie:
    async with db.platform() as tx:
        begun = await sign_ins.begin(tx, _actor(request, account_id), keyring.pepper, account_id, _client(request))
    return _cookie(request).holding(begun)


async def _write_down(request: AnyRequest, db: Database, whom: str) -> None:
    nobody = Actor(kind="nobody", id="", request_id=request_id(request.scope), personal=personal(request))
    async with db.platform() as tx:
        audit.denied(tx, nobody, "session.refused", ("account", whom))


def _actor(request: AnyRequest, account_id: AccountId) -> Actor:
    own_id = text_id("acc", account_id)
    return Actor(kind="account", id=own_id, request_id=request_id(request.scope), personal=personal(request))


def _cookie(request: AnyRequest) -> SessionCookie:
    cookie: SessionCookie = request.app.state.session_cookie
    return cookie


def _client(request: AnyRequest) -> str:
    return request.headers.get("user-agent", "")
