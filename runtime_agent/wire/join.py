"""Joining once with a token, and asking for access tokens with the runtime's own key ever after."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from runtime_agent.wire.config import Desired
from runtime_agent.wire.types import Name

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 section 2.2."""

AUDIENCE = "/v1/runtime"
"""Of access tokens, and of the assertions that ask for them."""


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the agent says of itself; shown, never trusted."""

    hostname: Annotated[str, Meta(max_length=253)] = ""
    agent_version: Annotated[str, Meta(max_length=50)] = ""
    python: Annotated[str, Meta(max_length=50)] = ""
    platform: Annotated[str, Meta(max_length=200)] = ""
    source: Annotated[str, Meta(max_length=50)] = ""
    """Kind of the source: ``engine``."""
    timezone: Annotated[str, Meta(max_length=100)] = ""


class Enroll(Struct, frozen=True, kw_only=True):
    """``POST /v1/runtime/enroll``."""

    join_token: Annotated[str, Meta(max_length=200)]
    public_key: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{43}$")]
    """Ed25519 (RFC 8032), for requests."""
    sealing_key: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{43}$")]
    """X25519 (RFC 7748), for what is sealed to this runtime."""
    proof: Annotated[str, Meta(max_length=2000)]
    """Compact JWS by ``public_key`` over ``{"aud", "iat", "exp", "jti", "token_sha256", "sealing_key"}``: proves possession."""
    name: Name | None = None
    """None: the host name."""
    facts: Facts = Facts()
    labels: Annotated[dict[Name, Annotated[str, Meta(max_length=200)]], Meta(max_length=50)] = {}


class Enrolled(Struct, frozen=True, kw_only=True):
    runtime_id: UUID
    runtime: str
    """The same as shown: ``rt_…``."""
    tenant: str
    project: str
    name: str
    join_state: str
    access_token: str
    expires_in: int
    lease_keys: dict[str, str] = {}
    """What leases are signed with, by key id; Ed25519, base64url. Pinned from here on."""
    config: Desired | None = None
    """What the runtime is to be like from its first look on; None: nobody has said anything."""


class TokenRequest(Struct, frozen=True, kw_only=True):
    """``POST /v1/runtime/token`` (RFC 7523 section 2.2, as JSON)."""

    client_assertion: Annotated[str, Meta(max_length=4000)]
    """JWT by the runtime's key: ``iss`` = ``sub`` = the runtime id, ``aud`` = :data:`AUDIENCE`, ``iat``, ``exp``, ``jti``."""
    client_assertion_type: str = ASSERTION_TYPE
    join_state: Annotated[str, Meta(max_length=2000)]
    nonce: Annotated[str, Meta(min_length=16, max_length=100)]
    """Chosen before the call and kept until its answer is on disk: the same nonce gets the same answer again."""


class NewKey(Struct, frozen=True, kw_only=True):
    """``POST /v1/runtime/key``, signed by the key there is: from now on the runtime is known by another."""

    public_key: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{43}$")]
    """Ed25519."""
    proof: Annotated[str, Meta(max_length=2000)]
    """Compact JWS by ``public_key`` over ``{"aud", "iat", "exp", "jti", "sub"}``: proves possession; ``sub`` is the
    runtime's id."""


class KnownBy(Struct, frozen=True, kw_only=True):
    public_key: str
    """What the runtime is known by. Tokens that were given before are good no more."""


class TokenAnswer(Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: int
    """Seconds, at most 600."""
    join_state: str
    token_type: str = "Bearer"  # noqa: S105
