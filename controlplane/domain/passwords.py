"""Passwords: hashed so slowly that guessing does not pay, and never in the way of everybody else."""

import asyncio
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret

HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""Argon2id with 19 MiB and two passes (OWASP): 30 to 50 ms."""

AT_ONCE = asyncio.Semaphore(4)
"""So that a storm of sign-ins takes 76 MiB and not all there is."""

NOBODYS: Final = "$argon2id$v=19$m=19456,t=2,p=1$/nxNKKbl0o9Q6/4FlkO+XQ$v3lRXNdpji/fSNAnNltmcMJ0i7zTR0AePlaOfAzcOVQ"
"""Verified where there is no account, so that the answer takes as long. It is the hash of a secret that was thrown away."""

SHORTEST, LONGEST = 8, 1000

FREQUENT: Final = frozenset(
    line
    for line in (Path(__file__).parent / "common_passwords.txt").read_text().split("\n")
    if line[:1] not in ("", "#")
)
"""What is tried first, everywhere: in lower case."""

PADDING: Final = "0123456789!?.-_ "
"""What people add to a word when a password has to be longer."""

OURS: Final = ("enginecloud", "engine cloud", "engine-cloud", "controlplane", "control plane")
"""What is tried first, here."""


class PasswordUnfit(Refusal):
    """Too short, absurdly long, one repeated character, one's own address, or one of those that everybody tries."""

    code, status, title = "password-unfit", 400, "This password will not do"
    hint = f"Use at least {SHORTEST} characters, best a sentence of 15 or more that nobody else uses; any are welcome."


def check_fit(password: Secret, email: str) -> None:
    """
    Raises:
        PasswordUnfit: If it is too short, absurdly long, one repeated character, the address or a part of it with a
            number, or one of the passwords that are tried first.
    """
    text = password.reveal()
    if not SHORTEST <= len(text) <= LONGEST:
        raise PasswordUnfit(f"it has {len(text)} characters" if len(text) < SHORTEST else "it is too long")
    plain = text.casefold()
    its_word = plain.strip(PADDING)
    if len(set(text)) < 3 or plain in FREQUENT or its_word in OURS:
        raise PasswordUnfit("it is among those that are tried first")
    address = email.casefold()
    if plain == address or not plain.removeprefix(address.partition("@")[0]).strip(PADDING):
        raise PasswordUnfit("it is your address")


async def hashed(password: Secret) -> str:
    """What to keep of *password*."""
    async with AT_ONCE:
        return await asyncio.to_thread(HASHER.hash, password.reveal())


async def matches(password: Secret, password_hash: str | None) -> bool:
    """Whether *password* is the one; takes as long where there is none to compare with."""
    async with AT_ONCE:
        right = await asyncio.to_thread(_verify, password_hash or NOBODYS, password.reveal())
    return right and password_hash is not None


def _verify(password_hash: str, text: str) -> bool:
    try:
        return HASHER.verify(password_hash, text)
    except VerifyMismatchError:
        return False
