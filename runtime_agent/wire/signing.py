"""Requests that a runtime signs with its own key: HTTP Message Signatures (RFC 9421), of which one form is spoken.

Covered are method, path and the digest of the body (RFC 9530); the parameters say when, by whom, and a nonce that
counts once. ``sig1=("@method" "@path" "content-digest");created=…;nonce="…";keyid="rt_…";alg="ed25519"``.
"""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Final

from msgspec import Struct

INPUT: Final = "Signature-Input"
SIGNATURE: Final = "Signature"
DIGEST: Final = "Content-Digest"

NONCE_BYTES: Final = 16

LEEWAY_S: Final = 120
"""How far ``created`` may be from the clock that looks at it."""

_FORM: Final = re.compile(
    r'sig1=(\("@method" "@path" "content-digest"\);created=([0-9]{1,12});nonce="([0-9a-f]{32})"'
    r';keyid="(rt_[0-9a-z]{26})";alg="ed25519")'
)


class Signed(Struct, frozen=True, kw_only=True):
    """What the parameters say."""

    created: int
    """Seconds since 1970."""
    nonce: str
    """16 bytes in hexadecimal."""
    keyid: str
    """The runtime, ``rt_…``."""

    def parameters(self) -> str:
        covered = '("@method" "@path" "content-digest")'
        return f'{covered};created={self.created};nonce="{self.nonce}";keyid="{self.keyid}";alg="ed25519"'

    def base(self, method: str, path: str, content_digest: str) -> bytes:
        """What is signed (RFC 9421 section 2.5)."""
        return (
            f'"@method": {method}\n"@path": {path}\n"content-digest": {content_digest}\n'
            f'"@signature-params": {self.parameters()}'
        ).encode()


def digest(body: bytes) -> str:
    """The ``Content-Digest`` of *body*."""
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def headers(signed: Signed, content_digest: str, signature: bytes) -> dict[str, str]:
    """What goes along with a signed request."""
    return {
        DIGEST: content_digest,
        INPUT: f"sig1={signed.parameters()}",
        SIGNATURE: f"sig1=:{b64encode(signature).decode()}:",
    }


def read(signature_input: str) -> Signed | None:
    """What stands in the header; None where it is not of the form that is spoken here."""
    found = _FORM.fullmatch(signature_input)
    return Signed(created=int(found[2]), nonce=found[3], keyid=found[4]) if found else None
