"""Names for things: time-ordered UUIDs inside, ``rt_01k3…`` at the doors (RFC 9562 section 5.7)."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
ProjectId = NewType("ProjectId", UUID)
AccountId = NewType("AccountId", UUID)
UserId = NewType("UserId", UUID)
GroupId = NewType("GroupId", UUID)
RoleId = NewType("RoleId", UUID)
ServiceAccountId = NewType("ServiceAccountId", UUID)
KeyId = NewType("KeyId", UUID)
ScimTokenId = NewType("ScimTokenId", UUID)
DomainId = NewType("DomainId", UUID)
SsoId = NewType("SsoId", UUID)
InvitationId = NewType("InvitationId", UUID)
JoinTokenId = NewType("JoinTokenId", UUID)
PasskeyId = NewType("PasskeyId", UUID)
RuntimeId = NewType("RuntimeId", UUID)
AgentId = NewType("AgentId", UUID)
SessionId = NewType("SessionId", UUID)
RunId = NewType("RunId", UUID)
CheckpointId = NewType("CheckpointId", UUID)
CommandId = NewType("CommandId", UUID)
ConfigId = NewType("ConfigId", UUID)
BudgetId = NewType("BudgetId", UUID)
EventId = NewType("EventId", UUID)
WebhookId = NewType("WebhookId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
ExportId = NewType("ExportId", UUID)
ImpersonationId = NewType("ImpersonationId", UUID)
DisclosureId = NewType("DisclosureId", UUID)
ConnectionId = NewType("ConnectionId", UUID)
OAuthAppId = NewType("OAuthAppId", UUID)
LeaseId = NewType("LeaseId", UUID)
PolicyId = NewType("PolicyId", UUID)
ConnectSessionId = NewType("ConnectSessionId", UUID)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_CHARACTERS = 26
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_id(born: datetime) -> UUID:
    """A UUID version 7: 48 bits of *born* in milliseconds, the rest random."""
    return _version_7(milliseconds(born), secrets.randbits(80))


class Derivation:
    """Makes the same UUID whenever it is asked for the same thing: sending it twice cannot make it two.

    The noise is the first 80 bits of SHA-256 over the parts, as text, joined by U+001F; test vectors are in
    ``docs/reference/derived-ids.md``.
    """

    def __init__(self, *shared: object) -> None:
        """
        Args:
            shared: The first parts of everything derived here, the tenant included.
        """
        self._begun = hashlib.sha256("".join(f"{part}\x1f" for part in shared).encode())

    def id_of(self, born_ms: int, kind: str, key: str) -> UUID:
        """
        Args:
            born_ms: Milliseconds since 1970 of an instant that can never be corrected later; ids sort by it.
            kind, key: The last parts: what kind of thing, and what its source calls it.
        """
        hashing = self._begun.copy()
        hashing.update(f"{kind}\x1f{key}".encode())
        return _version_7(born_ms, int.from_bytes(hashing.digest()[:10], "big"))


def first_id(instant: datetime) -> UUID:
    """The smallest id that something born at *instant* could have: a bound for ranges of ids."""
    return UUID(int=milliseconds(instant) << 80)


def born_at(identity: UUID) -> datetime:
    """The instant in the first 48 bits of *identity*, to the millisecond."""
    return _EPOCH + born_ms(identity) * _MILLISECOND


def born_ms(identity: UUID) -> int:
    """The first 48 bits of *identity*: milliseconds since 1970."""
    return identity.int >> 80


def milliseconds(instant: datetime) -> int:
    """Since 1970."""
    return (instant - _EPOCH) // _MILLISECOND


def text_id(kind: str, identity: UUID) -> str:
    """``rt_01k3…``: the kind and 26 characters that sort like the UUID."""
    n, pairs = identity.int, _PAIRS
    # written out: a page has hundreds of ids, and a loop takes twice as long
    return (
        f"{kind}_{pairs[n >> 120]}{pairs[n >> 110 & 1023]}{pairs[n >> 100 & 1023]}{pairs[n >> 90 & 1023]}"
        f"{pairs[n >> 80 & 1023]}{pairs[n >> 70 & 1023]}{pairs[n >> 60 & 1023]}{pairs[n >> 50 & 1023]}"
        f"{pairs[n >> 40 & 1023]}{pairs[n >> 30 & 1023]}{pairs[n >> 20 & 1023]}{pairs[n >> 10 & 1023]}{pairs[n & 1023]}"
    )


def parse_id(kind: str, text: str) -> UUID | None:
    """The UUID in *text*, or None where it is not a well-formed id of *kind*."""
    prefix, _, rest = text.rpartition("_")
    if prefix != kind or len(rest) != _CHARACTERS:
        return None
    number = 0
    for character in rest:
        value = _VALUES.get(character)
        if value is None:
            return None
        number = number << 5 | value
    return UUID(int=number) if number >> 128 == 0 else None


_NOISE = ~(0xF << 76 | 0x3 << 62) & (1 << 80) - 1
_MARKS = 0x7 << 76 | 0x2 << 62  # version and variant


def _version_7(ms: int, noise: int) -> UUID:
    return UUID(int=ms << 80 | noise & _NOISE | _MARKS)
