"""QR codes. The kept ones were read back by an independent reader (OpenCV's) when they were made."""

import hashlib

import pytest

from controlplane.kit import qr

ADDRESS = "otpauth://totp/Engine%20Cloud:ann%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Engine%20Cloud"

FINDER = ["#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"]


def drawn(text):
    return ["".join(".#"[dark] for dark in row) for row in qr.matrix(text)]


@pytest.mark.parametrize(
    ("text", "size", "digest"),
    [
        ("a", 21, "c4315a3129973d42ba534a8ba246c9e37a00a9acad8604d9b46e2e602cf2bd54"),
        (ADDRESS, 41, "ec027173110b0839ef7893f37e87f15c1fa19444320e97e3873a32a971847264"),
        ("x" * 412, 77, "7d42c1735fe8f78d13ff4f2874c84b7450fc7a6c40b2eccde7bc19c9421b6a9e"),
    ],
)
def test_codes_are_those_that_a_reader_has_read(text, size, digest):
    rows = drawn(text)

    assert (len(rows), {len(row) for row in rows}) == (size, {size})
    assert hashlib.sha256("\n".join(rows).encode()).hexdigest() == digest


@pytest.mark.parametrize("length", [1, 14, 15, 106, 180, 250, 412])
def test_every_code_has_its_three_corners(length):
    rows = drawn("x" * length)

    assert [row[:7] for row in rows[:7]] == FINDER
    assert [row[-7:] for row in rows[:7]] == FINDER
    assert [row[:7] for row in rows[-7:]] == FINDER


def test_what_no_phone_would_read_is_refused():
    with pytest.raises(ValueError, match="too long"):
        qr.matrix("x" * 413)
