"""One-time codes: an authenticator app (RFC 6238), and recovery codes for the day it is lost."""

import hmac
import secrets
from datetime import datetime
from typing import Final

import pyotp
from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.domain import audit, keys, people
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Context
from controlplane.kit import tokens
from controlplane.kit.ids import AccountId, text_id
from controlplane.kit.problems import Refusal

ISSUER: Final = "Engine Cloud"
STEP_S: Final = 30
WINDOW: Final = (-1, 0, 1)
"""Codes of the half minutes before and after count too: clocks differ, and people type slowly."""

RECOVERY_CODES: Final = 10
ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
GROUPS, GROUP = 4, 4
"""16 characters of 5 bits: 80 bits."""


SEALED: Final = keys.SealedColumn(t.totps, "sealed_seed", "totp-seed", lambda row: _place(row["account_id"]))


class CodeWrong(Refusal):
    """Wrong, used and expired are the same."""

    code, status, title = "code-wrong", 401, "This code does not fit"
    hint = "Wait for the next code of your app, or use a recovery code. Every code works once."


class TotpExists(Refusal):
    code, status, title = "totp-exists", 409, "There is an authenticator app already"
    hint = "Remove it first."


class TotpMissing(Refusal):
    code, status, title = "totp-missing", 409, "There is no authenticator app to confirm or to recover"
    hint = "Add one first."


class Factors(Struct, frozen=True, kw_only=True):
    """What an account has of codes."""

    totp: bool
    recovery_codes: int
    """That are left."""


async def enroll(tx: PlatformTx, actor: Actor, account_id: AccountId) -> str:
    """Make a seed and return it in base 32; it counts once a code of it was shown (:func:`confirm`).

    Raises:
        TotpExists: If there is a confirmed one.
    """
    seed = pyotp.random_base32()
    sealed = await keys.seal(tx, "totp-seed", seed.encode(), _place(account_id), subject=_name(account_id))
    fresh = {"sealed_seed": sealed, "last_step": 0, "created_at": tx.now}
    made = tx.insert(t.totps).values(account_id=account_id, **fresh)
    unconfirmed = t.totps.c.confirmed_at.is_(None)
    if not await tx.run(made.on_conflict_do_update(index_elements=["account_id"], set_=fresh, where=unconfirmed)):
        raise TotpExists
    audit.record(tx, actor, "totp.begun", ("account", _name(account_id)))
    return seed


async def pending(tx: PlatformTx, account_id: AccountId) -> str | None:
    """The seed that waits for its confirmation."""
    row = await _row(tx, account_id)
    if row is None or row.confirmed_at is not None:
        return None
    return (await keys.unseal(tx, "totp-seed", row.sealed_seed, _place(account_id))).decode()


def address(seed: str, email: str) -> str:
    """What authenticator apps read: ``otpauth://totp/…``."""
    return pyotp.TOTP(seed).provisioning_uri(name=email, issuer_name=ISSUER)


async def confirm(tx: PlatformTx, actor: Actor, pepper: bytes, account_id: AccountId, code: str) -> list[str]:
    """From now on ask for codes; returns the recovery codes, which are shown this once.

    Raises:
        TotpMissing: If nothing was enrolled, or it is confirmed already.
        CodeWrong: If *code* is none of it.
    """
    row = await _row(tx, account_id)
    if row is None or row.confirmed_at is not None:
        raise TotpMissing
    if not await _spend(tx, account_id, row, code):
        raise CodeWrong
    await tx.run(tx.update(t.totps).where(t.totps.c.account_id == account_id).values(confirmed_at=tx.now))
    audit.record(tx, actor, "totp.added", ("account", _name(account_id)))
    await people.notify(tx, account_id, "An authenticator app was added to your account.")
    return await _new_recovery_codes(tx, pepper, account_id)


async def use(tx: PlatformTx, pepper: bytes, account_id: AccountId, code: str) -> bool:
    """Whether *code* is a code of the app or a recovery code of this account; it works no second time."""
    row = await _row(tx, account_id)
    if row is None or row.confirmed_at is None:
        return False
    if await _spend(tx, account_id, row, code):
        return True
    spent = tx.delete(t.recovery_codes).where(
        t.recovery_codes.c.account_id == account_id,
        t.recovery_codes.c.code_hash == _fingerprint(pepper, account_id, code),
    )
    if not await tx.run(spent):
        return False
    left = await _left(tx, account_id)
    whose = Actor(kind="account", id=_name(account_id))
    audit.record(tx, whose, "recovery-code.used", ("account", _name(account_id)), left=left)
    await people.notify(tx, account_id, f"A recovery code of your account was used; {left} are left.")
    return True


