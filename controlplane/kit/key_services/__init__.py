"""Services that keep a master key and never hand it out: AWS KMS, Google Cloud KMS, and Vault's transit engine."""

from collections.abc import Callable, Mapping

from controlplane.kit.key_services.calls import KeyServiceUnusable
from controlplane.kit.sealing import Keeper

__all__ = ["KeyServiceUnusable", "named"]


def named(place: str, environ: Mapping[str, str]) -> Keeper:
    """The service at *place*: its kind, a colon, and what it calls the key.

    Raises:
        KeyServiceUnusable: If it cannot be called like that.
    """
    from controlplane.kit.key_services import aws, gcp, transit  # noqa: PLC0415 one of them, where there is one at all

    kind, _, key = place.partition(":")
    made: Mapping[str, Callable[[str, Mapping[str, str]], Keeper]] = {
        "awskms": aws.opened,
        "gcpkms": gcp.opened,
        "vault": transit.opened,
    }
    if kind not in made:
        raise KeyServiceUnusable(f"there is no key service {kind!r}")
    return made[kind](key, environ)
