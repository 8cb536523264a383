"""The keys below everything: the keyring with the master keys, and the data keys that are kept wrapped under them."""

from controlplane.domain.keys.columns import SealedColumn
from controlplane.domain.keys.data import (
    HELD,
    Context,
    Purpose,
    Shredded,
    TenantSealed,
    seal,
    shred,
    unseal,
    unseal_all,
)
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
from controlplane.domain.keys.opening import opened

__all__ = [
    "HELD",
    "KEY_BYTES",
    "Context",
    "Keyring",
    "Purpose",
    "SealedColumn",
    "Shredded",
    "TenantSealed",
    "UnusableKeyring",
    "certificate_keys",
    "checkpoint_keys",
    "cursor_key",
    "derived",
    "jwks",
    "new",
    "opened",
    "read",
    "seal",
    "sealing",
    "shred",
    "signing_keys",
    "unseal",
    "unseal_all",
    "write",
]
