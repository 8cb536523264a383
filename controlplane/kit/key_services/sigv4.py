"""AWS Signature Version 4, as far as services take it that are called by POST to ``/`` with everything in the body.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Credentials(Struct, frozen=True):
    access_key: str
    secret_key: str
    token: str = ""
    """Of a session; empty: these last."""

    def __repr__(self) -> str:
        return f"Credentials({self.access_key})"


class Scope(Struct, frozen=True):
    """Where a signature counts."""

    region: str
    service: str


def signed(
    credentials: Credentials,
    where: Scope,
    now: datetime,
    headers: Mapping[str, str],
    body: bytes,
    method: str = "POST",
) -> dict[str, str]:
    """*headers* with the time, the session's token, and the signature over all of them, method and body.

    Args:
        headers: ``host`` among them; names in lower case.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    token = {"x-amz-security-token": credentials.token} if credentials.token else {}
    every = {**headers, "x-amz-date": stamp, **token}
    names = ";".join(sorted(every))
    lines = "".join(f"{name}:{' '.join(every[name].split())}\n" for name in sorted(every))
    request = "\n".join([method, "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{where.region}/{where.service}/aws4_request"
    text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.digest(signing_key(credentials.secret_key, stamp[:8], where), text.encode(), "sha256")
    proof = f"Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature.hex()}"
    return {**every, "authorization": f"{ALGORITHM} {proof}"}


def signing_key(secret_key: str, day: str, where: Scope) -> bytes:
    """
    Args:
        day: ``20261109``.
    """
    key = f"AWS4{secret_key}".encode()
    for part in (day, where.region, where.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
