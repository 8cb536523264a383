"""/v1/me/password, totp, recovery-codes, reauthentication: what proves who one is, and proving it again."""

from typing import Annotated

from litestar import Response, delete, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import Database, PlatformTx
from controlplane.domain import passwords, totp
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.passkey_answers import Credential
from controlplane.domain.permissions import Person
from controlplane.http import proving
from controlplane.http.authorize import Surface, rule
from controlplane.http.me.sign_in import AnyRequest, Token, with_cookie
from controlplane.http.proving import Shown
from controlplane.http.signing_in import Asked
from controlplane.http.transaction import PLATFORM_TX
from controlplane.kit.limiter import Limiter
from controlplane.kit.secret import Secret

Password = Annotated[str, Meta(max_length=passwords.LONGEST)]
Code = Annotated[str, Meta(max_length=40)]

FRESH = rule(Surface.ME, fresh=True)


class NewPassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    old: Password | None = None
    """Needed where there is one."""
    new: Password


class Seed(Struct, frozen=True, kw_only=True):
    """Shown this once, for an authenticator app."""

    secret: str
    """Base 32; SHA-1, six digits, 30 seconds: what every app takes by default."""
    address: str
    """``otpauth://totp/…``: the same as a link."""


class Confirmation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Code


class RecoveryCodes(Struct, frozen=True, kw_only=True):
    codes: list[str]
    """Each works once, in place of a code of the app. Shown this once."""


class Reauthentication(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of them: what the refusal names in `ways`."""

    password: Password | None = None
    code: Code | None = None


class PasskeyAgain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket: Token
    credential: Credential


@put("/password", status_code=204, opt=rule(Surface.ME))
async def change_password(
    data: JSONBody[NewPassword],
    request: AnyRequest,
    db: NamedDependency[Database],
    limiter: NamedDependency[Limiter],
    person: NamedDependency[Person],
) -> None:
    """Change one's password. Every other session ends."""
    old = Secret(data.old) if data.old is not None else None
    await proving.change_password(request, db, limiter, person, old, Secret(data.new))


@post("/totp", status_code=201, opt=FRESH, dependencies=PLATFORM_TX)
async def enroll(
    tx: NamedDependency[PlatformTx], person: NamedDependency[Person], actor: NamedDependency[Actor]
) -> Seed:
    """Begin with an authenticator app. It is asked for from its confirmation on."""
    secret = await totp.enroll(tx, actor, person.account_id)
    return Seed(secret=secret, address=totp.address(secret, person.email))


@post("/totp/confirm", status_code=200, opt=FRESH, dependencies=PLATFORM_TX)
async def confirm(
    data: JSONBody[Confirmation],
    request: AnyRequest,
    tx: NamedDependency[PlatformTx],
    person: NamedDependency[Person],
    keyring: NamedDependency[Keyring],
) -> Response[RecoveryCodes]:
    """Show a code of the app. From now on signing in takes one; the recovery codes are in the answer.

    The session goes on with a new cookie, as one that has seen two factors.
    """
    codes, cookie = await proving.add_app(request, tx, keyring, person, data.code)
    return Response(RecoveryCodes(codes=codes), cookies=[cookie])


@delete("/totp", opt=FRESH, dependencies=PLATFORM_TX)
async def remove(
    tx: NamedDependency[PlatformTx], person: NamedDependency[Person], actor: NamedDependency[Actor]
) -> None:
    """Remove the authenticator app, and the recovery codes with it."""
    await totp.remove(tx, actor, person.account_id)


@post("/recovery-codes", status_code=201, opt=FRESH, dependencies=PLATFORM_TX)
async def renew_recovery_codes(
    tx: NamedDependency[PlatformTx],
    person: NamedDependency[Person],
    actor: NamedDependency[Actor],
    keyring: NamedDependency[Keyring],
) -> RecoveryCodes:
    """Make ten new recovery codes; the earlier ones work no longer."""
    return RecoveryCodes(codes=await totp.renew_recovery_codes(tx, actor, keyring.pepper, person.account_id))


@post("/reauthentication", status_code=204, opt=rule(Surface.ME))
async def reauthenticate(
    data: JSONBody[Reauthentication],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    limiter: NamedDependency[Limiter],
    person: NamedDependency[Person],
) -> Response[None]:
    """Prove once more who one is, for what is dangerous. The session gets a new token."""
    shown = Shown(Secret(data.password) if data.password is not None else None, data.code)
    return with_cookie(await proving.again(request, db, keyring, limiter, person, shown))


@post("/reauthentication/passkey/options", status_code=200, opt=rule(Surface.ME))
async def reauthentication_options(
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    person: NamedDependency[Person],
) -> Asked:
    """What to ask the browser's authenticators for: `navigator.credentials.get({publicKey})`."""
    return await proving.ask_for_passkey(request, db, keyring, person)


@post("/reauthentication/passkey", status_code=204, opt=rule(Surface.ME))
async def reauthenticate_with_passkey(
    data: JSONBody[PasskeyAgain],
    request: AnyRequest,
    db: NamedDependency[Database],
    keyring: NamedDependency[Keyring],
    person: NamedDependency[Person],
) -> Response[None]:
    """Prove once more who one is, with a passkey."""
    return with_cookie(await proving.with_passkey(request, db, keyring, person, data.ticket, data.credential))
