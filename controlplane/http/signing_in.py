"""How a browser session begins, for the API and for the console alike: by password, link or passkey, and a second
factor where there is one."""

from typing import Any

from litestar import Request
from litestar.datastructures import Cookie
from msgspec import Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import audit, ceremonies, passkeys, passwords, people, recovery, sign_ins, totp
from controlplane.domain.audit import Actor
from controlplane.domain.ceremonies import Ceremony
from controlplane.domain.keys import Keyring
from controlplane.domain.passkey_answers import Credential, Site
from controlplane.domain.passkeys import PasskeyRefused, PasskeysUnavailable
from controlplane.domain.sign_ins import PASSKEY, Proof, SignInRefused
from controlplane.domain.totp import CodeWrong
from controlplane.http import limits
from controlplane.http.headers import request_id
from controlplane.http.principals import personal
from controlplane.http.sessions import SessionCookie
from controlplane.kit.ids import AccountId, text_id
from controlplane.kit.limiter import Limiter
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

AnyRequest = Request[Any, Any, Any]

TWO_FACTORS = Proof(method="two factors", level=2)


class SecondFactorRequired(Refusal):
    """The first half was right. Nothing is open until the second is."""

    code, status, title = "second-factor-required", 401, "One more step"
    hint = "POST /v1/auth/second-factor with this ticket and a code of your authenticator app, or a recovery code."

    def __init__(self, ticket: str) -> None:
        super().__init__()
        self.ticket = ticket

    def facts(self) -> dict[str, object]:
        return {"ticket": self.ticket, "expires_in": int(ceremonies.LIFETIME.total_seconds())}


async def with_password(
    request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter, email: str, password: Secret
) -> Cookie:
    """The cookie of a new session. Takes as long for an unknown address as for a known one.

    Raises:
        RateLimited: If this address, or this place, has tried too often.
        SignInRefused: If they do not fit together.
        SecondFactorRequired: If a code is needed as well.
    """
    place = limits.address(request)
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", place)
    await limits.check(limiter, limits.SIGN_IN, "sign-in", people.normalized(email), place)
    async with db.platform() as tx:
        held = await people.credentials(tx, email)
    active = held is not None and held.status == "active"
    right = await passwords.matches(password, held.password_hash if held and active else None)
    if held is None or not right:
        await write_down(request, db, "session.refused", text_id("acc", held.id) if held else "unknown")
        raise SignInRefused
    first_half = Ceremony(kind="second-factor", account_id=held.id)
    return await _begin_or_ask(request, db, keyring, first_half, sign_ins.PASSWORD)


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
        SecondFactorRequired: If a code is needed as well; only then does the password count.
    """
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", limits.address(request))
    password_hash = await passwords.hashed(password) if password is not None else None
    async with db.platform() as tx:
        account_id = await sign_ins.redeem(tx, keyring.pepper, token)
        if password is not None:
            passwords.check_fit(password, (await people.get(tx, account_id)).email)  # a refusal gives the link back
        audit.record(tx, actor_for(request, account_id), "sign-in-link.used", ("account", text_id("acc", account_id)))
        half = Ceremony(kind="second-factor", account_id=account_id, password_hash=password_hash)
        if not (await totp.factors(tx, account_id)).totp:
            return await _open(request, tx, keyring, half, sign_ins.LINK)
        ticket = await ceremonies.begin(tx, keyring.pepper, half)
    raise SecondFactorRequired(ticket)


async def with_code(
    request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter, ticket: str, code: str
) -> Cookie:
    """The cookie of a new session, for the second half: a code of the app, or a recovery code.

    Raises:
        RateLimited: If this place, or anybody for this account, has tried too often.
        CeremonyOver: If the first half is too long ago, or this was tried too often.
        CodeWrong: If the code does not fit, or was used.
    """
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", limits.address(request))
    async with db.platform() as tx:  # the try counts, whatever comes of it
        half = await ceremonies.attempt(tx, keyring.pepper, "second-factor", ticket)
    assert half.account_id is not None, "the first half has found out who it is"
    await limits.check(limiter, limits.SECOND_FACTOR, "second-factor", str(half.account_id))
    async with db.platform() as tx:
        if await totp.use(tx, keyring.pepper, half.account_id, code):
            await ceremonies.use_up(tx, keyring.pepper, "second-factor", ticket)
            return await _open(request, tx, keyring, half, TWO_FACTORS)
        audit.denied(tx, nobody(request), "second-factor.refused", ("account", text_id("acc", half.account_id)))
    raise CodeWrong


async def ask_for_passkey(request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter) -> "Asked":
    """What a browser is asked for, whoever sits there.

    Raises:
        RateLimited: If this place has asked too often.
        PasskeysUnavailable: If there can be none here.
    """
    site = site_for(request)
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", limits.address(request))
    challenge = passkeys.challenge()
    async with db.platform() as tx:
        ticket = await ceremonies.begin(tx, keyring.pepper, Ceremony(kind="passkey-sign-in", challenge=challenge))
        return Asked(ticket=ticket, public_key=await passkeys.request(tx, site, challenge))


async def with_passkey(
    request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter, ticket: str, answer: Credential
) -> Cookie:
    """The cookie of a new session, for what an authenticator has signed.

    Raises:
        RateLimited: If this place has tried too often.
        CeremonyOver: If it was not asked for lately.
        PasskeyRefused: If it is nobody's, or not for this question.
    """
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", limits.address(request))
    async with db.platform() as tx:  # a challenge is good for one answer, right or wrong
        asked = await ceremonies.use_up(tx, keyring.pepper, "passkey-sign-in", ticket)
    assert asked.challenge is not None, "a passkey is asked for with a challenge"
    try:
        async with db.platform() as tx:
            account_id = await passkeys.proven(tx, site_for(request), asked.challenge, answer)
            return await _open(request, tx, keyring, Ceremony(kind=asked.kind, account_id=account_id), PASSKEY)
    except PasskeyRefused:
        await write_down(request, db, "session.refused", "unknown")
        raise


async def ask_for_reset(request: AnyRequest, db: Database, limiter: Limiter, email: str) -> None:
    """Have a letter written with a link to a new password, if there is such an account; nobody here learns whether.

    Raises:
        RateLimited: If this place, or anybody for this address, has asked too often.
    """
    await limits.check(limiter, limits.SIGN_IN_FROM, "sign-in-from", limits.address(request))
    await limits.check(limiter, limits.PASSWORD_RESET, "password-reset", people.normalized(email))
    async with db.platform() as tx:
        await recovery.ask(tx, nobody(request), email)


def site_for(request: AnyRequest) -> Site:
    """
    Raises:
        PasskeysUnavailable: If the public address is none that passkeys can be made for.
    """
    site: Site | None = request.app.state.passkey_site
    if site is None:
        raise PasskeysUnavailable
    return site


def actor_for(request: AnyRequest, account_id: AccountId) -> Actor:
    own_id = text_id("acc", account_id)
    return Actor(kind="account", id=own_id, request_id=request_id(request.scope), personal=personal(request))


def nobody(request: AnyRequest) -> Actor:
    """Whoever has not said who they are."""
    return Actor(kind="nobody", id="", request_id=request_id(request.scope), personal=personal(request))


async def write_down(request: AnyRequest, db: Database, action: str, whom: str) -> None:
    """That somebody was turned down, in the platform's audit log."""
    async with db.platform() as tx:
        audit.denied(tx, nobody(request), action, ("account", whom))


