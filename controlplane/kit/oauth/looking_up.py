"""Whose account it is: asked of the provider, with the new access token."""

from controlplane.kit.oauth.calling import Caller, Request, bearer, send
from controlplane.kit.oauth.dialect import Server
from controlplane.kit.oauth.judging import said
from controlplane.kit.oauth.tokens import Tokens, facts


async def whose(caller: Caller, server: Server, tokens: Tokens) -> dict[str, str]:
    """What is known of the account, by the catalogue's names: of the answer that brought *tokens*, and asked for.

    Raises:
        Failure: If the provider has something to be asked, and does not answer.
    """
    how = server.dialect.lookup
    if how is None or not server.lookup:
        return dict(tokens.facts)
    proof = bearer(tokens.access, header=how.header, scheme=how.scheme)
    request = Request(url=server.lookup, method=how.method, headers={**how.headers, **proof})
    answer = await send(caller, request)
    found = said(answer, server.dialect)
    return {**tokens.facts, **facts(found, how.facts, server.dialect.answers.api_hosts)}
