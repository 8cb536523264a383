"""Checkpoint content on its way: what may leave, how it is cut and sealed, and what a crash or a new store costs."""

import random
from hashlib import sha256
from uuid import uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from runtime_agent.content import sealing
from runtime_agent.content.cutting import COARSE, FINE, LARGE, cut
from runtime_agent.content.lane import Lane
from runtime_agent.content.sealing import NotOpened, Plain, Sealed
from runtime_agent.content.taking import Allowed, Taker, allowed
from runtime_agent.http import Unreachable
from runtime_agent.identity import decoded, encoded
from runtime_agent.outbox import contents, log
from runtime_agent.outbox.position import position
from runtime_agent.scan import Scanner
from runtime_agent.settings import Settings
from runtime_agent.touched import Touched
from runtime_agent.wire.content import ContentPolicy, Wanted
from runtime_agent.wire.records import AnyRecord
from tests.agent.homes import NOW, SessionFolder, checkpoint, engine, state

PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = encoded(PRIVATE.public_key().public_bytes_raw())
PLAIN, SEALED = ContentPolicy(policy="plain"), ContentPolicy(policy="sealed", suite=1, key=PUBLIC)
MEMORY = {"document": "MSA-1033.pdf", "canary": "never seen outside"}


# ---------------------------------------------------------------------------------------------------- what may leave


@pytest.mark.parametrize(
    ("here", "key", "told", "leaves"),
    [
        ("metadata", "", PLAIN, "metadata"),
        ("metadata", PUBLIC, SEALED, "metadata"),
        ("sealed", PUBLIC, PLAIN, "sealed"),
        ("sealed", PUBLIC, SEALED, "sealed"),
        ("sealed", "", SEALED, "metadata"),
        ("sealed", "AAAA", PLAIN, "metadata"),
        ("sealed", encoded(bytes(32)), SEALED, "metadata"),
        ("plain", "", PLAIN, "plain"),
        ("plain", "", SEALED, "sealed"),
        ("plain", "", ContentPolicy(policy="everything"), "metadata"),
        ("plain", "", ContentPolicy(), "metadata"),
    ],
)
def test_the_lesser_of_what_is_wanted_and_what_is_allowed_here_leaves(here, key, told, leaves):
    assert allowed(Settings(content=here, content_key=key), told).policy == leaves


def test_what_is_sealed_is_sealed_to_the_key_that_was_set_here():
    assert allowed(Settings(content="sealed", content_key=PUBLIC), PLAIN) == Allowed("sealed", decoded(PUBLIC))


# ----------------------------------------------------------------------------------------------------- cut and sealed


@given(st.binary(max_size=100_000))
def test_what_was_cut_is_whole_again_and_no_chunk_is_too_long(content):
    chunks = list(cut(content))

    assert b"".join(chunks) == content
    assert all(0 < len(chunk) <= FINE.most for chunk in chunks)


def test_what_is_put_in_changes_the_chunks_around_it_and_no_others():
    noise = random.Random(1).randbytes(200_000)
    before, after = set(cut(noise)), set(cut(noise[:90_000] + b"something new" + noise[90_000:]))

    assert len(before - after) <= 2
    assert len(before) > 25


def test_a_large_document_is_cut_coarsely():
    assert len(list(cut(bytes(LARGE)))) == LARGE // COARSE.most


def test_only_the_tenants_key_opens_what_is_sealed_and_the_same_is_sealed_the_same():
    form = Sealed(sealing.fresh(decoded(PUBLIC)))
    chunk = form.chunk(b"business data")

    again = Sealed(sealing.envelope_of(PRIVATE.private_bytes_raw(), form.envelope.sealed))
    assert again.opened(chunk, 100) == b"business data"
    assert form.chunk(b"business data") == chunk != Sealed(sealing.fresh(decoded(PUBLIC))).chunk(b"business data")

    with pytest.raises(NotOpened):
        sealing.envelope_of(X25519PrivateKey.generate().private_bytes_raw(), form.envelope.sealed)
    with pytest.raises(NotOpened):
        again.opened(chunk[:-1] + bytes([chunk[-1] ^ 1]), 100)
    with pytest.raises(NotOpened):
        again.opened(chunk, 5)


# ---------------------------------------------------------------------------------------------------------- the lane


class Bucket:
    """The control plane's side of the lane."""

    def __init__(self):
        self.put_in, self.committed, self.states, self.fails = {}, set(), {}, 0

    async def check(self, chunks, *, direct):
        return [
            Wanted(
                sha256=each.sha256.hex(),
                state="have" if each.sha256 in self.committed else self.states.get(each, "put"),
            )
            for each in chunks
        ]

    async def put(self, sha256, body):
        if self.fails:
            self.fails -= 1
            raise Unreachable("gone")
        self.put_in[bytes.fromhex(sha256)] = body

    async def commit(self, hashes):
        assert all(sha256(self.put_in[each]).digest() == each for each in hashes)
        self.committed.update(hashes)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "engine/agents").mkdir(parents=True)
    return tmp_path / "engine"


@pytest.fixture
def session(home):
    folder = SessionFolder(home)
    folder.state(state())
    return folder


def save(session, node, at=NOW, **memory):
    made = checkpoint("node_start", node, at) | {"shared_memory": MEMORY | memory}
    session.checkpoint(made)
    return made