async def begin(request: AnyRequest, db: Database, keyring: Keyring, account_id: AccountId, proof: Proof) -> Cookie:
    """The cookie of a new session, for somebody who has proved who they are."""
    async with db.platform() as tx:
        return await _open(request, tx, keyring, Ceremony(kind="", account_id=account_id), proof)


class Asked(Struct, frozen=True, kw_only=True):
    """What ``navigator.credentials`` is called with; the ticket goes back with its answer."""

    ticket: str
    public_key: dict[str, Any]


async def _begin_or_ask(request: AnyRequest, db: Database, keyring: Keyring, half: Ceremony, proof: Proof) -> Cookie:
    assert half.account_id is not None, "the first half has found out who it is"
    async with db.platform() as tx:
        if not (await totp.factors(tx, half.account_id)).totp:
            return await _open(request, tx, keyring, half, proof)
        ticket = await ceremonies.begin(tx, keyring.pepper, half)
    raise SecondFactorRequired(ticket)


async def _open(request: AnyRequest, tx: PlatformTx, keyring: Keyring, done: Ceremony, proof: Proof) -> Cookie:
    """A session, and before it what was to count from the end of the ceremony on."""
    assert done.account_id is not None, "whoever signs in is somebody"
    actor = actor_for(request, done.account_id)
    if done.password_hash is not None:
        await people.set_password(tx, actor, done.account_id, done.password_hash)
    client = request.headers.get("user-agent", "")
    begun = await sign_ins.begin(tx, actor, keyring.pepper, done.account_id, client, proof)
    cookie: SessionCookie = request.app.state.session_cookie
    return cookie.holding(begun)
