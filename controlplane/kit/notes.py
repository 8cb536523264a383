"""Signed notes and checkpoints as C2SP describes them (signed-note, tlog-checkpoint), with Ed25519 keys.

A note is text, an empty line, and lines ``— <name> <base64 of 4 bytes key hash and the signature>``. A checkpoint is a
note whose text is the log's origin, its size and its root. The key's name is the log's origin: a checkpoint of one log
is not one of another.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

ED25519: Final = b"\x01"
ROOT_BYTES: Final = 32

_NOTE = re.compile(r"(?:(?!— ).*\n)+?\n(?:— [^\s+]+ [A-Za-z0-9+/=]+\n)+")
_SIGNATURE = re.compile(r"^— ([^\s+]+) ([A-Za-z0-9+/=]+)$", re.MULTILINE)
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


class NoteRefused(Exception):
    """No note, or none that one of the given keys has signed."""


class Checkpoint(Struct, frozen=True):
    origin: str
    """Which log this is about."""
    size: int
    """Events it covers, from the first on."""
    root: bytes
    """Over them, RFC 6962."""

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class PublicKey(Struct, frozen=True):
    """Who may sign: a name and a key. As text ``<name>+<key hash>+<base64>``."""

    name: str
    raw: bytes

    def __str__(self) -> str:
        return f"{self.name}+{key_hash(self).hex()}+{base64.b64encode(ED25519 + self.raw).decode()}"


def parse_key(text: str) -> PublicKey:
    """
    Raises:
        NoteRefused: If *text* is no Ed25519 key in this form.
    """
    name, _, rest = text.strip().partition("+")
    hashed, _, encoded = rest.partition("+")
    raw = _decoded(encoded)
    if not name or raw[:1] != ED25519 or len(raw) != 1 + ROOT_BYTES:
        raise NoteRefused("no public key of the form name+hash+base64")
    key = PublicKey(name, raw[1:])
    if key_hash(key).hex() != hashed:
        raise NoteRefused("the public key does not match its own hash: it was not copied whole")
    return key


def key_hash(key: PublicKey) -> bytes:
    """Four bytes by which a signature says which key it is for."""
    return hashlib.sha256(key.name.encode() + b"\n" + ED25519 + key.raw).digest()[:4]


def sign(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """The note that says *text*, which ends with a newline, signed by *key* under *name*."""
    public = PublicKey(name, key.public_key().public_bytes_raw())
    signature = base64.b64encode(key_hash(public) + key.sign(text.encode())).decode()
    return f"{text}\n— {name} {signature}\n"


def opened(note: str, keys: Mapping[bytes, PublicKey]) -> str:
    """The text of *note*, once a known key has signed it.

    Args:
        keys: By :func:`key_hash`.

    Raises:
        NoteRefused: If none has, or one of them is said to have and has not.
    """
    text, separator, signatures = note.rpartition("\n\n")
    text += "\n"
    signed = False
    for name, encoded in _SIGNATURE.findall(signatures) if separator else ():
        raw = _decoded(encoded)
        key = keys.get(raw[:4])
        if key is None or key.name != name:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.raw).verify(raw[4:], text.encode())
        except InvalidSignature:
            raise NoteRefused("the signature is not of this text") from None
        signed = True
    if not signed:
        raise NoteRefused("not signed with a key that is known here")
    return text


def checkpoint(note: str, keys: Mapping[bytes, PublicKey]) -> Checkpoint:
    """The checkpoint in *note*.

    Raises:
        NoteRefused: If it is not signed with one of *keys* whose name is the log's origin, or is no checkpoint.
    """
    lines = opened(note, keys).splitlines()
    if len(lines) < 3 or not _SIZE.fullmatch(lines[1]):
        raise NoteRefused("signed, but no checkpoint")
    origin, size, root = lines[0], int(lines[1]), _decoded(lines[2])
    if len(root) != ROOT_BYTES or all(key.name != origin for key in keys.values()):
        raise NoteRefused("signed, but no checkpoint of this log")
    return Checkpoint(origin, size, root)


def every_note(text: str) -> list[str]:
    """The notes in a file that holds one or several, one after the other.

    Raises:
        NoteRefused: If there is anything else in it.
    """
    found = _NOTE.findall(text)
    if not found or "".join(found) != text:
        raise NoteRefused("not a file of signed notes")
    return [str(note) for note in found]


def _decoded(encoded: str) -> bytes:
    """Empty where *encoded* is not the one base64 text of its bytes (RFC 4648, section 3.5)."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.b64encode(raw).decode() == encoded else b""
