"""A checkpoint's file found again: in the home as long as it is what was told, else what the control plane holds of it."""

import base64
import json
from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runtime_agent.content import bringing_back, sealing
from runtime_agent.content.cutting import cut
from runtime_agent.content.sealing import Plain, Sealed
from runtime_agent.http import Absent, Busy, Refused, Unreachable
from runtime_agent.identity import encoded
from runtime_agent.outbox import contents, open_outbox
from runtime_agent.sources.acting import Failed
from runtime_agent.wire.commands import Command, Place
from runtime_agent.wire.content import Chunk, Content, HeldContent
from runtime_agent.wire.problems import Problem
from tests.agent.homes import AGENT, NAME, NOW, SessionFolder, checkpoint, engine, state
from tests.agent.reference import RUNTIME

MADE = {**checkpoint("node_complete", "intake", NOW), "session_id": NAME, "shared_memory": {"long": "x" * 20_000}}
DOCUMENT = json.dumps(MADE).encode()
PUBLIC = X25519PrivateKey.generate().public_key().public_bytes_raw()


@pytest.fixture
def outbox(tmp_path):
    opened = open_outbox(tmp_path / "outbox.db", RUNTIME)
    yield opened
    opened.close()


def place(form, document=DOCUMENT):
    kid = form.envelope.kid if isinstance(form, Sealed) else ""
    at = f"{MADE['created_at']}+00:00"
    return Place(id="cp_1", checkpoint=MADE["checkpoint_id"], created_at=at, digest=form.digest(document), kid=kid)


def kept(form, document=DOCUMENT):
    bodies = [form.chunk(piece) for piece in cut(document)]
    sealed = isinstance(form, Sealed)
    return HeldContent(
        content=Content(
            policy=form.policy,
            size=len(document),
            digest=form.digest(document),
            chunks=[Chunk(sha256=sha256(body).hexdigest(), size=len(body)) for body in bodies],
            kid=form.envelope.kid if sealed else "",
            sealed_key=encoded(form.envelope.sealed) if sealed else "",
        ),
        bodies=[base64.b64encode(body).decode() for body in bodies],
    )


class Held:
    """The control plane, as far as it holds one checkpoint."""

    def __init__(self, answer):
        self.answer = answer

    async def held(self, checkpoint):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def sealed(outbox):
    form = Sealed(sealing.fresh(PUBLIC))
    contents.keep_content_key(outbox, *form.envelope)
    return form


# ------------------------------------------------------------------------------------------------------ in the home


@pytest.fixture
def home(tmp_path):
    folder = SessionFolder(tmp_path / "engine")
    folder.state(state())
    folder.checkpoint(MADE)
    return folder


def found(home, outbox, at):
    words = {"tenant": "acme", "runtime": "rt", "command": "cmd_" + "0" * 26, "number": 1, "not_after": ""}
    command = Command(**words, kind="rollback", agent=AGENT, session=NAME, place=at)
    return bringing_back.in_home(outbox, engine(home.path.parents[3]), command, at, NOW)


def test_the_file_that_is_still_there_is_what_is_used_whether_or_not_anything_was_told_of_it(home, outbox):
    for at in (place(Plain()), place(sealed(outbox)), msgspec.structs.replace(place(Plain()), digest="")):
        assert found(home, outbox, at) == DOCUMENT


def test_a_file_that_is_not_what_was_told_another_visits_or_gone_is_not_used(home, outbox):
    for form in (Plain(), sealed(outbox)):
        assert found(home, outbox, place(form, b"what it was")) is None
    earlier = msgspec.structs.replace(place(Plain()), created_at="2026-11-20T11:59:59.900+00:00")
    assert found(home, outbox, earlier) is None
    (home.path / f"checkpoints/{MADE['checkpoint_id']}.json").unlink()
    assert found(home, outbox, place(Plain())) is None


# ------------------------------------------------------------------------------------------- from the control plane


async def test_what_the_control_plane_holds_is_put_together_and_opened(outbox):
    for form in (Plain(), sealed(outbox)):
        assert await bringing_back.held(Held(kept(form)), outbox, place(form)) == DOCUMENT


async def test_what_was_sealed_under_a_key_that_is_not_here_any_more_is_left_to_the_tenant(outbox):
    gone, other = Sealed(sealing.fresh(PUBLIC)), sealed(outbox)
    assert gone.envelope.kid == other.envelope.kid

    with pytest.raises(Failed) as refused:
        await bringing_back.held(Held(kept(gone)), outbox, place(gone))

    assert refused.value.code == "content-sealed"


def another(given):
    """All of another document, consistent in itself: only the command's own word tells."""
    return kept(Plain(), DOCUMENT.replace(b"intake", b"attack"))


def a_byte_changed(given):
    first = bytearray(base64.b64decode(given.bodies[0]))
    first[-1] ^= 1
    return msgspec.structs.replace(given, bodies=[base64.b64encode(first).decode(), *given.bodies[1:]])


def cut_short(given):
    return msgspec.structs.replace(given, bodies=given.bodies[:-1])


def no_base64(given):
    return msgspec.structs.replace(given, bodies=["?", *given.bodies[1:]])


def longer_than_told(given):
    return msgspec.structs.replace(given, content=msgspec.structs.replace(given.content, size=10))


@pytest.mark.parametrize("spoil", [another, a_byte_changed, cut_short, no_base64, longer_than_told])
async def test_anything_else_than_what_the_command_was_signed_for_is_refused(outbox, spoil):
    with pytest.raises(Failed) as refused:
        await bringing_back.held(Held(spoil(kept(Plain()))), outbox, place(Plain()))

    assert refused.value.code == "content-damaged"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Absent(), "content-absent"),
        (Refused(Problem(code="content-pruned", status=410, title="It was pruned")), "content-pruned"),
        (Refused(Problem(code="content-incomplete", status=409, title="It is arriving")), "content-incomplete"),
        (Busy(5.0, Problem()), "content-unreachable"),
    ],
)
async def test_what_is_not_there_is_said_with_its_reason(outbox, answer, code):
    with pytest.raises(Failed) as refused:
        await bringing_back.held(Held(answer), outbox, place(Plain()))

    assert refused.value.code == code


async def test_where_nobody_answers_it_is_tried_again_later(outbox):
    with pytest.raises(Unreachable):
        await bringing_back.held(Held(Unreachable("no route")), outbox, place(Plain()))
