"""What a token endpoint gives: read in the server's dialect, checked, and held as secrets."""

from collections.abc import Mapping

from msgspec import Struct

from controlplane.kit.secret import Secret


class Tokens(Struct, frozen=True, kw_only=True):
    access: Secret
    refresh: Secret | None = None
    """None: none came. Whoever refreshed keeps the one they have."""
    type: str = "Bearer"
    expires_in_s: int | None = None
    """From the answer's arrival. None: it does not end, or nobody knows when."""
    refresh_expires_in_s: int | None = None
    scopes: tuple[str, ...] | None = None
    """What was granted, each once. None: not said, which means: as asked (RFC 6749, section 5.1)."""
    facts: Mapping[str, str] = {}
    """By the catalogue's names: ``account`` is who it is at the provider and stays so, ``name`` and ``email`` are for
    people, ``api_base`` is where the API is."""
    id_token: Secret | None = None
    """Not checked here."""
