"""Calls that the control plane makes for a runtime: the credential stays where it is, the answer comes back.

``POST /v1/runtime/calls`` is a signed request (:mod:`runtime_agent.wire.signing`): method, address, headers and body of
the call are in its body, so all of them are signed. Whatever the provider answers comes back as a 200, with the
provider's own status in ``Proxy-Status`` (RFC 9209); any other status is the control plane's own.
"""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from runtime_agent.wire.leases import Selector, Word

STATUS: Final = "Proxy-Status"

Header: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9-]{0,60}$")]
Value: TypeAlias = Annotated[str, Meta(max_length=4_000, pattern=r"^[\x20-\x7e]*$")]
Address: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1_800, pattern=r"^[\x21\x22\x24-\x7e]+$")]


class CallRequest(Struct, frozen=True, kw_only=True):
    connection: Annotated[str, Meta(max_length=40)] | None = None
    """``con_…``; or:"""
    select: Selector | None = None
    lease: Annotated[str, Meta(max_length=40)] | None = None
    """Or: a lease that the runtime holds. The call is for what that was leased for, and not made once it has ended."""
    agent: Word = ""
    run: Word = ""
    tool: Word = ""
    purpose: Word = ""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Address
    """https, at a host of the provider's; or a path with its query, where only one host can be meant."""
    headers: Annotated[dict[Header, Value], Meta(max_length=40)] = {}
    body: bytes = b""
    """Base64."""
    dry_run: bool = False
    """Decide, and say so, without calling anybody. Audited like the real thing."""


class CallDecided(Struct, frozen=True, kw_only=True):
    """Of a dry run: what would have been sent, without what opens the account."""

    allowed: bool
    rule: str
    connection: str
    cred_version: int
    method: str
    url: str
    headers: dict[str, str]
    bytes: int
    """Of the body."""
