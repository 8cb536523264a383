"""Tokens from the token endpoint: for a code, for the token before, for an assertion, for the client itself."""

from collections.abc import Mapping, Sequence

import msgspec

from controlplane.kit.oauth.assertions import JWT_BEARER
from controlplane.kit.oauth.calling import Caller, Fields, Request, identified, send
from controlplane.kit.oauth.dialect import Client, Server, Swap
from controlplane.kit.oauth.judging import said
from controlplane.kit.oauth.tokens import Tokens, tokens
from controlplane.kit.secret import Secret


async def exchange(caller: Caller, server: Server, client: Client, code: str, verifier: Secret | None) -> Tokens:
    """What *code* is worth. Sent once: a code that is sent twice ends the grant.

    Raises:
        Failure: If it brought nothing.
    """
    asking = server.dialect.asking
    fields: dict[str, str | Sequence[str]] = {**asking.exchange, "grant_type": "authorization_code", "code": code}
    if client.redirect_uri:
        fields["redirect_uri"] = client.redirect_uri
    if verifier is not None and asking.pkce != "off":
        fields["code_verifier"] = verifier.reveal()
    short = await granted(caller, server, client, fields)
    if server.dialect.lengthening is None:
        return short
    longer = await swap(caller, server, client, short.access, server.dialect.lengthening, server.lengthen)
    facts, scopes = {**short.facts, **longer.facts}, longer.scopes or short.scopes
    return msgspec.structs.replace(longer, facts=facts, scopes=scopes, refresh=longer.refresh or short.refresh)


async def refresh(caller: Caller, server: Server, client: Client, held: Secret, scopes: Sequence[str] = ()) -> Tokens:
    """What follows *held*: the refresh token, or the access token where ``dialect.refreshing.by`` says so.

    Args:
        scopes: Fewer than were granted; empty: as granted.

    Raises:
        Failure: If it brought nothing. What became of *held* is in its kind, and in ``dialect.refreshing.replay``.
    """
    refreshing = server.dialect.refreshing
    if refreshing.swap is not None:
        return await swap(caller, server, client, held, refreshing.swap, server.refresh)
    assert refreshing.by == "refresh_token", f"{refreshing.by} is not refreshed here"
    fields: dict[str, str | Sequence[str]] = {"grant_type": "refresh_token", "refresh_token": held.reveal()}
    if refreshing.repeats_redirect:
        fields["redirect_uri"] = client.redirect_uri
    if scopes:
        fields["scope"] = server.dialect.asking.scopes_by.join(scopes)
    return await granted(caller, server, client, {**server.dialect.asking.refresh, **fields}, server.refresh)


async def client_credentials(
    caller: Caller,
    server: Server,
    client: Client,
    scopes: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
) -> Tokens:
    """Tokens for the client itself (RFC 6749, section 4.4).

    Args:
        more: Further parameters; ``grant_type`` among them for servers that call it otherwise.

    Raises:
        Failure: If it brought nothing.
    """
    return await granted(caller, server, client, {**_about("client_credentials", server, scopes), **(more or {})})


async def jwt_bearer(
    caller: Caller, server: Server, client: Client, assertion: Secret, scopes: Sequence[str] = ()
) -> Tokens:
    """Tokens for whom *assertion* speaks of (RFC 7523, section 2.1). A client without a secret says nothing beside it.

    Raises:
        Failure: If it brought nothing.
    """
    asking = server.dialect.asking
    beside = () if asking.assertion.scopes == "claim" else scopes
    fields = {**_about(JWT_BEARER, server, beside), "assertion": assertion.reveal()}
    if client.secret is None and client.auth is None:
        more = {"resource": server.resources} if server.resources else {}
        request = Request(url=server.token, headers=asking.headers, fields={**fields, **more}, body=asking.body)
        return await taken(caller, server, request)
    return await granted(caller, server, client, fields)


async def swap(caller: Caller, server: Server, client: Client, access: Secret, how: Swap, url: str = "") -> Tokens:
    """A live access token for one that lives longer.

    Raises:
        Failure: If it brought nothing; *access* is as good as before.
    """
    fields = {"grant_type": how.grant_type, how.field: access.reveal()}
    if how.client != "none" and client.secret is not None:
        fields["client_secret"] = client.secret.reveal()
    if how.client == "id+secret":
        fields[server.dialect.asking.client_id] = client.id
    body = "query" if how.method == "GET" else server.dialect.asking.body
    request = Request(
        url=url or server.token, method=how.method, fields=fields, body=body, headers=server.dialect.asking.headers
    )
    return await taken(caller, server, request)


async def granted(caller: Caller, server: Server, client: Client, fields: Fields, url: str = "") -> Tokens:
    """Tokens for *fields*, sent to the token endpoint with the client's proof of who it is.

    Raises:
        Failure: If it brought nothing.
    """
    asking = server.dialect.asking
    if server.resources:
        fields = {**fields, "resource": server.resources}
    request = Request(url=url or server.token, headers=asking.headers, fields=fields, body=asking.body)
    return await taken(caller, server, identified(caller, server, client, request, client.auth or asking.auth))


async def taken(caller: Caller, server: Server, request: Request) -> Tokens:
    """The tokens that *request* is answered with.

    Raises:
        Failure: If it brought nothing.
    """
    answer = await send(caller, request)
    return tokens(answer, said(answer, server.dialect), server.dialect.answers)


def _about(grant_type: str, server: Server, scopes: Sequence[str]) -> dict[str, str]:
    """What every server wants of persons, such as to be asked again without them, is not asked for here."""
    scope = {"scope": server.dialect.asking.scopes_by.join(scopes)} if scopes else {}
    return {"grant_type": grant_type, **scope}
