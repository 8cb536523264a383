"""Passkeys: keys in somebody's own authenticator (Web Authentication Level 2), which asks who they are before it signs."""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import webauthn
from msgspec import Struct
from sqlalchemy import text
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.domain import audit, people
from controlplane.domain.audit import Actor
from controlplane.domain.passkey_answers import Credential, Registration, Site
from controlplane.domain.people import Account
from controlplane.kit.ids import AccountId, PasskeyId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

CHALLENGE_BYTES: Final = 32
HANDLE_BYTES: Final = 32
TIMEOUT_MS: Final = 300_000
MOST: Final = 20
"""Of one account."""


class Passkey(Struct, frozen=True, kw_only=True):
    """What its owner sees of it."""

    id: PasskeyId
    name: str
    backed_up: bool
    """Whether it is kept with the owner's other devices too, and outlives this one."""
    created_at: datetime
    last_used_at: datetime | None


class PasskeyRefused(Refusal):
    """Whatever was wrong with it: the log of who tried is in the audit log, and the caller learns nothing."""

    code, status, title = "passkey-refused", 401, "This passkey was not accepted"
    hint = "Try again, or sign in another way."


class PasskeysUnavailable(Refusal):
    code, status, title = "passkeys-unavailable", 409, "There can be no passkeys under this address"
    hint = "Browsers make passkeys for host names only: set CONTROLPLANE_PUBLIC_URL to one, http://localhost:8700 or https://…"


class PasskeyExists(Refusal):
    code, status, title = "passkey-exists", 409, "This passkey is known already"
    hint = "Sign in with it."


class TooManyPasskeys(Refusal):
    code, status, title = "passkeys-full", 409, f"There are {MOST} passkeys already"
    hint = "Remove one first."


def challenge() -> bytes:
    return secrets.token_bytes(CHALLENGE_BYTES)


async def creation(tx: PlatformTx, actor: Actor, site: Site, account: Account, its_challenge: bytes) -> dict[str, Any]:
    """What ``navigator.credentials.create()`` is asked with: a key that can be found without a name being typed.

    Raises:
        TooManyPasskeys: If there is no room for another.
    """
    known = await tx.all(_Key, tx.select(t.passkeys).where(t.passkeys.c.account_id == account.id))
    if len(known) >= MOST:
        raise TooManyPasskeys
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name="Engine Cloud",
        user_id=await _handle(tx, account.id),
        user_name=account.email,
        user_display_name=account.name,
        challenge=its_challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(known),
    )
    audit.record(tx, actor, "passkey.begun", ("account", text_id("acc", account.id)))
    return _plain(options)