class Site:
    """An agent's outbox beside a home, and the other side of its blob lane."""

    def __init__(self, rig, home, told=PLAIN, **settings):
        self.rig, self.told, self.source = rig, told, engine(home)
        self.settings = Settings(content="plain", content_kib_s=1 << 20, **settings)
        self.bucket = Bucket()
        rig.clock.now = NOW

    def look(self):
        rig = self.rig
        Scanner(rig.outbox, self.source, rig.clock, Touched()).everything(lambda _: None)
        taker = Taker(rig.outbox, [self.source], self.settings, rig.clock)
        while taker.take(self.told):
            pass

    def bring(self):
        rig = self.rig
        assert rig.settle()
        lane = Lane(rig.outbox, self.bucket, rig.sync, self.settings.content_kib_s)
        while rig.runner.run(lane.step()):
            pass

    def manifests(self):
        rows = self.rig.outbox.rows("SELECT line FROM log ORDER BY epoch, seq")
        records = [msgspec.json.decode(line, type=AnyRecord) for (line,) in rows]
        return [record for record in records if getattr(record, "content", None)]


def test_what_a_checkpoint_holds_arrives_byte_for_byte(rig, home, session):
    save(session, "intake")
    site = Site(rig, home)

    site.look()
    site.bring()

    [told] = site.manifests()
    bodies = [site.bucket.put_in[bytes.fromhex(chunk.sha256)] for chunk in told.content.chunks]
    document = b"".join(sealing.unpacked(body, 1 << 20) for body in bodies)
    assert document == (session.path / "checkpoints" / f"{told.checkpoint}.json").read_bytes()
    assert (told.content.size, told.content.digest) == (len(document), Plain().digest(document))
    assert contents.pending(rig.outbox) == 0


def test_nothing_of_the_content_is_taken_unless_both_sides_want_it(rig, home, session):
    save(session, "intake")
    site = Site(rig, home, told=ContentPolicy())

    site.look()

    assert (site.manifests(), contents.size(rig.outbox)) == ([], 0)


def test_nothing_that_is_sealed_can_be_read_on_the_way(rig, home, session):
    save(session, "intake")
    site = Site(rig, home, told=SEALED)

    site.look()
    site.bring()

    [told] = site.manifests()
    sent = b"".join(site.bucket.put_in.values()) + msgspec.json.encode(told)
    assert b"canary" not in sent
    form = Sealed(sealing.envelope_of(PRIVATE.private_bytes_raw(), decoded(told.content.sealed_key)))
    opened = b"".join(form.opened(site.bucket.put_in[bytes.fromhex(c.sha256)], 1 << 20) for c in told.content.chunks)
    assert (b"never seen outside" in opened, form.digest(opened)) == (True, told.content.digest)


def test_a_chunk_is_sent_once_however_many_checkpoints_are_made_of_it(rig, home, session):
    site = Site(rig, home)
    ballast = random.Random(2).randbytes(60_000).hex()
    for number in range(4):
        save(session, f"node{number}", NOW.replace(second=number), ballast=ballast, step=number)

    site.look()
    site.bring()

    named = [chunk for told in site.manifests() for chunk in told.content.chunks]
    assert sum(map(len, site.bucket.put_in.values())) < sum(chunk.size for chunk in named) / 3


def test_a_crash_between_put_and_commit_costs_one_more_put(rig, home, session):
    save(session, "intake")
    site = Site(rig, home)
    site.look()
    site.bucket.fails = 1

    with pytest.raises(Unreachable):
        site.bring()
    rig.crash()
    site.bring()

    assert len(site.manifests()) == 1
    assert site.bucket.committed == {bytes.fromhex(c.sha256) for c in site.manifests()[0].content.chunks}


def test_the_log_goes_before_the_chunks(rig, home, session):
    save(session, "intake")
    site = Site(rig, home)
    site.look()
    lane = Lane(rig.outbox, site.bucket, rig.sync, 1 << 20)

    assert rig.runner.run(lane.step()) is False
    rig.step()  # hello
    assert rig.runner.run(lane.step()) is False
    assert site.bucket.put_in == {}


def test_what_another_visit_of_the_same_second_overwrote_is_not_said_to_be_the_first(rig, home, session):
    first = save(session, "intake")
    save(session, "intake", NOW.replace(microsecond=7))
    session.index([first, checkpoint("node_start", "intake", NOW.replace(microsecond=7))])
    site = Site(rig, home)

    site.look()

    assert [told.created_raw for told in site.manifests()] == [NOW.replace(microsecond=7, tzinfo=None).isoformat()]


def test_of_another_store_everything_is_asked_about_again_and_what_lines_still_name_is_kept(rig, home, session):
    save(session, "intake")
    site = Site(rig, home)
    site.look()
    site.bring()

    assert contents.prune(rig.outbox) == 0, "the line that names it is still here"
    site.bucket = Bucket()
    contents.speaks_to(rig.outbox, uuid4())
    site.bring()
    assert site.bucket.committed

    where = position(rig.outbox)
    rig.outbox.rows("DELETE FROM log WHERE seq <= ?", [where.acked])
    assert contents.prune(rig.outbox) == len(site.bucket.committed)
    assert log.backlog(rig.outbox).records == 0
