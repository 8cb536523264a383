"""Opening leases: only what the control plane signed, for this request, this runtime and this moment."""

from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from runtime_agent.identity import Identity, decoded
from runtime_agent.problems import Refusal
from runtime_agent.wire.leases import Contents, Lease, LeaseKeys, kid_of, vouching

SUITE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
"""Suite 1, the one that this agent has a key for."""

SKEW: Final = timedelta(minutes=2)


class LeaseForged(Refusal):
    """What came back is not what the control plane hands out: somebody on the way may be at it."""

    code = "lease-forged"
    hint = "Look who ends TLS between here and the control plane. Nothing of it was used."


class Held(Struct, frozen=True, kw_only=True):
    """A lease that was opened. Its contents stand nowhere else, and on no disk."""

    lease: Lease
    contents: Contents
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Held({self.lease.bound.lease})"


def opened(identity: Identity, lease: Lease, nonce: str, now: datetime) -> Held:
    """
    Args:
        nonce: Of the request that it answers.
        now: By the server's clock.

    Raises:
        LeaseForged: If it is not signed by a key that this runtime trusts, or is not an answer to this request.
    """
    bound, public_key = lease.bound, identity.lease_keys.get(lease.key)
    if public_key is None:
        raise LeaseForged(f"it is signed by a key that was never heard of: {lease.key}")
    sealed = decoded(lease.sealed)
    try:
        key = Ed25519PublicKey.from_public_bytes(decoded(public_key))
        key.verify(decoded(lease.signature), bound.signed(sealed))
    except (InvalidSignature, ValueError):
        raise LeaseForged("its signature is wrong") from None
    kid = kid_of(1, decoded(identity.public_sealing_key()))
    if (bound.runtime, bound.tenant, bound.kid, bound.suite) != (identity.runtime, identity.tenant, kid, 1):
        raise LeaseForged("it was made for another runtime, or for another key")
    if bound.nonce != nonce:
        raise LeaseForged("it answers another request")
    ends = datetime.fromisoformat(bound.expires_at)
    if ends + SKEW <= now or datetime.fromisoformat(bound.issued_at) - SKEW > now:
        raise LeaseForged("it is of another time")
    try:
        plain = SUITE.decrypt(sealed, identity.sealing(), bound.info())
    except InvalidTag:
        raise LeaseForged("it does not open with this runtime's key") from None
    return Held(lease=lease, contents=msgspec.json.decode(plain, type=Contents), expires_at=ends)


def trusted(pinned: dict[str, str], told: LeaseKeys) -> dict[str, str]:
    """*pinned*, with every key that one of them vouches for. Where none is pinned yet, the first that are told count."""
    if not pinned:
        return {each.key: each.public_key for each in told.keys}
    found = dict(pinned)
    for each in told.keys:
        if each.key not in found and any(
            _vouches(pinned.get(by), each.public_key, said) for by, said in each.vouched.items()
        ):
            found[each.key] = each.public_key
    return found


def _vouches(public_key: str | None, other: str, signature: str) -> bool:
    if public_key is None:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(decoded(public_key))
        key.verify(decoded(signature), vouching(decoded(other)))
    except (InvalidSignature, ValueError):
        return False
    return True
