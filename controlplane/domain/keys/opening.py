"""From what is configured to what seals: the keyring, and the key service that keeps the master key instead."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from controlplane.domain.keys.keyring import Keyring, read, sealing
from controlplane.kit import key_services
from controlplane.kit.sealing import REMEMBERED, Keeper, Sealing


def opened(
    kek: str, keyring: str, environ: Mapping[str, str], grace: timedelta = REMEMBERED
) -> tuple[Keyring, Sealing]:
    """
    Args:
        kek: ``file:PATH``, ``env:NAME``, ``awskms:ARN``, ``gcpkms:projects/…``, ``vault:MOUNT/KEY``.
        keyring: ``file:PATH`` or ``env:NAME``; the same as *kek* where that is one of the two.
        environ: Where key services' credentials are looked for, by the names their own tools use.
        grace: How long data keys that are unwrapped serve while the key service does not answer.

    Raises:
        UnusableKeyring: If the keyring cannot be read.
        KeyServiceUnusable: If the key service cannot be called like that.
    """
    found = read(keyring, environ)
    service = None if kek == keyring else key_services.named(kek, environ)
    reread = partial(read, keyring, environ) if keyring.startswith("file:") else None
    return found, sealing(found, service, others=partial(_other, environ), reread=reread, grace=grace)


def _other(environ: Mapping[str, str], master: str) -> Keeper:
    """Of a master key that wraps no more: what it is called says who keeps it."""
    return key_services.named(master, environ)
