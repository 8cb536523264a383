"""The Idempotency-Key of a request: sent again with it, it is answered again and done once.

After draft-ietf-httpapi-idempotency-key-header. Callers, operations and tenants have keys of their own each.
"""

import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.response.base import ASGIResponse

from controlplane.db.database import WritingTx
from controlplane.domain import idempotency
from controlplane.domain.actors import actor_of
from controlplane.domain.idempotency import Answer, Claim
from controlplane.http import answers, manners
from controlplane.http.authorize import TENANT_PARAMETER
from controlplane.http.manners import AnyRequest
from controlplane.http.problems import Invalid

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"

LONGEST: Final = 255
QUOTED: Final = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')
BARE: Final = re.compile(r"[\x21\x23-\x7e]+")

SECRET: Final = re.compile(rb"(?:ec_[a-z]{2}|whsec)_[0-9A-Za-z+/]{20}")
"""What must never be kept: a net below the rule that only what a GET shows is."""

NOTICE: Final = "notice"
SHOWN_ONCE: Final = "The secret was shown once, in the first answer to this request. Where that was lost, make another."

FLEETING: Final = frozenset({"content-length", "content-type"})


class Replay(Exception):
    """The request was answered earlier: not an error, but the end of working on it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


@asynccontextmanager
async def done_once(request: AnyRequest, tx: WritingTx) -> AsyncIterator[None]:
    """With what *request* asks for being done in *tx*, unless it was done earlier under the same key.

    Raises:
        Replay: If it was, with the answer.
        KeyReused, InProgress: If the key belongs to another request, or to one that is being worked on.
        Invalid: If the key is none.
    """
    given = request.headers.get(HEADER)
    if given is None or not manners.of(request).takes_key:
        yield
        return
    claim = await _claim(request, _key(given))
    earlier = await idempotency.earlier(tx, claim)
    if earlier is not None:
        raise Replay(earlier)
    yield
    await idempotency.keep(tx, claim, _keepable(answers.of(request), manners.of(request).keeps))


def replayed(_: Request[Any, Any, Any], replay: Replay) -> Response[bytes]:
    """The exception handler for :class:`Replay`."""
    answer = replay.answer
    headers = {**answer.headers, REPLAYED: "true"}
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=MediaType.JSON)


async def _claim(request: AnyRequest, key: str) -> Claim:
    actor = actor_of(request.user, "")
    return Claim(
        principal=" ".join(filter(None, (actor.kind, actor.id, actor.impersonator))),
        operation=f"{request.method} {request.scope['path_template']}",
        key=key,
        fingerprint=await _fingerprint(request),
    )


async def _fingerprint(request: AnyRequest) -> bytes:
    """Of what is asked for, whichever way its JSON is written and its tenant is called."""
    within = {name: str(value) for name, value in request.path_params.items() if name != TENANT_PARAMETER}
    place = msgspec.json.encode([within, sorted(request.query_params.multi_items())], order="deterministic")
    body = await request.body()
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # whoever reads it next refuses
        body = msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
    return hashlib.sha256(place + b"\n" + body).digest()


def _keepable(answer: ASGIResponse, shown: frozenset[str] | None) -> Answer:
    """*answer* with nothing in it but what a GET would show."""
    body = answer.body
    if shown is not None:
        whole: dict[str, Any] = msgspec.json.decode(body)
        kept = {name: value for name, value in whole.items() if name in shown}
        body = msgspec.json.encode(kept if kept.keys() == whole.keys() else {**kept, NOTICE: SHOWN_ONCE})
    assert not SECRET.search(body), "an answer with a secret in it was about to be kept"
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in FLEETING}
    return Answer(status=answer.status_code, headers=headers, body=body)


def _key(given: str) -> str:
    """The key, in quotes as a structured field's string (RFC 9651 section 3.3.3) or bare."""
    quoted = QUOTED.fullmatch(given.strip())
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else given.strip()
    if len(key) > LONGEST or not (quoted or BARE.fullmatch(key)):
        detail = f"expected 1 to {LONGEST} printable ASCII characters, bare or in quotes"
        raise Invalid([{"in": "header", "name": HEADER, "detail": detail}])
    return key
