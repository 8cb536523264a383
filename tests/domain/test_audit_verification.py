"""An exported log verifies with a checkpoint and a key and nothing else, and whatever is done to it is found and named."""

import random
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from controlplane.domain import audit
from controlplane.domain.audit import Event, checkpoints, exports
from controlplane.domain.audit.exports import ExportUnusable
from controlplane.kit import notes
from controlplane.kit.merkle import Tree
from controlplane.kit.notes import Checkpoint, PublicKey

CHAIN = UUID("019b76da-a800-7000-8000-000000000001")
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes([3] * 32))
NAME = checkpoints.origin(CHAIN)
KEY = f"{PublicKey(NAME, SIGNER.public_key().public_bytes_raw())}\n"
SIZE = 23


def event(seq, **given):
    plain = Event(
        seq=seq,
        id=UUID(int=seq),
        occurred_us=1_767_225_600_000_000 + seq,
        action="thing.changed",
        outcome="success",
        actor_kind="account",
        actor_id="acc_x",
        target_kind="thing",
        target_id=f"thing_{seq}",
        facts={"number": seq, "text": 'ä"\\', "list": [1, None, True]},
        request_id="req_x",
        sealed=bytes(range(40)) if seq % 3 == 0 else None,
        prev_hash=b"",
        hash=b"",
    )
    return replace(plain, **given)


def chained(events, prev=audit.START):
    found = []
    for each in events:
        placed = replace(each, prev_hash=prev)
        prev = audit.link(CHAIN, placed)
        found.append(replace(placed, hash=prev))
    return found


def signed(events, size=None, signer=SIGNER):
    tree = Tree()
    for each in events[:size]:
        tree.append(each.hash)
    return notes.sign(Checkpoint(NAME, tree.size, tree.root()).text(), NAME, signer)


EVENTS = chained(event(seq) for seq in range(1, SIZE + 1))
LINES = [audit.line(CHAIN, each) + b"\n" for each in EVENTS]
WHOLE = b"".join(LINES)
NOTE = signed(EVENTS)


@pytest.fixture
def verify(tmp_path):
    def verify(events=WHOLE, note=NOTE, key=KEY):
        for name, content in (("events", events), ("note", note), ("key", key)):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return exports.verify(tmp_path / "events", tmp_path / "note", tmp_path / "key")

    return verify


def first(verdict):
    assert not verdict.unbroken
    return verdict.damages[0].kind, verdict.damages[0].seq


def test_what_was_exported_verifies(verify):
    verdict = verify()

    assert verdict.unbroken
    assert (verdict.events, verdict.first_seq, verdict.last_seq, verdict.signed_through) == (SIZE, 1, SIZE, SIZE)


def test_every_earlier_checkpoint_is_verified_too(verify):
    verdict = verify(note="".join(signed(EVENTS, size) for size in (1, 7, 8, SIZE)))

    assert verdict.unbroken
    assert verdict.checkpoints == 4


def test_no_byte_can_be_another_unnoticed(verify):
    dice, few, note = random.Random(1), b"".join(LINES[:4]), signed(EVENTS, 4)
    for position in range(len(few)):
        changed = bytearray(few)
        changed[position] ^= dice.randrange(1, 256)

        verdict = verify(bytes(changed), note)

        seq = few[:position].count(b"\n") + 1
        assert not verdict.unbroken, position
        assert verdict.damages[0].seq == seq, (position, verdict.damages[0])
        assert verdict.damages[0].kind in ("content", "link", "gap", "fork"), position


