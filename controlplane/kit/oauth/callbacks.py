"""Back from the provider: what the address says that a browser comes back to, and whether it may be believed."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from controlplane.kit.oauth.dialect import Client, Server
from controlplane.kit.oauth.judging import CODES
from controlplane.kit.problems import Refusal

LONGEST_CODE: Final = 8_192


class CallbackRefused(Refusal):
    """A browser came back from a provider without consent, or with what is not that provider's answer."""

    code, status, title = "oauth-callback-refused", 400, "The provider's answer does not hold"
    hint = "Begin again. If it stays like this, compare the app at the provider with the catalogue's notes."

    def __init__(self, why: str, said: str = "") -> None:
        """
        Args:
            why: ``repeated``, ``signature``, ``issuer``, ``elsewhere``, ``error`` or ``no code``.
            said: The provider's own code, if it is one that is known.
        """
        super().__init__(f"{why}: {said}" if said else why)
        self.why, self.said = why, said

    def facts(self) -> dict[str, object]:
        return {"why": self.why, **({"said": self.said} if self.said else {})}


def code_of(server: Server, client: Client, query: Sequence[tuple[str, str]]) -> str:
    """The code that the browser brings. Its state is the caller's question, and comes first.

    Args:
        query: Of the address, decoded, in any order.

    Raises:
        CallbackRefused: If the provider said no, or it is not this provider's answer to this client.
    """
    given = dict(query)
    if any(count > 1 for count in Counter(name for name, _ in query).values()):
        raise CallbackRefused("repeated")
    _check_signature(server, client, given)
    _check_issuer(server, given)
    _check_place(server, given)
    if error := given.get("error"):
        raise CallbackRefused("error", error if error in CODES else "")
    code = given.get("code", "").removesuffix(server.dialect.asking.code_ends)
    if not code or len(code) > LONGEST_CODE:
        raise CallbackRefused("no code")
    return code


def _check_signature(server: Server, client: Client, given: dict[str, str]) -> None:
    """Where the provider signs the address: with the client's secret, all of it but the signature."""
    name = server.dialect.asking.signed_callback
    if not name:
        return
    signed = "&".join(f"{each}={value}" for each, value in sorted(given.items()) if each != name)
    key = client.secret.reveal().encode() if client.secret else b""
    expected = hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
    if not key or not hmac.compare_digest(expected.encode(), given.get(name, "").lower().encode()):
        raise CallbackRefused("signature")


def _check_issuer(server: Server, given: dict[str, str]) -> None:
    """As RFC 9207 asks, for errors too: an exact comparison of strings."""
    issuer = given.get("iss")
    if issuer is None and not server.says_issuer:
        return
    if server.issuer and issuer != server.issuer:
        raise CallbackRefused("issuer")


def _check_place(server: Server, given: dict[str, str]) -> None:
    """Where the provider names a host: the one that the code will be sent to, or the code is somebody else's."""
    place = given.get(server.dialect.asking.callback_host)
    if place is None:
        return
    host = urlsplit(place).hostname if "//" in place else place
    if host != urlsplit(server.token).hostname:
        raise CallbackRefused("elsewhere")
