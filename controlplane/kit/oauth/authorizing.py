"""Out to the provider: the address that a browser is sent to."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from msgspec import Struct

from controlplane.kit.oauth.calling import Caller, Fields, Request, identified, joined, send
from controlplane.kit.oauth.dialect import Client, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.judging import said, text
from controlplane.kit.secret import Secret

VERIFIER_BYTES: Final = 48


def new_verifier() -> Secret:
    """A secret of PKCE (RFC 7636): kept until the code comes back."""
    return Secret(secrets.token_urlsafe(VERIFIER_BYTES))


class Asked(Struct, frozen=True, kw_only=True):
    """What a person is asked to consent to."""

    state: str
    verifier: Secret | None = None
    """Of PKCE. Only its hash goes along, and that only to servers it breaks nothing at."""
    scopes: Sequence[str] = ()
    more: Mapping[str, str] = {}
    """Parameters beside those of the protocol, which they never replace."""


def authorize_url(server: Server, client: Client, asked: Asked) -> str:
    """Where a browser goes to consent."""
    return joined(server.authorize, _fields(server, client, asked))


async def push(caller: Caller, server: Server, client: Client, asked: Asked) -> str:
    """As :func:`authorize_url`, where the server takes the request beforehand (RFC 9126): the browser carries a name.

    Raises:
        Failure: If it does not take it.
    """
    asking = server.dialect.asking
    request = Request(url=server.par, headers=asking.headers, fields=_fields(server, client, asked))
    answer = await send(caller, identified(caller, server, client, request, client.auth or asking.auth))
    request_uri = text(said(answer, server.dialect).get("request_uri"))
    if not request_uri:
        raise Failure("malformed", "no-request-uri", sent=True, status=answer.status)
    return joined(server.authorize, {asking.client_id: client.id, "request_uri": request_uri})


def asked_scopes(server: Server, scopes: Sequence[str]) -> list[str]:
    """*scopes* and what this server has to be asked for besides, each once."""
    return list(dict.fromkeys((*scopes, *server.dialect.asking.scopes_required)))


def _fields(server: Server, client: Client, asked: Asked) -> Fields:
    asking = server.dialect.asking
    fields: dict[str, str | Sequence[str]] = {**asking.authorize, **asked.more}
    fields |= {"response_type": "code", asking.client_id: client.id, "redirect_uri": client.redirect_uri}
    if asking.scopes == "asked" and (wanted := asked_scopes(server, asked.scopes)):
        fields["scope"] = asking.scopes_by.join(wanted)
    fields["state"] = asked.state
    if asked.verifier is not None and asking.pkce != "off":
        fields["code_challenge"] = create_s256_code_challenge(asked.verifier.reveal())
        fields["code_challenge_method"] = "S256"
    if server.resources:
        fields["resource"] = server.resources
    return fields