async def remove(tx: PlatformTx, actor: Actor, account_id: AccountId) -> None:
    """Ask for codes no longer. Doing it again changes nothing."""
    gone = await tx.run(tx.delete(t.totps).where(t.totps.c.account_id == account_id))
    await tx.run(tx.delete(t.recovery_codes).where(t.recovery_codes.c.account_id == account_id))
    if gone:
        audit.record(tx, actor, "totp.removed", ("account", _name(account_id)))
        await people.notify(tx, account_id, "The authenticator app of your account was removed.")


async def renew_recovery_codes(tx: PlatformTx, actor: Actor, pepper: bytes, account_id: AccountId) -> list[str]:
    """Ten new ones; the earlier ones work no longer.

    Raises:
        TotpMissing: If there is nothing that they could stand in for.
    """
    if not (await factors(tx, account_id)).totp:
        raise TotpMissing
    audit.record(tx, actor, "recovery-codes.renewed", ("account", _name(account_id)))
    await people.notify(tx, account_id, "New recovery codes were made for your account.")
    return await _new_recovery_codes(tx, pepper, account_id)


async def factors(tx: PlatformTx, account_id: AccountId) -> Factors:
    row = await _row(tx, account_id)
    confirmed = row is not None and row.confirmed_at is not None
    return Factors(totp=confirmed, recovery_codes=await _left(tx, account_id) if confirmed else 0)


def step_of(now: datetime) -> int:
    """The number of the half minute that *now* is in (RFC 6238 section 4.2)."""
    return int(now.timestamp()) // STEP_S


class _Row(Struct, frozen=True):
    sealed_seed: bytes
    confirmed_at: datetime | None


class _Hash(Struct, frozen=True):
    code_hash: bytes


async def _row(tx: PlatformTx, account_id: AccountId) -> _Row | None:
    return await tx.first(_Row, tx.select(t.totps).where(t.totps.c.account_id == account_id))


async def _spend(tx: PlatformTx, account_id: AccountId, row: _Row, code: str) -> bool:
    """Whether *code* fits a step later than any that was used; then that step is the last. One statement decides."""
    seed = (await keys.unseal(tx, "totp-seed", row.sealed_seed, _place(account_id))).decode()
    generator, given, now = pyotp.TOTP(seed), _bare(code).encode(), step_of(tx.now)
    fitting = [now + by for by in WINDOW if hmac.compare_digest(generator.generate_otp(now + by).encode(), given)]
    if not fitting:
        return False
    later = tx.update(t.totps).where(t.totps.c.account_id == account_id, t.totps.c.last_step < fitting[0])
    return bool(await tx.run(later.values(last_step=fitting[0])))


async def _new_recovery_codes(tx: PlatformTx, pepper: bytes, account_id: AccountId) -> list[str]:
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    await tx.run(tx.delete(t.recovery_codes).where(t.recovery_codes.c.account_id == account_id))
    rows = [{"code_hash": _fingerprint(pepper, account_id, code)} for code in codes]
    await tx.run(tx.insert(t.recovery_codes).values(account_id=account_id, created_at=tx.now), rows)
    return codes


async def _left(tx: PlatformTx, account_id: AccountId) -> int:
    return len(await tx.all(_Hash, tx.select(t.recovery_codes).where(t.recovery_codes.c.account_id == account_id)))


def _recovery_code() -> str:
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))


def _fingerprint(pepper: bytes, account_id: AccountId, code: str) -> bytes:
    return tokens.fingerprint(pepper, f"recovery {account_id} {_bare(code)}")


def _bare(code: str) -> str:
    """Without the spaces and hyphens that make it readable."""
    return "".join(code.split()).replace("-", "").casefold()


def _name(account_id: AccountId) -> str:
    return text_id("acc", account_id)


def _place(account_id: AccountId) -> Context:
    return Context(t.totps.name, _name(account_id))
