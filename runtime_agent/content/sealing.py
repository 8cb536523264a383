"""What a chunk is as it is sent: compressed, and where the tenant wants it sealed so that only the tenant opens it.

A content key is made here, once for each key of the tenant, and leaves only inside an HPKE envelope to that. Under one
content key the same chunk is always sealed to the same bytes, so that it is sent once; whoever lacks the key learns from
them that something repeats, and no more.
"""

import hmac
import os
from hashlib import sha256
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

from runtime_agent.wire.leases import kid_of

HPKE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
SUITE = 1
INFO = b"engine-cloud content key 1 "
LEVEL = 3
NONCE, KEY = 12, 32


class NotOpened(Exception):
    """Not sealed by this key, or not what was sealed."""


class Envelope(NamedTuple):
    """A content key, and how it may leave."""

    kid: str
    material: bytes
    sealed: bytes


class Form(Protocol):
    """How chunks leave."""

    @property
    def policy(self) -> str: ...

    def chunk(self, content: bytes) -> bytes: ...

    def digest(self, document: bytes) -> str:
        """Hexadecimal, by which the whole is known again."""
        ...


class Plain:
    """Compressed only."""

    policy = "plain"

    def chunk(self, content: bytes) -> bytes:
        return ZstdCompressor(level=LEVEL).compress(content)

    def digest(self, document: bytes) -> str:
        return sha256(document).hexdigest()


class Sealed:
    """Under a content key."""

    policy = "sealed"

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self._sealing, self._naming = AESGCM(envelope.material[:KEY]), envelope.material[KEY:]

    def chunk(self, content: bytes) -> bytes:
        """The nonce is a hash of what it seals: another content never gets the same one."""
        packed = ZstdCompressor(level=LEVEL).compress(content)
        nonce = hmac.digest(self._naming, b"chunk" + packed, "sha256")[:NONCE]
        return nonce + self._sealing.encrypt(nonce, packed, None)

    def digest(self, document: bytes) -> str:
        return hmac.digest(self._naming, b"document" + document, "sha256").hex()

    def opened(self, chunk: bytes, most: int) -> bytes:
        """
        Raises:
            NotOpened: If it was not sealed under this key, or has more than *most* bytes.
        """
        try:
            return unpacked(self._sealing.decrypt(chunk[:NONCE], chunk[NONCE:], None), most)
        except (InvalidTag, ValueError):
            raise NotOpened("a chunk is not what was sealed under this key") from None


def unpacked(packed: bytes, most: int) -> bytes:
    """
    Raises:
        NotOpened: If it is not zstd, or has more than *most* bytes.
    """
    try:
        content = (
            ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed, read_across_frames=False).read(most + 1)
        )
    except ZstdError:
        raise NotOpened("a chunk is not compressed as it should be") from None
    if len(content) > most:
        raise NotOpened("a chunk holds more than was said")
    return content


def fresh(public_key: bytes) -> Envelope:
    """A new content key in an envelope to the tenant's *public_key*.

    Raises:
        ValueError: If that is no X25519 key.
    """
    kid, material = kid_of(SUITE, public_key), os.urandom(2 * KEY)
    lock = X25519PublicKey.from_public_bytes(public_key)
    return Envelope(kid, material, HPKE.encrypt(material, lock, INFO + kid.encode()))


def envelope_of(private_key: bytes, sealed: bytes) -> Envelope:
    """The content key in *sealed*, opened with the tenant's private key.

    Raises:
        NotOpened: If it is sealed to another one.
    """
    key = X25519PrivateKey.from_private_bytes(private_key)
    kid = kid_of(SUITE, key.public_key().public_bytes_raw())
    try:
        return Envelope(kid, HPKE.decrypt(sealed, key, INFO + kid.encode()), sealed)
    except (InvalidTag, ValueError):
        raise NotOpened("it is sealed to another key") from None
