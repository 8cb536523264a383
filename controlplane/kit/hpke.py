"""Sealing to somebody's public key (HPKE, RFC 9180), single shot in base mode, with everything bound in ``info``."""

from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

X25519_BYTES: Final = 32
MLKEM768_BYTES: Final = 1184

SUITES: Final = MappingProxyType(
    {
        1: hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
        2: hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM),
    }
)
LENGTHS: Final = MappingProxyType({1: X25519_BYTES, 2: MLKEM768_BYTES + X25519_BYTES})
"""Of public keys, in bytes; a hybrid one is the key of ML-KEM-768 and behind it that of X25519."""


class Lock:
    """A public key that was read, to be sealed to many times."""

    def __init__(self, suite: int, public_key: bytes) -> None:
        """
        Raises:
            ValueError: If it is no key of that suite.
        """
        if len(public_key) != LENGTHS.get(suite):
            raise ValueError("not a key of this suite")
        self._suite = SUITES[suite]
        x25519 = X25519PublicKey.from_public_bytes(public_key[-X25519_BYTES:])
        self._key: X25519PublicKey | hpke.MLKEM768X25519PublicKey = x25519
        if suite == 2:
            mlkem = MLKEM768PublicKey.from_public_bytes(public_key[:MLKEM768_BYTES])
            self._key = hpke.MLKEM768X25519PublicKey(mlkem, x25519)

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Only the private key opens it, and only with the same *info*."""
        return self._suite.encrypt(plaintext, self._key, info)
