import re
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.kit import envelope
from controlplane.kit.envelope import NotOpened
from controlplane.kit.sealing import Place

KEY_ID = UUID("019b76da-a800-7000-8000-000000000001")
KEY = bytes(range(32))
PLACE = ("019b76da-a800-7000-8000-0000000000aa", "audit_events", "7", "0", "audit-personal")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "envelope.md"
VECTOR = re.compile(r"^\| `(\d+)` \| `([^`]*)` \| `([^`]*)` \| (?:empty|`([^`]*)`) \| `([0-9a-f]+)` \|$", re.MULTILINE)


@given(plaintext=st.binary(max_size=600), place=st.lists(st.text(max_size=12), max_size=5), step=st.integers(1, 300))
def test_what_is_sealed_is_unsealed_in_its_place(plaintext, place, step):
    sealed = envelope.seal(KEY_ID, KEY, place, plaintext, step=step)

    assert envelope.unseal(KEY, place, sealed) == plaintext
    assert envelope.key_id_of(sealed) == KEY_ID
    assert (len(sealed) - 98) % step == 0


@given(one=st.lists(st.text(max_size=6), max_size=4), other=st.lists(st.text(max_size=6), max_size=4))
def test_no_two_places_are_the_same_however_their_parts_are_cut(one, other):
    sealed = envelope.seal(KEY_ID, KEY, one, b"secret")

    if one == other:
        assert envelope.unseal(KEY, other, sealed) == b"secret"
    else:
        with pytest.raises(NotOpened):
            envelope.unseal(KEY, other, sealed)


def test_every_flipped_bit_is_refused():
    sealed = envelope.seal(KEY_ID, KEY, PLACE, b"a secret", step=16)

    for position in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[position] ^= 1 << bit
            with pytest.raises(NotOpened):
                envelope.unseal(KEY, PLACE, bytes(changed))


def test_every_shortened_and_every_lengthened_envelope_is_refused():
    sealed = envelope.seal(KEY_ID, KEY, PLACE, b"a secret", step=16)

    for length in range(len(sealed)):
        with pytest.raises(NotOpened):
            envelope.unseal(KEY, PLACE, sealed[:length])
    with pytest.raises(NotOpened):
        envelope.unseal(KEY, PLACE, sealed + b"\x00")


def test_another_key_opens_nothing():
    sealed = envelope.seal(KEY_ID, KEY, PLACE, b"a secret")

    with pytest.raises(NotOpened, match="another key"):
        envelope.unseal(bytes(32), PLACE, sealed)


def test_the_same_secret_is_sealed_differently_each_time():
    assert len({envelope.seal(KEY_ID, KEY, PLACE, b"a secret") for _ in range(20)}) == 20


def test_secrets_of_different_length_look_alike():
    assert {len(envelope.seal(KEY_ID, KEY, PLACE, bytes(length))) for length in range(256)} == {98 + 256}


def test_the_published_vectors_hold():
    vectors = VECTOR.findall(PAGE.read_text())

    assert len(vectors) == 3
    for step, salt, place, plaintext, sealed in vectors:
        made = envelope.seal(
            KEY_ID, KEY, place.split(" / "), plaintext.encode(), step=int(step), salt=bytes.fromhex(salt)
        )
        assert made.hex() == sealed
        assert envelope.unseal(KEY, place.split(" / "), bytes.fromhex(sealed)) == plaintext.encode()


async def test_the_wrapped_data_key_that_is_published_unwraps():
    [wrapping] = re.findall(r"^\| key that wraps \| `([0-9a-f]+)` \|$", PAGE.read_text(), re.MULTILINE)
    [wrapped] = re.findall(r"^\| wrapped data key \| `([0-9a-f]+)` \|$", PAGE.read_text(), re.MULTILINE)
    ring = Keyring(current="k001", keys={"k001": bytes(range(32, 64))}, pepper=bytes(32))
    place = Place("019b76da-a800-7000-8000-0000000000aa", str(KEY_ID), "refresh", "")

    assert keys.derived(ring, "k001", "cp.kek.v1").hex() == wrapping
    assert await keys.sealing(ring).unwrap("k001", place, bytes.fromhex(wrapped)) == KEY
