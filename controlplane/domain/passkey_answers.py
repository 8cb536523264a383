"""What browsers and authenticators say about passkeys (Web Authentication Level 2), and whom they sign for."""

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

Text = Annotated[str, Meta(max_length=20_000)]
"""Base64url."""
Name = Annotated[str, Meta(min_length=1, max_length=60)]


class Site(Struct, frozen=True, kw_only=True):
    """Whom authenticators sign for: the console's own host, and nobody who looks like it."""

    host: str
    origin: str


def site_of(public_url: str) -> Site | None:
    """Whom passkeys made at *public_url* are for; None where it is an address without a name."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return Site(host=host, origin=f"{parts.scheme}://{parts.netloc}")
    return None


class Attestation(Struct, frozen=True, kw_only=True, rename="camel"):
    client_data: Text = field(name="clientDataJSON")
    attestation_object: Text
    transports: Annotated[list[Annotated[str, Meta(max_length=20)]], Meta(max_length=10)] = []


class NewCredential(Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``navigator.credentials.create()`` gives, as ``toJSON()`` writes it."""

    id: Text
    raw_id: Text
    type: str
    response: Attestation


class Assertion(Struct, frozen=True, kw_only=True, rename="camel"):
    client_data: Text = field(name="clientDataJSON")
    authenticator_data: Text
    signature: Text
    user_handle: Text | None = None


class Credential(Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``navigator.credentials.get()`` gives, as ``toJSON()`` writes it."""

    id: Text
    raw_id: Text
    type: str
    response: Assertion


class Registration(Struct, frozen=True, kw_only=True):
    """A new passkey, the challenge it was made for, and what its owner calls it."""

    credential: NewCredential
    challenge: bytes
    name: str
