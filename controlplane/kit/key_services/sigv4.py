"""AWS Signature Version 4: for services that are called by POST to ``/``, and for addresses that others may use.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

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


class Request(Struct, frozen=True, kw_only=True):
    """What somebody without credentials may ask for, whatever its body."""

    method: str
    path: str
    """As it is sent, quoted."""
    headers: Mapping[str, str]
    """As they have to be sent, ``host`` among them; names in lower case."""
    for_s: int
    """For how many seconds."""


def presigned(credentials: Credentials, where: Scope, now: datetime, asked: Request) -> str:
    """The query by which *asked* may be asked for."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{where.region}/{where.service}/aws4_request"
    names = ";".join(sorted(asked.headers))
    given = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(asked.for_s),
        "X-Amz-SignedHeaders": names,
        **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
    }
    query = "&".join(f"{name}={quote(given[name], safe='~')}" for name in sorted(given))
    lines = "".join(f"{name}:{' '.join(asked.headers[name].split())}\n" for name in sorted(asked.headers))
    request = "\n".join([asked.method, asked.path, query, lines, names, "UNSIGNED-PAYLOAD"])
    text = "\n".join([ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = signing_key(credentials.secret_key, stamp[:8], where)
    return f"{query}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"


def signing_key(secret_key: str, day: str, where: Scope) -> bytes:
    """
    Args:
        day: ``20261109``.
    """
    key = f"AWS4{secret_key}".encode()
    for part in (day, where.region, where.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
