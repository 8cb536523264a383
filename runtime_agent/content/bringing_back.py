"""A checkpoint's file again: from the home where it still is, else from the control plane, and never another one."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

from runtime_agent.clock import to_ms
from runtime_agent.content.sealing import Envelope, NotOpened, Plain, Sealed, unpacked
from runtime_agent.http import Absent, Busy, Refused
from runtime_agent.identity import decoded
from runtime_agent.outbox import Outbox, contents, cursor
from runtime_agent.server import Server
from runtime_agent.sources import Source
from runtime_agent.sources.acting import Failed
from runtime_agent.wire.commands import Command, Place
from runtime_agent.wire.content import Chunk, Content, HeldContent
from runtime_agent.wire.records import CheckpointSeen

LARGEST: Final = 16 << 20
"""Bytes of a file that is put together here."""


def in_home(outbox: Outbox, source: Source, command: Command, place: Place, now: datetime) -> bytes | None:
    """What the home holds of that checkpoint; None: nothing, or something else than what was told of it."""
    key = f"{command.agent}/{command.session}"
    try:
        reading = source.read(key, now=now, seen=cursor.seen(outbox, source.kind, key))
    except FileNotFoundError:
        raise Failed("session-gone", "the session's folder is not there any more") from None
    made_at = to_ms(datetime.fromisoformat(place.created_at))
    for draft in reading.records:
        seen = draft.record
        if isinstance(seen, CheckpointSeen) and (seen.checkpoint, to_ms(seen.created_at)) == (
            place.checkpoint,
            made_at,
        ):
            found = source.content(seen)
            if found is not None and _is(outbox, place, found):
                return found
    return None


async def held(server: Server, outbox: Outbox, place: Place) -> bytes:
    """What the control plane holds of it.

    Raises:
        Failed: If that is nothing, sealed so that nobody here opens it, or not what was told.
        Unreachable: Nobody answers: ask again later.
    """
    try:
        found = await server.held(place.id)
    except Absent:
        raise Failed("content-absent", "the checkpoint is not in the home, and its content never left it") from None
    except Refused as refused:
        raise Failed(refused.problem.code, f"the checkpoint is not in the home; {refused.problem.title}") from None
    except Busy:
        raise Failed("content-unreachable", "the checkpoint is not in the home; the store does not answer") from None
    try:
        return _opened(outbox, place, found)
    except (NotOpened, binascii.Error, ValueError):
        raise Failed("content-damaged", "what the control plane holds is not what was told of it") from None


def _opened(outbox: Outbox, place: Place, found: HeldContent) -> bytes:
    content = found.content
    form = _form(outbox, content.kid, content.sealed_key)
    if form is None:
        line = "the content is sealed, and this agent does not have its key any more; open it with the tenant's"
        raise Failed("content-sealed", line)
    document, room = [], min(content.size, LARGEST)
    for body in _bodies(content.chunks, found.bodies):
        document.append(form.opened(body, room) if isinstance(form, Sealed) else unpacked(body, room))
        room -= len(document[-1])
    whole = b"".join(document)
    if len(whole) != content.size or not _told(form, place, content, whole):
        raise NotOpened("its parts are not those that were told of")
    return whole


def _bodies(chunks: Sequence[Chunk], given: Sequence[str]) -> list[bytes]:
    bodies = [base64.b64decode(body, validate=True) for body in given]
    if [sha256(body).hexdigest() for body in bodies] != [chunk.sha256 for chunk in chunks]:
        raise NotOpened("a chunk is not the one that was told of")
    return bodies


def _told(form: Plain | Sealed, place: Place, content: Content, document: bytes) -> bool:
    """Whether it is what the command was signed for, not only what came with it."""
    return content.kid == place.kid and hmac.compare_digest(form.digest(document), place.digest)


def _is(outbox: Outbox, place: Place, document: bytes) -> bool:
    """Whether *document* is what was told of the checkpoint, as far as that can be known here."""
    form = _form(outbox, place.kid) if place.digest else None
    return form is None or hmac.compare_digest(form.digest(document), place.digest)


def _form(outbox: Outbox, kid: str, sealed_key: str = "") -> Plain | Sealed | None:
    """How content left that was sealed to the key *kid*; None: the content key is not here."""
    if not kid:
        return Plain()
    key = contents.content_key(outbox, kid)
    if key is None or (sealed_key and decoded(sealed_key) != key[1]):
        return None
    return Sealed(Envelope(kid, *key))