async def request(
    tx: PlatformTx, site: Site, its_challenge: bytes, account_id: AccountId | None = None
) -> dict[str, Any]:
    """What ``navigator.credentials.get()`` is asked with.

    Args:
        account_id: Whose passkeys will do; None: anybody's, which the authenticator offers by itself.
    """
    allowed = None
    if account_id is not None:
        known = await tx.all(_Key, tx.select(t.passkeys).where(t.passkeys.c.account_id == account_id))
        allowed = _descriptors(known)
    options = webauthn.generate_authentication_options(
        rp_id=site.host,
        challenge=its_challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=allowed,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return _plain(options)


async def register(tx: PlatformTx, actor: Actor, site: Site, account_id: AccountId, answer: Registration) -> Passkey:
    """Keep a new passkey.

    Raises:
        PasskeyRefused: If it was not made for this challenge, this site, and with its person verified.
        PasskeyExists: If it is known, whosever it is.
    """
    try:
        verified = webauthn.verify_registration_response(
            credential=msgspec.to_builtins(answer.credential),
            expected_challenge=answer.challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError):
        raise PasskeyRefused from None
    kept = tx.insert(t.passkeys).values(
        id=new_id(tx.now),
        account_id=account_id,
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        aaguid=verified.aaguid,
        transports=answer.credential.response.transports,
        backed_up=verified.credential_backed_up,
        name=answer.name,
        created_at=tx.now,
    )
    made = await tx.take(Passkey, kept.on_conflict_do_nothing(index_elements=["credential_id"]))
    if not made:
        raise PasskeyExists
    audit.record(tx, actor, "passkey.added", _target(made[0].id))
    await people.notify(tx, account_id, "A passkey was added to your account.")
    return made[0]


async def proven(tx: PlatformTx, site: Site, its_challenge: bytes, credential: Credential) -> AccountId:
    """Whose passkey has signed; and note that it was used.

    Raises:
        PasskeyRefused: If none of ours has, for this challenge and site, with its person verified; or its account is
            disabled; or its counter has gone back, as a copy's does.
    """
    try:
        key = await _known(tx, webauthn.base64url_to_bytes(credential.raw_id))
        handle = credential.response.user_handle
        if handle is not None and webauthn.base64url_to_bytes(handle) != key.user_handle:
            raise PasskeyRefused
        verified = webauthn.verify_authentication_response(
            credential=msgspec.to_builtins(credential),
            expected_challenge=its_challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError):
        raise PasskeyRefused from None
    mine = tx.update(t.passkeys).where(t.passkeys.c.id == key.id, t.passkeys.c.sign_count == key.sign_count)
    used = mine.values(sign_count=verified.new_sign_count, backed_up=verified.credential_backed_up, last_used_at=tx.now)
    if not await tx.run(used):
        raise PasskeyRefused
    return key.account_id


async def listing(tx: PlatformTx, account_id: AccountId) -> Sequence[Passkey]:
    mine = tx.select(t.passkeys).where(t.passkeys.c.account_id == account_id)
    return await tx.all(Passkey, mine.order_by(t.passkeys.c.id).limit(MOST))


async def rename(tx: PlatformTx, actor: Actor, account_id: AccountId, passkey_id: UUID, name: str) -> Passkey:
    """
    Raises:
        NotFound: If this account has no such passkey.
    """
    mine = tx.update(t.passkeys).where(t.passkeys.c.account_id == account_id, t.passkeys.c.id == passkey_id)
    renamed = await tx.take(Passkey, mine.values(name=name))
    if not renamed:
        raise NotFound
    audit.record(tx, actor, "passkey.renamed", _target(renamed[0].id))
    return renamed[0]


async def remove(tx: PlatformTx, actor: Actor, account_id: AccountId, passkey_id: UUID) -> None:
    """
    Raises:
        NotFound: If this account has no such passkey.
    """
    mine = tx.delete(t.passkeys).where(t.passkeys.c.account_id == account_id, t.passkeys.c.id == passkey_id)
    if not await tx.run(mine):
        raise NotFound
    audit.record(tx, actor, "passkey.removed", _target(PasskeyId(passkey_id)))
    await people.notify(tx, account_id, "A passkey of your account was removed.")


async def forget(tx: PlatformTx, actor: Actor, account_id: AccountId) -> int:
    """Remove every passkey of somebody who has lost them, and return how many there were."""
    gone = await tx.run(tx.delete(t.passkeys).where(t.passkeys.c.account_id == account_id))
    if gone:
        audit.record(tx, actor, "passkey.all-removed", ("account", text_id("acc", account_id)), passkeys=gone)
    return gone


KNOWN: Final = text("""
    SELECT p.id, p.account_id, p.public_key, p.sign_count, a.user_handle
    FROM passkeys p JOIN accounts a ON a.id = p.account_id
    WHERE p.credential_id = :credential_id AND a.status = 'active'
""")


class _Known(Struct, frozen=True):
    id: PasskeyId
    account_id: AccountId
    public_key: bytes
    sign_count: int
    user_handle: bytes


class _Key(Struct, frozen=True):
    credential_id: bytes
    transports: list[str]


class _Handle(Struct, frozen=True):
    user_handle: bytes | None


async def _handle(tx: PlatformTx, account_id: AccountId) -> bytes:
    """What authenticators know the account by: random, so that it says nothing."""
    mine = t.accounts.c.id == account_id
    fresh = tx.update(t.accounts).where(mine, t.accounts.c.user_handle.is_(None))
    await tx.run(fresh.values(user_handle=secrets.token_bytes(HANDLE_BYTES)))
    held = await tx.first(_Handle, tx.select(t.accounts).where(mine))
    assert held is not None, "whoever asks is signed in"
    assert held.user_handle is not None, "there is one from now on"
    return held.user_handle


async def _known(tx: PlatformTx, credential_id: bytes) -> _Known:
    found = await tx.query(_Known, KNOWN, credential_id=credential_id)
    if not found:
        raise PasskeyRefused
    return found[0]


def _descriptors(known: Sequence[_Key]) -> list[PublicKeyCredentialDescriptor]:
    spoken = {each.value: each for each in AuthenticatorTransport}
    return [
        PublicKeyCredentialDescriptor(
            id=key.credential_id, transports=[spoken[each] for each in key.transports if each in spoken]
        )
        for key in known
    ]


def _plain(options: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return plain


def _target(passkey_id: PasskeyId) -> audit.Target:
    return "passkey", text_id("pk", passkey_id)
