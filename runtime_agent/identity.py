"""Who this runtime is: its two key pairs and what the server calls it, in ``identity.json``, mode 0600."""

import asyncio
import fcntl
import os
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from runtime_agent.home import IDENTITY, write_whole
from runtime_agent.problems import IdentityDamaged, NotJoined


class Identity(Struct, frozen=True, kw_only=True):
    """Both private keys never leave this file."""

    server: str
    """URL of the control plane, without a slash at its end."""
    signing_key: str
    """Ed25519, for requests; 32 bytes, base64url."""
    sealing_key: str
    """X25519, for what is sealed to this runtime; 32 bytes, base64url."""
    next_signing_key: str = ""
    """On disk before the control plane is asked to know us by it; until its answer is here, it may know either."""
    former_signing_key: str = ""
    """The one before: what a control plane that went back to an older backup still knows us by."""
    runtime_id: UUID | None = None
    """None while joining: the keys exist, the server's answer is not here yet."""
    runtime: str = ""
    """The same as people see it: ``rt_…``."""
    tenant: str = ""
    project: str = ""
    name: str = ""
    join_state: str = ""
    """Given by the server with every token, shown at the next: an older one betrays a copy of this file."""
    lease_keys: dict[str, str] = {}
    """What the control plane signs leases with, by key id; Ed25519, base64url. Another is trusted only if one of these
    vouches for it."""
    nonce: str = ""
    """Of a token call whose answer is not here yet: asked again, the same answer comes."""

    @property
    def id(self) -> UUID:
        """The runtime's id.

        Raises:
            NotJoined: There is none yet.
        """
        if self.runtime_id is None:
            raise NotJoined("this runtime has not joined a control plane")
        return self.runtime_id

    def signature(self, message: bytes) -> bytes:
        """Ed25519 over *message*."""
        return self._signing().sign(message)

    def sealing(self) -> X25519PrivateKey:
        """What opens what is sealed to this runtime."""
        return X25519PrivateKey.from_private_bytes(decoded(self.sealing_key))

    def public_key(self) -> str:
        return encoded(self._signing().public_key().public_bytes_raw())

    def public_sealing_key(self) -> str:
        return encoded(self.sealing().public_key().public_bytes_raw())

    def signed(self, claims: dict[str, Any]) -> str:
        """A compact JWS (RFC 7515) over *claims*, alg ``Ed25519`` (RFC 9864)."""
        payload = f"{_HEADER}.{encoded(msgspec.json.encode(claims))}"
        return f"{payload}.{encoded(self._signing().sign(payload.encode()))}"

    def known_by_next(self) -> "Identity":
        """The same, with the next key for its key."""
        return msgspec.structs.replace(
            self, signing_key=self.next_signing_key, former_signing_key=self.signing_key, next_signing_key=""
        )

    def known_by_former(self) -> "Identity":
        """The same, with the former key for its key, and what was its key to be replaced by again."""
        return msgspec.structs.replace(
            self, signing_key=self.former_signing_key, next_signing_key=self.signing_key, former_signing_key=""
        )

    def _signing(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(decoded(self.signing_key))


def encoded(raw: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


LOCK = "identity.lock"
AGAIN_S: Final = (0.01, 0.05)

_HEADER = encoded(b'{"alg":"Ed25519","typ":"JWT"}')


def fresh(server: str) -> Identity:
    """New keys for a runtime that is about to join *server*."""
    return Identity(
        server=server,
        signing_key=fresh_key(),
        sealing_key=encoded(X25519PrivateKey.generate().private_bytes_raw()),
    )


def fresh_key() -> str:
    """A new Ed25519 key, as it stands in the file."""
    return encoded(Ed25519PrivateKey.generate().private_bytes_raw())


@asynccontextmanager
async def alone(home: Path) -> AsyncIterator[None]:
    """One process at a time asks for tokens: each answer counts only on top of the one before.

    Asked for again and again: a thread that waits for a lock cannot be told that nobody wants it any more.
    """
    lock = os.open(home / LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while not _locked(lock):  # noqa: ASYNC110 another process tells nobody
            await asyncio.sleep(random.uniform(*AGAIN_S))  # noqa: S311 spreads, hides nothing
        yield
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find(home: Path) -> Identity | None:
    """What stands in the file; None if there is none.

    Raises:
        IdentityDamaged: It cannot be understood.
    """
    try:
        return msgspec.json.decode((home / IDENTITY).read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise IdentityDamaged(f"{home / IDENTITY} cannot be read: {error}") from error


def load(home: Path) -> Identity:
    """The identity of a runtime that has joined.

    Raises:
        NotJoined: There is none.
        IdentityDamaged: It cannot be understood.
    """
    found = find(home)
    if found is None or found.runtime_id is None:
        raise NotJoined(f"no runtime has joined with the home {home}")
    return found


def save(home: Path, identity: Identity) -> None:
    """Replace the file; after a crash the old or the new one is there, whole."""
    write_whole(home / IDENTITY, msgspec.json.format(msgspec.json.encode(identity), indent=2))
