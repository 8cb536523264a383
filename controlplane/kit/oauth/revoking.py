"""Giving a grant back: RFC 7009, and how everybody else does it."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from controlplane.kit.oauth.calling import Caller, Request, bearer, identified, send
from controlplane.kit.oauth.dialect import Client, Revoking, Server
from controlplane.kit.oauth.judging import failure, parsed, wrong
from controlplane.kit.secret import Secret

Outcome: TypeAlias = Literal["revoked", "already", "impossible"]
"""``already``: the provider knows no such token any more. ``impossible``: it has no way, so the person does it there."""

UNKNOWN_TOKEN: Final = frozenset({401, 404, 410})
"""What a token is answered with that was the only proof of who asks, and is none any more."""


async def revoke(
    caller: Caller,
    server: Server,
    client: Client,
    *,
    access: Secret | None,
    refresh: Secret | None,
    facts: Mapping[str, str] | None = None,
) -> Outcome:
    """
    Args:
        facts: Of the account, where the provider wants some of them.

    Raises:
        Failure: If it is not known to be revoked.
    """
    how = server.dialect.revoking
    token = _token(how, access, refresh) if how else None
    if how is None or not server.revoke or (token is None and how.carried != "not"):
        return "impossible"
    answer = await send(caller, _request(caller, server, client, how, token, facts or {}))
    found = parsed(answer, server.dialect)
    if 200 <= answer.status < 300 and not wrong(found or {}, server.dialect.errors):
        return "revoked"
    failed = failure(answer, found, server.dialect.errors)
    gone = {*how.gone, *(UNKNOWN_TOKEN if how.carried == "bearer" else ())}
    if failed.kind == "grant_dead" or answer.status in gone:
        return "already"
    raise failed


def _token(how: Revoking, access: Secret | None, refresh: Secret | None) -> Secret | None:
    if how.carried == "bearer" or how.which == "access":
        return access
    return refresh or access


def _request(
    caller: Caller, server: Server, client: Client, how: Revoking, token: Secret | None, facts: Mapping[str, str]
) -> Request:
    asking = server.dialect.asking
    fields = {theirs: facts[ours] for theirs, ours in how.facts.items() if ours in facts}
    headers = dict(asking.headers)
    if token is not None and how.carried == "bearer":
        headers |= bearer(token)
    elif token is not None:
        fields[how.field] = token.reveal()
    request = Request(
        url=server.revoke.replace("{client_id}", quote(client.id, safe="")),
        method=how.method,
        headers=headers,
        fields=fields,
        body="json" if how.carried == "json" else "query" if how.carried == "query" else "form",
    )
    if how.auth == "none" or how.carried == "bearer":
        return request
    auth = (client.auth or asking.auth) if how.auth == "dialect" else how.auth
    return identified(caller, server, client, request, auth)
