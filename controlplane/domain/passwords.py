"""Passwords: hashed so slowly that guessing does not pay, and never in the way of everybody else."""

import asyncio
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


class PasswordUnfit(Refusal):
    code, status, title = "password-unfit", 400, "This password will not do"
    hint = f"Use at least {SHORTEST} characters, best a sentence of 15 or more; any characters are welcome."


def check_fit(password: Secret, email: str) -> None:
    """
    Raises:
        PasswordUnfit: If it is too short, absurdly long, one repeated character, or the address itself.
    """
    text = password.reveal()
    if not SHORTEST <= len(text) <= LONGEST or len(set(text)) < 3 or text.casefold() == email.casefold():
        raise PasswordUnfit


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
