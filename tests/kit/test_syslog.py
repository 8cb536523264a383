import ssl
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controlplane.kit import syslog
from controlplane.kit.syslog import Message
from tests.receiver import receiving

MESSAGE = Message(
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), severity=4, kind="access.denied", text='{"a":"ä"}'.encode()
)


def test_a_message_is_as_rfc_5424_says_and_framed_by_its_length():
    frame = syslog.encoded(MESSAGE, "host one", "engine-cloud")

    length, _, rest = frame.partition(b" ")
    assert int(length) == len(rest)
    assert rest == (
        b"<108>1 2026-01-02T03:04:05.678901Z host_one engine-cloud - access.denied - \xef\xbb\xbf" + MESSAGE.text
    )


async def test_everything_that_is_sent_arrives():
    frames = [syslog.encoded(MESSAGE, "h", "p") for _ in range(500)]

    async with receiving() as receiver:
        await syslog.send(receiver.address, frames)

    assert receiver.received == b"".join(frames)


async def test_a_receiver_that_is_away_is_an_error():
    async with receiving() as receiver:
        address = receiver.address

    with pytest.raises(OSError, match=r"refused|failed"):
        await syslog.send(address, [b"1 x"])


async def test_a_receiver_that_hangs_up_in_the_middle_is_an_error():
    frames = [syslog.encoded(MESSAGE, "h", "p") for _ in range(50_000)]

    async with receiving(hangs_up_after=100) as receiver:
        with pytest.raises(ConnectionError):
            await syslog.send(receiver.address, frames)


async def test_over_tls_the_receiver_has_to_be_trusted(tmp_path):
    certificate, key = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(certificate, key)
    frames = [syslog.encoded(MESSAGE, "h", "p") for _ in range(500)]

    async with receiving(context=own) as receiver:
        await syslog.send(receiver.address, frames, trusting)
        assert receiver.received == b"".join(frames)
        with pytest.raises(ssl.SSLCertVerificationError):
            await syslog.send(receiver.address, frames)
    assert receiver.received == b"".join(frames)


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate", folder / "key"
