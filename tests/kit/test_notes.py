import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from controlplane.kit import notes
from controlplane.kit.notes import Checkpoint, NoteRefused, PublicKey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NAME = "engine-cloud/audit/x"
PUBLIC = PublicKey(NAME, KEY.public_key().public_bytes_raw())
KNOWN = {notes.key_hash(PUBLIC): PUBLIC}
NOTE = notes.sign(Checkpoint(NAME, 7, bytes(range(32))).text(), NAME, KEY)


def read(text):
    return [notes.checkpoint(note, KNOWN) for note in notes.every_note(text)]


def test_the_published_example_of_signed_notes_opens():
    key = notes.parse_key("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    note = (
        "This is an example message.\n\n— example.com/foo "
        "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )

    assert notes.opened(note, {notes.key_hash(key): key}) == "This is an example message.\n"


def test_a_checkpoint_comes_out_as_it_went_in():
    assert notes.checkpoint(NOTE, KNOWN) == Checkpoint(NAME, 7, bytes(range(32)))
    assert NOTE.splitlines()[:2] == [NAME, "7"]


def test_a_key_is_read_as_it_is_written_and_not_otherwise():
    assert notes.parse_key(f"{PUBLIC}\n") == PUBLIC
    for wrong in (str(PUBLIC)[:-1], str(PUBLIC).replace("/x", "/y"), "", "a+b+c", str(PUBLIC) + "A"):
        with pytest.raises(NoteRefused):
            notes.parse_key(wrong)


@given(position=st.integers(0, len(NOTE.encode()) - 1), byte=st.integers(0, 255))
def test_no_byte_of_a_note_can_be_another(position, byte):
    changed = bytearray(NOTE.encode())
    changed[position] = byte
    if bytes(changed) == NOTE.encode():
        return

    with pytest.raises(NoteRefused):
        read(changed.decode(errors="replace"))


def test_a_checkpoint_of_another_log_is_none_of_this_one():
    other = notes.sign(Checkpoint("engine-cloud/audit/y", 7, bytes(32)).text(), NAME, KEY)

    with pytest.raises(NoteRefused, match="of this log"):
        notes.checkpoint(other, KNOWN)


def test_a_stranger_signs_nothing():
    stranger = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))

    with pytest.raises(NoteRefused, match="not signed with a key"):
        notes.checkpoint(notes.sign(Checkpoint(NAME, 7, bytes(32)).text(), NAME, stranger), KNOWN)


def test_notes_are_kept_one_after_the_other():
    second = notes.sign(Checkpoint(NAME, 9, bytes(32)).text(), NAME, KEY)

    assert notes.every_note(NOTE + second) == [NOTE, second]
    for wrong in ("", "nonsense", NOTE + "\n", NOTE[:-1], "\n" + second[1:]):
        with pytest.raises(NoteRefused):
            read(wrong)
