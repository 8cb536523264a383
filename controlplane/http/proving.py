"""Proving once more who one is, and changing what proves it: for the API and for the console alike."""

from litestar.datastructures import Cookie
from msgspec import Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import audit, ceremonies, passkeys, passwords, people, sign_ins, totp
from controlplane.domain.ceremonies import Ceremony
from controlplane.domain.keys import Keyring
from controlplane.domain.passkey_answers import Credential
from controlplane.domain.passkeys import PasskeyRefused
from controlplane.domain.permissions import SECOND_FACTORS, Person, ReauthenticationRequired
from controlplane.domain.sign_ins import PASSKEY, PASSWORD, Proof
from controlplane.domain.totp import CodeWrong
from controlplane.http import limits
from controlplane.http.sessions import SessionCookie
from controlplane.http.signing_in import TWO_FACTORS, AnyRequest, Asked, actor_for, site_for, write_down
from controlplane.kit.ids import text_id
from controlplane.kit.limiter import Limiter
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret


class PasswordWrong(Refusal):
    code, status, title = "password-wrong", 401, "This is not your password"
    hint = "Try again, or ask for a letter with a link to a new one."


class Shown(Struct, frozen=True):
    """What somebody types to prove who they are."""

    password: Secret | None = None
    code: str | None = None


async def again(
    request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter, person: Person, shown: Shown
) -> Cookie:
    """The cookie of the same session under a new token, which counts as fresh from now on.

    Raises:
        RateLimited: If this account was tried too often.
        PasswordWrong, CodeWrong: If it does not fit.
        ReauthenticationRequired: If what was shown is not the strongest that they have.
    """
    if "totp" in person.ways and shown.code is not None:
        proof: Proof = TWO_FACTORS
        await _check_code(request, db, keyring, limiter, person, shown.code)
    elif not person.ways & SECOND_FACTORS and shown.password is not None:
        proof = PASSWORD
        await check_password(request, db, limiter, person, shown.password)
    else:
        raise ReauthenticationRequired(person.ways)
    return await _renewed(request, db, keyring, person, proof)


async def ask_for_passkey(request: AnyRequest, db: Database, keyring: Keyring, person: Person) -> Asked:
    """What a browser is asked for: one of this person's own passkeys.

    Raises:
        PasskeysUnavailable: If there can be none here.
    """
    site, challenge = site_for(request), passkeys.challenge()
    asked = Ceremony(
        kind="passkey-confirm", account_id=person.account_id, session_id=person.session_id, challenge=challenge
    )
    async with db.platform() as tx:
        ticket = await ceremonies.begin(tx, keyring.pepper, asked)
        return Asked(ticket=ticket, public_key=await passkeys.request(tx, site, challenge, person.account_id))


async def with_passkey(
    request: AnyRequest, db: Database, keyring: Keyring, person: Person, ticket: str, answer: Credential
) -> Cookie:
    """As :func:`again`, for what an authenticator has signed.

    Raises:
        CeremonyOver: If it was not asked for lately, in this session.
        PasskeyRefused: If it is not this person's, or not for this question.
    """
    async with db.platform() as tx:  # a challenge is good for one answer, right or wrong
        asked = await ceremonies.use_up(tx, keyring.pepper, "passkey-confirm", ticket)
    if asked.session_id != person.session_id or asked.challenge is None:
        raise ceremonies.CeremonyOver
    try:
        async with db.platform() as tx:
            if await passkeys.proven(tx, site_for(request), asked.challenge, answer) != person.account_id:
                raise PasskeyRefused
            token = await sign_ins.renew(
                tx, actor_for(request, person.account_id), keyring.pepper, person.session_id, PASSKEY
            )
    except PasskeyRefused:
        await write_down(request, db, "session.not-confirmed", text_id("acc", person.account_id))
        raise
    return _cookie(request, token)


async def change_password(
    request: AnyRequest, db: Database, limiter: Limiter, person: Person, old: Secret | None, new: Secret
) -> None:
    """Replace somebody's own password; their other sessions end.

    Raises:
        RateLimited: If this account was tried too often.
        PasswordUnfit: If the new one will not do.
        PasswordWrong: If there is an old one, and it is another.
        ReauthenticationRequired: If there is none, or a second factor, and no fresh proof.
    """
    passwords.check_fit(new, person.email)
    if ("password" not in person.ways or person.ways & SECOND_FACTORS) and not person.is_fresh(db.clock()):
        raise ReauthenticationRequired(person.ways)
    if "password" in person.ways:
        await check_password(request, db, limiter, person, old or Secret(""))
    password_hash = await passwords.hashed(new)
    async with db.platform() as tx:
        actor = actor_for(request, person.account_id)
        await people.set_password(tx, actor, person.account_id, password_hash, keep=person.session_id)


async def add_app(
    request: AnyRequest, tx: PlatformTx, keyring: Keyring, person: Person, code: str
) -> tuple[list[str], Cookie]:
    """Recovery codes, now that an app has shown a code; and the cookie of the same session, which has seen two factors.

    Raises:
        TotpMissing, CodeWrong: If there is no app to add, or it shows something else.
    """
    actor = actor_for(request, person.account_id)
    codes = await totp.confirm(tx, actor, keyring.pepper, person.account_id, code)
    return codes, _cookie(request, await sign_ins.renew(tx, actor, keyring.pepper, person.session_id, TWO_FACTORS))


async def check_password(request: AnyRequest, db: Database, limiter: Limiter, person: Person, given: Secret) -> None:
    """
    Raises:
        RateLimited: If this account was tried too often.
        PasswordWrong: If it is another.
    """
    await limits.check(limiter, limits.SIGN_IN, "password-again", str(person.account_id))
    async with db.platform() as tx:
        held = await people.credentials_of(tx, person.account_id)
    if not await passwords.matches(given, held.password_hash):
        await write_down(request, db, "session.not-confirmed", text_id("acc", person.account_id))
        raise PasswordWrong


async def _check_code(
    request: AnyRequest, db: Database, keyring: Keyring, limiter: Limiter, person: Person, code: str
) -> None:
    await limits.check(limiter, limits.SECOND_FACTOR, "second-factor", str(person.account_id))
    actor = actor_for(request, person.account_id)
    async with db.platform() as tx:
        if await totp.use(tx, keyring.pepper, person.account_id, code):
            audit.record(tx, actor, "code.used", ("account", actor.id))
            return
        audit.denied(tx, actor, "session.not-confirmed", ("account", actor.id))
    raise CodeWrong


async def _renewed(request: AnyRequest, db: Database, keyring: Keyring, person: Person, proof: Proof) -> Cookie:
    async with db.platform() as tx:
        actor = actor_for(request, person.account_id)
        return _cookie(request, await sign_ins.renew(tx, actor, keyring.pepper, person.session_id, proof))


def _cookie(request: AnyRequest, token: str) -> Cookie:
    cookie: SessionCookie = request.app.state.session_cookie
    return cookie.holding(token)
