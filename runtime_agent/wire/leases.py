"""Leases: short-lived credentials, sealed to the runtime that asked and signed by the control plane.

``POST /v1/runtime/leases`` and ``…/leases/{lease}/renew`` are signed requests (:mod:`runtime_agent.wire.signing`).
Suites are of HPKE (RFC 9180), base mode, single shot: 1 is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; 2 the
same with the hybrid MLKEM768-X25519. Everything that a lease is bound to stands in HPKE's ``info``.
"""

from hashlib import sha256
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from runtime_agent.wire.types import Instant

Suite: TypeAlias = Literal[1, 2]

LABEL: Final = b"engine-cloud/lease/1\n"
SIGNED_LABEL: Final = b"engine-cloud/lease-signature/1\n"
KEY_LABEL: Final = b"engine-cloud/lease-key/1\n"
SEALING_LABEL: Final = b"engine-cloud/sealing-key/1\n"

Word: TypeAlias = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
PublicKey: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{43,2000}$")]

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class Selector(Struct, frozen=True, kw_only=True):
    """Which connection, where its id is not known. What is left out is not asked for; exactly one may fit."""

    name: Word | None = None
    provider: Word | None = None
    owner_ref: Word | None = None
    labels: Annotated[dict[Word, Word], Meta(max_length=20)] = {}


class LeaseRequest(Struct, frozen=True, kw_only=True):
    connection: Annotated[str, Meta(max_length=40)] | None = None
    """``con_…``; or:"""
    select: Selector | None = None
    agent: Word = ""
    """For which agent of the runtime; policies may depend on it."""
    run: Word = ""
    tool: Word = ""
    purpose: Word = ""
    """Why, in a word that policies may ask for."""
    min_ttl_s: Annotated[int, Meta(ge=0, le=86_400)] = 30
    """A lease that would end sooner is of no use."""
    dry_run: bool = False
    """Decide, and say so, without handing anything out. Audited like the real thing."""


class RenewRequest(Struct, frozen=True, kw_only=True):
    min_ttl_s: Annotated[int, Meta(ge=0, le=86_400)] = 30


class Bound(Struct, frozen=True, kw_only=True):
    """What a lease is bound to. Both sides write it down by themselves: another word, and it does not open."""

    tenant: str
    """Its slug, as the runtime knows it."""
    runtime: str
    kid: str
    """Of the runtime's sealing key."""
    suite: Suite
    connection: str
    account: str | None
    """Which account it is at the provider, so that nobody can put another in its place."""
    lease: str
    cred_version: int
    issued_at: str
    expires_at: str
    nonce: str
    """Of the request: whoever did not ask has no use for the answer."""

    def info(self) -> bytes:
        """For HPKE."""
        return LABEL + _ENCODER.encode(self)

    def signed(self, sealed: bytes) -> bytes:
        """What the control plane signs. HPKE's base mode does not say who sealed."""
        return SIGNED_LABEL + sha256(self.info()).digest() + sha256(sealed).digest()


class Lease(Struct, frozen=True, kw_only=True):
    bound: Bound
    name: str
    """What people call the connection."""
    provider: str
    renew_after: Instant
    superseded: bool = False
    """On renewal: the credential is another than before; what was leased before may have ended at the provider."""
    key: str
    """Which of the control plane's keys signed."""
    sealed: str
    """:class:`Contents`; base64url."""
    signature: str
    """Ed25519; base64url."""


class Contents(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is sealed."""

    access_token: str = ""
    token_type: str = "Bearer"  # noqa: S105
    fields: dict[str, str] = {}
    """Of what somebody has typed in, by the catalogue's names."""
    scopes: list[str] = []
    api_base: str = ""
    hosts: list[str] = []
    """The only ones that it should be sent to; empty: the catalogue does not say."""
    inject: dict[str, str] = {}
    """Headers of a request, ready to be sent."""


class Decided(Struct, frozen=True, kw_only=True):
    """Of a dry run."""

    allowed: bool
    rule: str
    """``pol_…``, or why none was asked."""
    connection: str
    expires_at: Instant | None = None
    """When a lease of now would end; None: it would begin with another token, which is not got for a dry run."""
    cred_version: int = 0


class Usable(Struct, frozen=True, kw_only=True):
    """A connection that the runtime may know of."""

    connection: str
    name: str
    provider: str
    account: str
    state: str
    modes: list[str]
    """``metadata``, ``proxy``, ``lease``: by the policies that do not depend on agent and purpose."""
    expires_at: Instant | None = None
    cred_version: int


class Usables(Struct, frozen=True, kw_only=True):
    connections: list[Usable]


class Notice(Struct, frozen=True, kw_only=True):
    """About a lease that the runtime still holds; said with every heartbeat until it ends."""

    lease: str
    state: str
    """``revoked``: stop using it. ``superseded``: renew it now."""
    dies_at: Instant | None = None
    """When the token of a superseded one dies at its provider; None: it lives on until it expires."""


class Revoked(Struct, frozen=True, kw_only=True):
    """``POST …/leases/{lease}/return``: it has ended."""

    lease: str


class SealingKey(Struct, frozen=True, kw_only=True):
    """``PUT /v1/runtime/sealing-key``, a signed request: from now on seal to this key."""

    suite: Suite
    public_key: PublicKey


class Pinned(Struct, frozen=True, kw_only=True):
    kid: str
    suite: Suite


class LeaseKey(Struct, frozen=True, kw_only=True):
    """One key that the control plane signs leases with, and what its other keys say to that."""

    key: str
    public_key: str
    vouched: dict[str, str] = {}
    """By the id of another key: its signature over this one, base64url. Who has pinned that one can trust this one."""


class LeaseKeys(Struct, frozen=True, kw_only=True):
    keys: list[LeaseKey]


def kid_of(suite: int, public_key: bytes) -> str:
    """What a sealing key is called: 16 hexadecimal digits of its hash."""
    return sha256(SEALING_LABEL + bytes([suite]) + public_key).hexdigest()[:16]


def vouching(public_key: bytes) -> bytes:
    """What one key of the control plane signs to vouch for another."""
    return KEY_LABEL + public_key