@given(position=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
def test_nor_can_one_of_a_longer_log(verify, position, flip):
    changed = bytearray(WHOLE)
    changed[position] ^= flip

    assert verify(bytes(changed)).damages[0].seq == WHOLE[:position].count(b"\n") + 1


@given(position=st.integers(0, len(WHOLE) - 1), inserted=st.binary(min_size=1, max_size=3))
def test_no_byte_can_be_added_unnoticed(verify, position, inserted):
    assert not verify(WHOLE[:position] + inserted + WHOLE[position:]).unbroken


@given(position=st.integers(0, len(WHOLE) - 1), length=st.integers(1, 2_000))
def test_nothing_can_be_cut_out_unnoticed(verify, position, length):
    assert not verify(WHOLE[:position] + WHOLE[position + length :]).unbroken


@given(seq=st.integers(1, SIZE - 1), more=st.integers(0, 3))
def test_events_that_were_removed_are_a_gap(verify, seq, more):
    gone = min(seq + more, SIZE - 1)

    assert first(verify(b"".join(LINES[: seq - 1] + LINES[gone:]))) == ("gap", seq)


@given(length=st.integers(0, SIZE - 1))
def test_a_log_that_ends_too_early_is_truncated(verify, length):
    assert first(verify(b"".join(LINES[:length]))) == ("truncated-vs-checkpoint", length + 1)


@given(order=st.permutations(range(SIZE)))
def test_another_order_is_noticed_where_it_begins(verify, order):
    if list(order) == sorted(order):
        return
    began = next(place for place, number in enumerate(order) if place != number)

    kind, seq = first(verify(b"".join(LINES[number] for number in order)))

    assert (kind, seq) == ("gap", began + 1)


@given(seq=st.integers(1, SIZE))
def test_an_event_that_stands_there_twice_is_a_fork(verify, seq):
    assert first(verify(b"".join([*LINES[:seq], LINES[seq - 1], *LINES[seq:]]))) == ("fork", seq)


@given(seq=st.integers(1, SIZE - 1))
def test_an_event_written_anew_with_a_hash_that_fits_breaks_the_link_after_it(verify, seq):
    [forged] = chained([replace(EVENTS[seq - 1], actor_id="acc_y")], EVENTS[seq - 1].prev_hash)
    lines = [*LINES[: seq - 1], audit.line(CHAIN, forged) + b"\n", *LINES[seq:]]

    assert first(verify(b"".join(lines))) == ("link", seq + 1)


@given(seq=st.integers(1, SIZE), known=st.integers(1, SIZE))
def test_a_suffix_forged_anew_is_not_what_was_signed(verify, seq, known):
    last = EVENTS[seq - 2].hash if seq > 1 else audit.START
    forged = chained([replace(each, actor_id="acc_y") for each in EVENTS[seq - 1 :]], last)
    lines = [*LINES[: seq - 1], *(audit.line(CHAIN, each) + b"\n" for each in forged)]

    verdict = verify(b"".join(lines), signed(EVENTS, known) + NOTE if known < SIZE else NOTE)

    kind, seq_said = first(verdict)
    assert kind == "fork"
    assert seq_said <= seq
    assert seq_said == (known + 1 if known < seq else 1)


def test_a_forged_log_that_its_forger_signed_is_refused(verify):
    forged = chained(replace(each, actor_id="acc_y") for each in EVENTS)
    note = signed(forged, signer=Ed25519PrivateKey.from_private_bytes(bytes([4] * 32)))

    assert first(verify(b"".join(audit.line(CHAIN, each) + b"\n" for each in forged), note))[0] == "signature"


@given(position=st.integers(0, len(NOTE.encode()) - 1), flip=st.integers(1, 255))
def test_no_byte_of_the_checkpoint_can_be_another(verify, position, flip):
    changed = bytearray(NOTE.encode())
    changed[position] ^= flip

    assert first(verify(note=bytes(changed)))[0] == "signature"


def test_a_log_that_went_on_since_is_signed_only_so_far(verify):
    verdict = verify(note=signed(EVENTS, 20))

    assert verdict.unbroken
    assert (verdict.signed_through, verdict.last_seq) == (20, SIZE)


def pruned(through):
    """The log without its first *through* events, of which its last one tells."""
    tree = Tree()
    for each in EVENTS[:through]:
        tree.append(each.hash)
    facts = {"through": through, "hash": EVENTS[through - 1].hash.hex(), "edge": [node.hex() for node in tree.edge]}
    told = event(SIZE + 1, action=audit.PRUNED, facts=facts)
    return EVENTS[through:] + chained([told], EVENTS[-1].hash), EVENTS + chained([told], EVENTS[-1].hash)


@given(through=st.integers(1, SIZE))
def test_a_log_whose_oldest_events_were_pruned_verifies_behind_them(verify, through):
    kept, whole = pruned(through)

    verdict = verify(b"".join(audit.line(CHAIN, each) + b"\n" for each in kept), signed(whole))

    assert verdict.unbroken
    assert (verdict.first_seq, verdict.signed_through) == (through + 1, SIZE + 1)


@given(through=st.integers(2, SIZE - 1))
def test_more_cannot_go_than_was_pruned(verify, through):
    kept, whole = pruned(through)

    verdict = verify(b"".join(audit.line(CHAIN, each) + b"\n" for each in kept[1:]), signed(whole))

    assert first(verdict) == ("gap", 1)


def test_what_claims_to_be_pruned_has_to_have_been_signed(verify):
    kept, whole = pruned(5)
    facts = {**kept[-1].facts, "edge": [node.hex() for node in Tree(5, [bytes(32)] * 2).edge]}
    forged = [*kept[:-1], *chained([replace(kept[-1], facts=facts)], kept[-2].hash)]

    verdict = verify(b"".join(audit.line(CHAIN, each) + b"\n" for each in forged), signed(whole))

    assert first(verdict)[0] == "fork"


@pytest.mark.parametrize("key", ["", "nonsense", KEY.replace("audit", "other"), KEY + KEY.replace("1+", "2+")])
def test_a_key_that_is_none_is_refused(verify, key):
    with pytest.raises(ExportUnusable):
        verify(key=key)


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ExportUnusable, match="No such file"):
        exports.verify(tmp_path / "a", tmp_path / "b", tmp_path / "c")


@given(content=st.binary(max_size=200) | st.builds(msgspec.json.encode, st.dictionaries(st.text(), st.floats())))
def test_what_is_no_export_at_all_is_damage_and_no_crash(verify, content):
    assert not verify(content).unbroken
    assert not verify(content + b"\n" + WHOLE).unbroken
