import base64

import msgspec
import pytest

from controlplane.domain import keys
from controlplane.domain.keys import Keyring, UnusableKeyring

KEYRING = Keyring(current="b", keys={"a": bytes(32), "b": bytes([1] * 32)}, pepper=bytes(32))


def test_what_is_written_is_read_again(tmp_path):
    path, keyring = tmp_path / "secrets" / "keyring.json", keys.new()

    keys.write(path, keyring)

    assert keys.read(f"file:{path}", {}) == keyring
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_keyring_is_never_overwritten(tmp_path):
    keys.write(tmp_path / "k", keys.new())

    with pytest.raises(FileExistsError):
        keys.write(tmp_path / "k", keys.new())
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_a_keyring_can_come_from_a_variable():
    assert keys.read("env:KEK", {"KEK": msgspec.json.encode(KEYRING).decode()}) == KEYRING


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"current":"a","keys":{"a":""},"pepper":""}', b'{"current":"b","keys":{},"pepper":""}', b"\xff"],
)
def test_what_is_no_keyring_is_refused_without_repeating_it(tmp_path, content):
    (tmp_path / "k").touch(mode=0o600)
    (tmp_path / "k").write_bytes(content)

    with pytest.raises(UnusableKeyring, match="does not hold a keyring"):
        keys.read(f"file:{tmp_path / 'k'}", {})


def test_a_keyring_that_others_can_read_is_refused(tmp_path):
    keys.write(tmp_path / "k", keys.new())
    (tmp_path / "k").chmod(0o640)

    with pytest.raises(UnusableKeyring, match="chmod 600"):
        keys.read(f"file:{tmp_path / 'k'}", {})


def test_a_keyring_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnusableKeyring, match="No such file"):
        keys.read(f"file:{tmp_path / 'k'}", {})
    with pytest.raises(UnusableKeyring, match="KEK is not set"):
        keys.read("env:KEK", {})


def test_no_key_serves_two_purposes():
    seen = {keys.derived(KEYRING, key_id, purpose) for key_id in "ab" for purpose in ("x", "y")}

    assert len(seen | set(KEYRING.keys.values())) == 6


def test_the_published_keys_verify_what_the_signing_keys_sign():
    certificates = {f"certificate:{key_id}": key for key_id, key in keys.certificate_keys(KEYRING).items()}
    signing = {**keys.signing_keys(KEYRING), **certificates}

    published = keys.jwks(KEYRING)["keys"]

    assert [key["kid"] for key in published] == ["a", "b", "certificate:a", "certificate:b"]
    for key in published:
        raw = base64.urlsafe_b64decode(key["x"] + "=")
        assert signing[key["kid"]].public_key().public_bytes_raw() == raw
        assert "d" not in key


def test_printing_a_keyring_shows_no_key():
    assert repr(KEYRING) == "Keyring(current='b', …)"
