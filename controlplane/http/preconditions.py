"""ETags: what was seen is not sent again, and what was seen is what is changed (RFC 9110 section 13)."""

import base64
import hashlib
import re
from typing import Final

import msgspec
from litestar.response.base import ASGIResponse

from controlplane.db.database import TenantTx, WritingTx
from controlplane.http import manners
from controlplane.http.manners import AnyRequest
from controlplane.http.problems import Invalid
from controlplane.kit.problems import Refusal

ANY: Final = "*"

TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
TAGS: Final = re.compile(rf"\s*{TAG.pattern}(?:\s*,\s*{TAG.pattern})*\s*")


class PreconditionFailed(Refusal):
    """The object is not what the caller takes it for."""

    code, status, title = "precondition-failed", 412, "It has changed since you last saw it"
    hint = "Get it again, look at what changed, and send the change with the new ETag in If-Match."


class PreconditionRequired(Refusal):
    code, status, title = "precondition-required", 428, "Say which state this is a change of"
    hint = "Get the object first, and send its ETag in If-Match."


def etag(body: bytes) -> str:
    """The strong validator of a representation: its hash, so it is another one exactly when a byte is."""
    return f'"{base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:15]).decode()}"'


def validated(request: AnyRequest, answer: ASGIResponse) -> ASGIResponse:
    """The answer to a GET of one object with its ETag; 304 where the caller has it already.

    Raises:
        PreconditionFailed: If it is not what ``If-Match`` names.
        Invalid: If ``If-Match`` or ``If-None-Match`` is no list of ETags.
    """
    tag = etag(answer.body)
    if not _matches(_tags(request, "If-Match"), tag, absent=True):
        raise PreconditionFailed
    if _matches(_tags(request, "If-None-Match", weak=True), tag, absent=False):
        return ASGIResponse(status_code=304, headers={"ETag": tag})
    answer.headers["ETag"] = tag
    return answer


async def check(request: AnyRequest, tx: WritingTx) -> None:
    """Let a change through only if the object is in the state that the caller saw, until *tx* ends.

    Whoever changes an object of this kind through the API waits for whoever does so already, so that of two changes
    of one state only one gets through. What is absent is absent, whatever the headers say.

    Raises:
        PreconditionFailed: If the object is in another state.
        PreconditionRequired: If this is a change that has to say which state it is of.
        Invalid: If a header is no list of ETags.
        NotFound: If there is no such object.
    """
    its = manners.of(request)
    if its.state is None:
        return
    place = tx.tenant_id if isinstance(tx, TenantTx) else "platform"
    await tx.alone(f"change {place} {request.scope['path_template']}")
    wanted, unwanted = _tags(request, "If-Match"), _tags(request, "If-None-Match", weak=True)
    if wanted is None and unwanted is None and not its.needs_match:
        return
    tag = etag(msgspec.json.encode(await its.state(request, tx)))
    if wanted is None and its.needs_match:
        raise PreconditionRequired
    if not _matches(wanted, tag, absent=True) or _matches(unwanted, tag, absent=False):
        raise PreconditionFailed


def _matches(tags: frozenset[str] | None, tag: str, *, absent: bool) -> bool:
    return absent if tags is None else ANY in tags or tag in tags


def _tags(request: AnyRequest, name: str, *, weak: bool = False) -> frozenset[str] | None:
    """The ETags in a header; None without it.

    Args:
        weak: Whether a weak one counts as its strong one; else it matches nothing (RFC 9110 section 8.8.3.2).
    """
    given = request.headers.getall(name, [])
    if not given:
        return None
    whole = ",".join(given)
    if whole.strip() == ANY:
        return frozenset({ANY})
    if not TAGS.fullmatch(whole):
        detail = 'expected * or ETags in quotes: "…", "…"'
        raise Invalid([{"in": "header", "name": name, "detail": detail}])
    return frozenset(tag for is_weak, tag in TAG.findall(whole) if weak or not is_weak)
