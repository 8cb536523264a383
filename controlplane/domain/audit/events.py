"""What an audit event is, and what its hash has to be. Format: ``docs/reference/audit-log.md``."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from controlplane.kit.canonical import canonical, uncheckedly

SCHEMA: Final = 1
"""Of the hashed fields; a further one is a new number, and old events keep theirs."""

SCHEMA_IMPERSONATED: Final = 2
"""Of an event whose actor has an impersonator; all others are as they were."""

DOMAIN: Final = b"cp.audit.v1"
START: Final = bytes(32)
"""What the first event of a chain has for a predecessor."""

PRUNED: Final = "audit.pruned"
"""The event that says where a chain begins whose oldest events were deleted on purpose."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Target: TypeAlias = tuple[str, str]
"""Kind and id as shown: ``("api-key", "key_…")``."""


class Personal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request tells of the person behind it. Sealed in the chain, and unreadable once its key is destroyed."""

    address: str = ""
    """Where it came from, as far as the server could see."""
    client: str = ""
    """What the browser or program calls itself."""
    name: str = ""
    email: str = ""


class Actor(Struct, frozen=True, kw_only=True):
    """Who acts, in which request."""

    kind: Literal[
        "account",
        "operator",
        "api-key",
        "operator-key",
        "runtime",
        "join-token",
        "scim-token",
        "shell",
        "chore",
        "nobody",
    ]
    id: str
    """As shown, ``acc_…``; for ``shell`` the account on that machine, for ``nobody`` empty."""
    impersonator: str | None = None
    """Who really acts, ``acc_…``, where somebody works as whom :attr:`id` names."""
    request_id: str = ""
    personal: Personal | None = None
    """Of the impersonator, where there is one: nobody else is behind the request."""


class Event(Struct, frozen=True, kw_only=True):
    """One act as it stands in its chain."""

    seq: int
    id: UUID
    occurred_us: int
    """Microseconds since 1970: exactly what is hashed."""
    action: str
    """``noun.verb``: ``api-key.created``."""
    outcome: str
    actor_kind: str
    actor_id: str
    impersonator: str | None = None
    target_kind: str
    target_id: str
    facts: dict[str, Any]
    request_id: str
    sealed: bytes | None
    """The :class:`Personal` of its actor, in an envelope. What is hashed is the envelope."""
    prev_hash: bytes
    hash: bytes

    @property
    def occurred_at(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.occurred_us)


class Head(Struct, frozen=True):
    seq: int
    hash: bytes


def chain_name(chain: UUID | None) -> str:
    """What a chain is called where it is hashed: the tenant's UUID, or ``platform`` for None."""
    return "platform" if chain is None else str(chain)


def around_seq(chain: UUID | None, event: Event) -> tuple[bytes, bytes]:
    """The hashed content of *event* before and after its number, which is known only behind the lock."""
    head = canonical({**_content(chain_name(chain), event), "seq": 0})
    before, _, after = head.rpartition(b'"seq":0,')
    return before + b'"seq":', b"," + after


def link(chain: UUID | None, event: Event) -> bytes:
    """What the hash of *event* has to be: it covers the event, its place, its chain and the event before it.

    Args:
        chain: The tenant; None for the platform's own chain.
    """
    return linked(event.prev_hash, uncheckedly(_content(chain_name(chain), event)))


def linked(prev_hash: bytes, content: bytes) -> bytes:
    """``SHA-256("cp.audit.v1" | len | prev_hash | len | content)``, lengths as eight bytes."""
    return hashlib.sha256(DOMAIN + _sized(prev_hash) + _sized(content)).digest()


def schema_of(impersonator: str | None) -> int:
    """Which fields the hash of such an event covers."""
    return SCHEMA if impersonator is None else SCHEMA_IMPERSONATED


def _content(chain: str, event: Event) -> dict[str, Any]:
    return {
        "schema": schema_of(event.impersonator),
        "chain": chain,
        "seq": event.seq,
        "id": str(event.id),
        "occurred_us": event.occurred_us,
        "action": event.action,
        "outcome": event.outcome,
        "actor": {
            "kind": event.actor_kind,
            "id": event.actor_id,
            **({} if event.impersonator is None else {"impersonator": event.impersonator}),
        },
        "target": {"kind": event.target_kind, "id": event.target_id},
        "facts": event.facts,
        "request_id": event.request_id,
        **({} if event.sealed is None else {"sealed": base64.b64encode(event.sealed).decode()}),
    }


def line(chain: UUID | None, event: Event) -> bytes:
    """*event* as one line of an export: its hashed content with both hashes, canonical (RFC 8785)."""
    content = _content(chain_name(chain), event)
    return uncheckedly({**content, "prev_hash": event.prev_hash.hex(), "hash": event.hash.hex()})


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part
