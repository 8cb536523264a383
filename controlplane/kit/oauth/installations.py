"""Apps that are installed somewhere and mint tokens for that place with their own key: GitHub Apps."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from controlplane.kit.oauth.assertions import signed
from controlplane.kit.oauth.calling import Caller, Request, bearer, joined, send
from controlplane.kit.oauth.dialect import Client, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.granting import taken
from controlplane.kit.oauth.judging import said
from controlplane.kit.oauth.tokens import Tokens
from controlplane.kit.secret import Secret

LASTS: Final = timedelta(minutes=9)
"""Of the JWT that mints; GitHub takes ten minutes at most, and counts from ``iat``, a minute ago."""

PAGE: Final = 100
MOST_PAGES: Final = 20


class Narrowed(Struct, frozen=True, kw_only=True):
    """Less than the installation may do, for a single lease."""

    repositories: tuple[str, ...] = ()
    """Names, without owner; empty: all of the installation's."""
    permissions: Mapping[str, str] = {}
    """``{"contents": "read"}``; empty: all of the installation's."""


async def mint(caller: Caller, server: Server, client: Client, narrowed: Narrowed | None = None) -> Tokens:
    """A token for the installation that ``server.token`` names.

    Raises:
        Failure: ``grant_dead`` if it was uninstalled, ``needs_person`` if it is suspended, ``app_fault`` if the key or
            the app is not good.
    """
    return await taken(caller, server, _minting(caller, server, client, narrowed or Narrowed()))


async def can_see(caller: Caller, server: Server, user: Secret, installation_id: str) -> bool:
    """Whether the person whose token *user* is has to do with an installation.

    Its number in a callback is nobody's word: without this, one tenant could claim another's.

    Args:
        server: The app's; ``server.lookup`` lists a person's installations.

    Raises:
        Failure: If there is no telling.
    """
    for page in range(1, MOST_PAGES + 1):
        url = joined(server.lookup, {"per_page": str(PAGE), "page": str(page)})
        headers = {**server.dialect.asking.headers, **bearer(user)}
        answer = await send(caller, Request(url=url, method="GET", headers=headers))
        found = said(answer, server.dialect).get("installations")
        if not isinstance(found, list):
            raise Failure("malformed", "no-installations", sent=True, status=answer.status)
        if installation_id in {str(each.get("id")) for each in found if isinstance(each, dict)}:
            return True
        if len(found) < PAGE:
            break
    return False


def _minting(caller: Caller, server: Server, client: Client, narrowed: Narrowed) -> Request:
    if client.key is None:
        raise Failure("app_fault", "private-key", sent=False)
    token = signed({"iss": client.id}, client.key, caller.clock(), lasts=LASTS)
    wanted: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(narrowed).items() if value}
    headers = {**server.dialect.asking.headers, **bearer(token)}
    return Request(url=server.token, headers=headers, fields=wanted, body="json")
