"""Envelope v1: bytes that only one key opens, and only in the place they were sealed for.

``01 | suite 01 | key id 16 | salt 32 | commitment 32 | ciphertext | tag 16``. Every record has a key of its own,
derived from a data key and a fresh salt (HKDF-SHA-512, RFC 5869), so that AES-256-GCM's nonce may be zero. The
commitment binds key and place before anything is decrypted. Test vectors: ``docs/reference/envelope.md``.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FORMAT: Final = b"\x01"
SUITE: Final = b"\x01"
KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
STEP: Final = 256
"""Plaintext is padded to a multiple of this: the length of a secret says whose it is."""

_LABEL = b"ecv1"
_FORM = FORMAT + SUITE
_INFO = _LABEL + SUITE
_SHA512 = SHA512()
_BEFORE_KEY = b"\0\0\0\1" + FORMAT + b"\0\0\0\1" + SUITE + b"\0\0\0\x10"
"""What every envelope is bound to first: format and suite, each behind its length, and the length of the key's id."""

_NONCE = bytes(12)
_TAG_BYTES = 16
_ID_END = 2 + 16
_SALT_END = _ID_END + SALT_BYTES
_HEAD_END = _SALT_END + KEY_BYTES


class NotOpened(Exception):
    """These bytes are not what was sealed, or not with this key, or not for this place."""


def seal(
    key_id: UUID, key: bytes, place: Sequence[str], plaintext: bytes, *, step: int = STEP, salt: bytes | None = None
) -> bytes:
    """
    Args:
        key_id: Which key this is; stands readable in the envelope.
        key: 32 bytes.
        place: What the envelope is bound to: tenant, table, row, purpose. Not in the envelope; both sides know it.
        step: What the plaintext is padded to a multiple of, in bytes.
        salt: 32 bytes; for test vectors only. Never the same twice.
    """
    salt = salt or secrets.token_bytes(SALT_BYTES)
    bound = _bound(key_id.bytes, place)
    own, commitment = _derive(key, salt, bound)
    head = FORMAT + SUITE + key_id.bytes + salt + commitment
    return head + AESGCM(own).encrypt(_NONCE, _padded(plaintext, step), bound)


def unseal(key: bytes, place: Sequence[str], sealed: bytes) -> bytes:
    """
    Raises:
        NotOpened: If a single bit is not as it was sealed.
    """
    _check_form(sealed)
    bound = _bound(sealed[2:_ID_END], place)
    own, commitment = _derive(key, sealed[_ID_END:_SALT_END], bound)
    if not hmac.compare_digest(commitment, sealed[_SALT_END:_HEAD_END]):
        raise NotOpened("sealed with another key or for another place")
    try:
        padded = AESGCM(own).decrypt(_NONCE, sealed[_HEAD_END:], bound)
    except InvalidTag:
        raise NotOpened("changed since it was sealed") from None
    return _unpadded(padded)


def key_id_of(sealed: bytes) -> UUID:
    """Which key opens it.

    Raises:
        NotOpened: If this is no envelope, or one of a format or suite that is not known here.
    """
    _check_form(sealed)
    return UUID(bytes=sealed[2:_ID_END])


def _check_form(sealed: bytes) -> None:
    if len(sealed) < _HEAD_END + _TAG_BYTES or not sealed.startswith(_FORM):
        raise NotOpened("no envelope of a known format")


def _bound(key_id: bytes, place: Sequence[str]) -> bytes:
    """Format, suite, the key's id and the parts of *place*, each behind its length."""
    fields = [part.encode() for part in place]
    return b"".join([_BEFORE_KEY, key_id, *[len(field).to_bytes(4, "big") + field for field in fields]])


def _derive(key: bytes, salt: bytes, bound: bytes) -> tuple[bytes, bytes]:
    """The record's own key, and the commitment to it."""
    info = _INFO + hashlib.sha256(bound).digest()
    material = HKDF(algorithm=_SHA512, length=2 * KEY_BYTES, salt=salt, info=info).derive(key)
    return material[:KEY_BYTES], material[KEY_BYTES:]


def _padded(plaintext: bytes, step: int) -> bytes:
    """ISO/IEC 7816-4: one byte 80, then zeros. What is opened tells the step by itself."""
    return plaintext + b"\x80" + bytes(-(len(plaintext) + 1) % step)


def _unpadded(padded: bytes) -> bytes:
    end = padded.rfind(b"\x80")
    if end < 0 or padded.count(b"\x00", end + 1) != len(padded) - end - 1:
        raise NotOpened("not padded as this format is")
    return padded[:end]
