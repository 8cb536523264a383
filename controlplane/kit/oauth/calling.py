"""One request to an authorization server, with the client's proof of who it is, and what came back."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec
from msgspec import Struct

from controlplane.kit.clock import Clock
from controlplane.kit.guard import AddressRefused, Answer, CallFailed, Guard
from controlplane.kit.oauth.assertions import ASSERTION_TYPE, client_assertion
from controlplane.kit.oauth.dialect import Client, ClientAuth, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.secret import Secret

MOST_BYTES: Final = 256 * 1024
WITHIN_S: Final = 10.0

Fields: TypeAlias = Mapping[str, str | Sequence[str]]
"""Of a request; a field with several values is sent several times."""

Method: TypeAlias = Literal["GET", "POST", "DELETE"]


class Caller:
    """What every call goes out with. One for a process; no transaction is open meanwhile."""

    def __init__(self, guard: Guard, clock: Clock, *, within_s: float = WITHIN_S) -> None:
        """
        Args:
            within_s: For one call, from the name to the last byte.
        """
        self.guard, self.clock, self.within_s = guard, clock, within_s


class Request(Struct, frozen=True, kw_only=True):
    url: str
    method: Method = "POST"
    headers: Mapping[str, str] = {}
    fields: Fields = {}
    body: Literal["form", "json", "query"] = "form"


async def send(caller: Caller, request: Request) -> Answer:
    """
    Raises:
        Failure: ``not_sent``, ``maybe_sent`` or ``blocked``; ``malformed`` if the answer is too long.
    """
    url, headers, content = _written(request)
    try:
        answer = await caller.guard.call(
            request.method, url, headers=headers, content=content, most_bytes=MOST_BYTES, within_s=caller.within_s
        )
    except AddressRefused as error:
        raise Failure("blocked", "address", sent=False) from error
    except CallFailed as error:
        raise Failure("maybe_sent" if error.sent else "not_sent", error.why, sent=error.sent) from error
    if answer.cut:
        raise Failure("malformed", "too-large", sent=True, status=answer.status)
    return answer


def identified(caller: Caller, server: Server, client: Client, request: Request, auth: ClientAuth) -> Request:
    """*request* with *client*'s proof of who it is, as *auth* says."""
    asking = server.dialect.asking
    secret = client.secret.reveal() if client.secret else ""
    if auth in ("basic", "basic-raw"):
        credentials = basic(client.id, secret, raw=auth == "basic-raw")
        return msgspec.structs.replace(request, headers={**request.headers, "Authorization": credentials})
    fields = {**request.fields, asking.client_id: client.id}
    if auth == "post":
        fields["client_secret"] = secret
    if auth == "key":
        assert client.key is not None, "an app with a key was asked for one"
        fields["client_assertion_type"] = ASSERTION_TYPE
        audience = server.issuer or server.token
        fields["client_assertion"] = client_assertion(client, client.key, audience, caller.clock()).reveal()
    return msgspec.structs.replace(request, fields=fields)


def basic(name: str, secret: str, *, raw: bool = False) -> str:
    """The header ``Authorization`` of RFC 7617; encoded before, as RFC 6749 asks, or *raw*."""
    pair = f"{name}:{secret}" if raw else f"{quote_plus(name)}:{quote_plus(secret)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def bearer(token: Secret, *, header: str = "Authorization", scheme: str = "Bearer") -> dict[str, str]:
    return {header: f"{scheme} {token.reveal()}".strip()}


def joined(url: str, fields: Fields) -> str:
    """*url* with *fields* in its query."""
    if not fields:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(fields, doseq=True)}"


def _written(request: Request) -> tuple[str, dict[str, str], bytes]:
    headers = {"Accept": "application/json", **request.headers}
    if request.body == "query":
        return joined(request.url, request.fields), headers, b""
    if not request.fields:
        return request.url, headers, b""
    if request.body == "json":
        return request.url, {"Content-Type": "application/json", **headers}, msgspec.json.encode(request.fields)
    headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    return request.url, headers, urlencode(request.fields, doseq=True).encode()
