"""The keyring: the master keys, what is derived from them, and the file they live in."""

import base64
import fcntl
import hmac
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct
from msgspec.structs import replace

from controlplane.kit.problems import Refusal
from controlplane.kit.sealing import REMEMBERED, Keeper, Ring, Sealing

KEY_BYTES = 32

WRAPPING = "cp.kek.v1"
"""What the key that wraps is derived for."""

SIGNING = ("cp.cursor.v1", "cp.runtime-token.v1", "cp.audit-checkpoint.v1", "cp.certificate.v1", "cp.lease.v1")
"""What the others are derived for; these outlive a master key that is taken out of the keyring."""


class UnusableKeyring(Refusal):
    """The keyring cannot be read; without it no credential can be recognized."""

    code, status, title = "keyring-unusable", 503, "The keyring cannot be read"
    hint = "Check CONTROLPLANE_KEK and the file's owner and mode (0600)."


class Keyring(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Master keys and pepper. Old keys stay until nothing depends on them any more."""

    current: str
    """What signs."""
    keys: dict[str, bytes]
    """Key id to 32 bytes (base64 in the file)."""
    wrapping: str = ""
    """What data keys are wrapped under; empty: the current one."""
    seeds: dict[str, dict[str, bytes]] = {}
    """Of a key that is gone: what was derived from it to sign and authenticate with, which opens nothing."""
    pepper: bytes
    """32 bytes that are mixed into every credential's hash and are not in the database."""

    def __post_init__(self) -> None:
        seeds = [seed for of_one in self.seeds.values() for seed in of_one.values()]
        wrong = [key for key in (*self.keys.values(), *seeds, self.pepper) if len(key) != KEY_BYTES]
        if wrong or self.current not in {*self.keys, *self.seeds} or self.wraps not in self.keys:
            raise ValueError("keys and pepper have 32 bytes each, and current names one of the keys")

    @property
    def wraps(self) -> str:
        """The key that data keys are wrapped under."""
        return self.wrapping or self.current

    @property
    def signers(self) -> list[str]:
        """The keys that sign or have signed."""
        return [*self.keys, *(name for name in self.seeds if name not in self.keys)]

    def __repr__(self) -> str:
        return f"Keyring(current={self.current!r}, …)"


def new() -> Keyring:
    """A keyring with one master key."""
    return Keyring(current="k001", keys={"k001": secrets.token_bytes(KEY_BYTES)}, pepper=secrets.token_bytes(KEY_BYTES))


def read(location: str, environ: Mapping[str, str]) -> Keyring:
    """The keyring at *location*: ``file:PATH``, or ``env:NAME`` with the same JSON in a variable.

    Raises:
        UnusableKeyring: If it is missing, open to others, or not a keyring.
    """
    scheme, _, place = location.partition(":")
    try:
        content = environ[place].encode() if scheme == "env" else _private(Path(place))
        return msgspec.json.decode(content, type=Keyring)
    except KeyError:
        raise UnusableKeyring(f"the variable {place} is not set") from None
    except OSError as error:
        raise UnusableKeyring(f"{place}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError):
        raise UnusableKeyring(f"{scheme}:{place} does not hold a keyring") from None


def write(path: Path, keyring: Keyring) -> None:
    """Put *keyring* into a new file that only its owner may read, whole or not at all.

    Raises:
        FileExistsError: If there is one already; it is never overwritten.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = _beside(path, keyring)
    try:
        path.hardlink_to(beside)
    finally:
        beside.unlink()


def extend(path: Path) -> Keyring:
    """Add a master key to the keyring at *path* that wraps from now on, and return it; what signs stays.

    Raises:
        UnusableKeyring: If there is none.
    """
    return _change(path, _extended)


def strip(path: Path, retired: Sequence[str]) -> list[str]:
    """Take *retired* master keys out of the keyring at *path*, and return which were in it.

    What was derived from them to sign with stays: it opens nothing.

    Raises:
        UnusableKeyring: If there is none.
    """
    before = read(f"file:{path}", {})
    gone = [name for name in retired if name in before.keys and name != before.wraps]
    if gone:
        _change(path, lambda keyring: _stripped(keyring, gone))
    return gone


def _extended(keyring: Keyring) -> Keyring:
    numbers = [int(name[1:]) for name in keyring.signers if name[:1] == "k" and name[1:].isdigit()]
    name = f"k{max(numbers, default=0) + 1:03}"
    return replace(keyring, keys={**keyring.keys, name: secrets.token_bytes(KEY_BYTES)}, wrapping=name)


def _stripped(keyring: Keyring, gone: Sequence[str]) -> Keyring:
    seeds = {name: {purpose: derived(keyring, name, purpose) for purpose in SIGNING} for name in gone}
    left = {name: key for name, key in keyring.keys.items() if name not in gone}
    return replace(keyring, keys=left, seeds={**keyring.seeds, **seeds}, wrapping=keyring.wraps)


def _change(path: Path, change: Callable[[Keyring], Keyring]) -> Keyring:
    """One at a time; who reads sees the keyring from before or the one from after."""
    with open(os.open(path.with_name(f".{path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        changed = change(read(f"file:{path}", {}))
        _beside(path, changed).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    return changed


def _beside(path: Path, keyring: Keyring) -> Path:
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(keyring), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return beside


def derived(keyring: Keyring, key_id: str, purpose: str) -> bytes:
    """32 bytes for one purpose only (HKDF-SHA-256, RFC 5869): no key is ever used for two."""
    if key_id not in keyring.keys:
        return keyring.seeds[key_id][purpose]
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(keyring.keys[key_id])


def sealing(
    keyring: Keyring,
    service: Keeper | None = None,
    *,
    others: Callable[[str], Keeper] | None = None,
    reread: Callable[[], Keyring] | None = None,
    grace: timedelta = REMEMBERED,
) -> Sealing:
    """What data keys are wrapped and unwrapped with, for a process to keep.

    Args:
        service: Who keeps the master key, if it is not the keyring.
        others: Opens the service that keeps a master key of another kind; None: there is none.
        reread: The keyring again, from where it came; None: it cannot change.
        grace: How long data keys are used while the service does not answer.
    """

    def again() -> tuple[Mapping[str, bytes], str]:
        assert reread is not None, "asked below"
        return _masters(reread())

    masters, current = _masters(keyring)
    mark = hmac.digest(keyring.pepper, b"cp.keyring-mark.v1", "sha256")
    return Sealing(Ring(masters, current, again if reread else None), mark, service, others=others, grace=grace)


def _masters(keyring: Keyring) -> tuple[Mapping[str, bytes], str]:
    return {key_id: derived(keyring, key_id, WRAPPING) for key_id in keyring.keys}, keyring.wraps


def cursor_key(keyring: Keyring) -> bytes:
    """What page cursors are authenticated with."""
    return derived(keyring, keyring.current, "cp.cursor.v1")


def log_key(keyring: Keyring) -> bytes:
    """What lines of logs are sealed with on their way from one replica to another. Every replica has it."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"cp.log-passing.v1").derive(keyring.pepper)


def signing_keys(keyring: Keyring) -> dict[str, Ed25519PrivateKey]:
    """What runtimes' access tokens are signed with, by key id; ``keyring.current`` signs, the others still verify."""
    return {
        key_id: Ed25519PrivateKey.from_private_bytes(derived(keyring, key_id, "cp.runtime-token.v1"))
        for key_id in keyring.signers
    }


def checkpoint_keys(keyring: Keyring) -> dict[str, Ed25519PrivateKey]:
    """What checkpoints of audit logs are signed with, by key id; as with :func:`signing_keys`."""
    return {
        key_id: Ed25519PrivateKey.from_private_bytes(derived(keyring, key_id, "cp.audit-checkpoint.v1"))
        for key_id in keyring.signers
    }


def certificate_keys(keyring: Keyring) -> dict[str, Ed25519PrivateKey]:
    """What certificates of purges are signed with, by key id; ``keyring.current`` signs, the others still verify."""
    return {
        key_id: Ed25519PrivateKey.from_private_bytes(derived(keyring, key_id, "cp.certificate.v1"))
        for key_id in keyring.signers
    }


def lease_keys(keyring: Keyring) -> dict[str, Ed25519PrivateKey]:
    """What leases are signed with, by key id; ``keyring.current`` signs, the others vouch for it."""
    return {
        key_id: Ed25519PrivateKey.from_private_bytes(derived(keyring, key_id, "cp.lease.v1"))
        for key_id in keyring.signers
    }


def print_key(keyring: Keyring, tenant_id: UUID) -> bytes:
    """What a tenant's secrets are recognized by (HMAC). It is not in the database, and is never another."""
    info = f"cp.print.v1|{tenant_id}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(keyring.pepper)


def jwks(keyring: Keyring) -> dict[str, list[dict[str, str]]]:
    """The public halves as a JSON Web Key Set (RFC 7517, RFC 8037): of tokens under the key's id, of certificates
    under ``certificate:`` and the key's id."""
    certificates = {f"certificate:{key_id}": key for key_id, key in certificate_keys(keyring).items()}
    return {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "Ed25519",
                "use": "sig",
                "kid": key_id,
                "x": base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode(),
            }
            for key_id, key in {**signing_keys(keyring), **certificates}.items()
        ]
    }


def _private(path: Path) -> bytes:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise UnusableKeyring(f"{path} has mode {mode:04o}: run chmod 600 {path}")
    return path.read_bytes()
