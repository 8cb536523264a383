"""Consent on another device (RFC 8628), for those who have no browser where they connect from."""

from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from controlplane.kit.oauth.authorizing import asked_scopes
from controlplane.kit.oauth.calling import Caller, Request, identified, send
from controlplane.kit.oauth.dialect import Client, Server
from controlplane.kit.oauth.failures import Failure
from controlplane.kit.oauth.granting import granted
from controlplane.kit.oauth.judging import said, text
from controlplane.kit.oauth.tokens import Tokens
from controlplane.kit.secret import Secret

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_S: Final = 5
SLOWER_S: Final = 5
"""How much longer to wait from now on, when asked too often (RFC 8628, section 3.5)."""


class Device(Struct, frozen=True, kw_only=True):
    code: Secret
    """What is asked with."""
    user_code: str
    """What the person types in."""
    address: str
    """Where they type it in."""
    expires_in_s: int
    interval_s: int
    """How long to wait between two questions."""


async def begin(caller: Caller, server: Server, client: Client, scopes: Sequence[str] = ()) -> Device:
    """
    Raises:
        Failure: If it cannot begin.
    """
    asking = server.dialect.asking
    fields = {"scope": asking.scopes_by.join(wanted)} if (wanted := asked_scopes(server, scopes)) else {}
    fields |= {asking.client_id: client.id}
    request = Request(url=server.device, headers=asking.headers, fields=fields)
    answer = await send(caller, identified(caller, server, client, request, client.auth or asking.auth))
    found = said(answer, server.dialect)
    code, user_code = text(found.get("device_code")), text(found.get("user_code"))
    address = text(found.get("verification_uri") or found.get("verification_url"))
    if not code or not user_code or urlsplit(address).scheme not in ("https", urlsplit(server.device).scheme):
        raise Failure("malformed", "no-device-code", sent=True, status=answer.status)
    return Device(
        code=Secret(code),
        user_code=user_code,
        address=address,
        expires_in_s=_number(found.get("expires_in"), 600),
        interval_s=_number(found.get("interval"), INTERVAL_S),
    )


async def poll(
    caller: Caller, server: Server, client: Client, device: Secret
) -> Tokens | Literal["pending", "slow_down"]:
    """Whether the person has consented by now.

    Raises:
        Failure: ``grant_dead`` if they did not, or the time is over.
    """
    fields = {"grant_type": DEVICE_CODE, "device_code": device.reveal()}
    try:
        return await granted(caller, server, client, fields)
    except Failure as failure:
        if failure.code == "authorization_pending":
            return "pending"
        if failure.code == "slow_down":
            return "slow_down"
        raise


def _number(value: object, otherwise: int) -> int:
    shown = text(value)
    return max(1, min(int(shown), 3_600)) if shown.isascii() and shown.isdigit() else otherwise
