"""Requests that a runtime has signed with its own key, besides the token: a stolen token leases nothing."""

import base64
import binascii
from datetime import timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from litestar import Request

from controlplane.db.database import Database
from controlplane.domain.permissions import Runtime
from controlplane.domain.runtime_tokens import ClockSkewed
from controlplane.domain.vault.looking import Caller
from controlplane.domain.vault.turned_down import NonceUsed
from controlplane.kit.limiter import Limiter, Rate
from controlplane.kit.problems import Refusal
from runtime_agent.wire import signing

ONCE: Final = Rate(burst=1, every=timedelta(seconds=2 * signing.LEEWAY_S))
"""A nonce is heard once as long as its time is accepted. The table decides; this keeps a flood away from it."""


class SignatureInvalid(Refusal):
    """The token was right: somebody has it who does not have the key."""

    code, status, title = "signature-invalid", 401, "The request is not signed by this runtime's key"
    hint = "The agent signs method, path, Content-Digest, time and a nonce (RFC 9421); see the wire's reference."


async def check(request: Request[Runtime, Any, Any], db: Database, caller: Caller, *, now_only: bool = False) -> bytes:
    """The nonce of a request that *caller* has signed.

    Args:
        now_only: With the key it has now; the one before does not do.

    Raises:
        SignatureInvalid: If it has not, or something is not as it was signed.
        ClockSkewed: If only its time is wrong.
        NonceUsed: If it has come before.
    """
    said = signing.read(request.headers.get(signing.INPUT, ""))
    digest = signing.digest(await request.body())
    if said is None or said.keyid != caller.shown or request.headers.get(signing.DIGEST) != digest:
        raise SignatureInvalid
    try:
        form = request.headers.get(signing.SIGNATURE, "")
        if not (form.startswith("sig1=:") and form.endswith(":")):
            raise SignatureInvalid
        signature = base64.b64decode(form[6:-1], validate=True)
    except (binascii.Error, ValueError):
        raise SignatureInvalid from None
    now = db.clock()
    base = said.base(request.method, request.scope["path"], digest)
    if not any(_fits(key, signature, base) for key in ([caller.key] if now_only else caller.keys(now))):
        raise SignatureInvalid
    if abs(now.timestamp() - said.created) > signing.LEEWAY_S:
        raise ClockSkewed(now)
    limiter: Limiter = request.app.state.limiter
    if await limiter.admit(f"nonce:{caller.shown}:{said.nonce}", ONCE) > 0:
        raise NonceUsed
    return bytes.fromhex(said.nonce)


def _fits(key: Ed25519PublicKey, signature: bytes, base: bytes) -> bool:
    try:
        key.verify(signature, base)
    except InvalidSignature:
        return False
    return True
