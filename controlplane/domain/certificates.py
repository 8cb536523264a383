"""Certificates: signed proof that a tenant was purged, which anybody with the public key can check without us."""

import base64
import binascii
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.kit.canonical import canonical
from controlplane.kit.problems import Refusal

FORMAT: Final = "engine-cloud-purge-certificate"
VERSION: Final = 2

DOMAIN: Final = b"cp.purge-certificate.v1\0"
"""Before what is signed, so that no signature of ours is ever good for anything else."""


class Purged(Struct, frozen=True, kw_only=True):
    """What went from one table."""

    table: str
    rows: int
    sha256: str
    """Over the keys of the rows in their order: each step is SHA-256 of the one before and the next key."""


class Shredded(Struct, frozen=True, kw_only=True):
    """What became of the keys, and what that means for backups from before."""

    data_keys: int
    """That were destroyed: what was sealed with them opens nowhere any more, but from a backup that has them still."""
    backups: Literal["shared-master-key", "nothing-sealed"]
    """``shared-master-key``: the destroyed data keys were wrapped under master keys that others share, and that are
    therefore kept. A backup from before ``purged_at`` opens with them until it is deleted. ``nothing-sealed``: there
    were no data keys."""
    master_keys: list[str]
    """Under which of them that may have been."""


class Facts(Struct, frozen=True, kw_only=True):
    """What is certified. It names nobody: ids are opaque."""

    tenant: str
    slug_sha256: str
    """So that whoever knows the slug can see that it is theirs."""
    deleted_by: str
    due_at: str
    purged_at: str
    store: str
    """Which incarnation of the database it was purged from."""
    tables: list[Purged]
    accounts: int
    """Humans who belonged to no other tenant, and whose accounts went as well."""
    shredded: Shredded
    format: str = FORMAT
    version: int = VERSION


class Certificate(Struct, frozen=True, kw_only=True):
    """Facts, and our signature under them (Ed25519, base64url)."""

    facts: Facts
    key_id: str
    signature: str

    def encoded(self) -> bytes:
        """As it is kept in a file and handed out."""
        return msgspec.json.format(canonical(msgspec.to_builtins(self)), indent=2) + b"\n"


class CertificateInvalid(Refusal):
    """Nobody with our key has signed this, or not this."""

    code, status, title = "certificate-invalid", 400, "This is not a certificate that we have signed"
    hint = "Compare the file and the public key with what was handed out: /.well-known/jwks.json, certificate:…"


def sign(keyring: Keyring, facts: Facts) -> Certificate:
    signature = keys.certificate_keys(keyring)[keyring.current].sign(_signed(facts))
    return Certificate(facts=facts, key_id=keyring.current, signature=_text(signature))


def parse(content: bytes) -> Certificate:
    """
    Raises:
        CertificateInvalid: If it has not the form of one.
    """
    try:
        found = msgspec.json.decode(content, type=Certificate)
    except msgspec.MsgspecError as error:
        raise CertificateInvalid(str(error)) from None
    if (found.facts.format, found.facts.version) != (FORMAT, VERSION):
        raise CertificateInvalid(f"{found.facts.format} {found.facts.version} is not {FORMAT} {VERSION}")
    return found


def check(certificate: Certificate, public_key: bytes) -> None:
    """
    Args:
        public_key: 32 bytes.

    Raises:
        CertificateInvalid: If it is not signed with that key.
    """
    try:
        signature = base64.urlsafe_b64decode(certificate.signature + "==")
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _signed(certificate.facts))
    except (InvalidSignature, ValueError, binascii.Error):
        raise CertificateInvalid("the signature does not fit") from None


def check_ours(certificate: Certificate, keyring: Keyring) -> None:
    """
    Raises:
        CertificateInvalid: If none of our keys has signed it.
    """
    signer = keys.certificate_keys(keyring).get(certificate.key_id)
    if signer is None:
        raise CertificateInvalid(f"the keyring has no key {certificate.key_id!r}")
    check(certificate, signer.public_key().public_bytes_raw())


def public_key(keyring: Keyring) -> str:
    """What the current key's signatures are checked with: 32 bytes, base64url."""
    return _text(keys.certificate_keys(keyring)[keyring.current].public_key().public_bytes_raw())


def _signed(facts: Facts) -> bytes:
    return DOMAIN + canonical(msgspec.to_builtins(facts))


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
