"""The keys below everything: the keyring with the master keys, and the data keys that are kept wrapped under them."""

from controlplane.domain.keys.data import Context, Purpose, Shredded, seal, shred, unseal, unseal_all
from controlplane.domain.keys.keyring import (
    KEY_BYTES,
    Keyring,
    UnusableKeyring,
    certificate_keys,
    checkpoint_keys,
    cursor_key,
    derived,
    jwks,
    new,
    read,
    sealing,
    signing_keys,
    write,
)

__all__ = [
    "KEY_BYTES",
    "Context",
    "Keyring",
    "Purpose",
    "Shredded",
    "UnusableKeyring",
    "certificate_keys",
    "checkpoint_keys",
    "cursor_key",
    "derived",
    "jwks",
    "new",
    "read",
    "seal",
    "sealing",
    "shred",
    "signing_keys",
    "unseal",
    "unseal_all",
    "write",
]
