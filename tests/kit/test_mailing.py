"""Letters on their way out, to a real mail server and into a folder."""

import asyncio
import datetime
import email
import email.policy
import ssl
import stat
from datetime import UTC, timedelta
from ipaddress import ip_address

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec.structs import replace

from controlplane.kit import mailing
from controlplane.kit.mailing import IntoFolder, Message, NotSent, Undeliverable

SENDER = "Engine Cloud <no-reply@cloud.example>"
MESSAGE = Message(
    id="mail_1",
    to="ann@example.com",
    subject="You are invited to Ärger & Söhne",
    text="Accept the invitation:\nhttps://cloud.example/console/invitation#secret\n",
    html="<p>Accept</p>",
    written_at=datetime.datetime(2026, 1, 1, tzinfo=UTC),
)


class Server:
    """What a mail server took, and how it answers."""

    def __init__(self):
        self.letters, self.answer, self.logins = [], "250 OK", []

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, _server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, letter, session.ssl is not None))
        return "250 taken"

    def login(self, _server, _session, _envelope, mechanism, given):
        self.logins.append((mechanism, given.login, given.password))
        right = isinstance(given, LoginPassword) and given.password == b"p@ss/word"
        return AuthResult(success=right, handled=False)  # then the server itself says so


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def listen(server):
    """Starts the server somewhere and says where."""
    opened = []

    async def start(**options):
        made = await asyncio.get_running_loop().create_server(
            lambda: SMTP(server, hostname="mail.test", **options), "127.0.0.1", 0
        )
        opened.append(made)
        return made.sockets[0].getsockname()[1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def certificate(tmp_path):
    """Of 127.0.0.1, for a day, by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    now = datetime.datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    pem = tmp_path / "mail.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return pem


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_letter_arrives_with_both_its_faces(server, listen):
    port = await listen()

    await mailing.through(f"smtp://127.0.0.1:{port}", SENDER).send(MESSAGE)

    [(sender, to, letter, encrypted)] = server.letters
    assert (sender, to, encrypted) == ("no-reply@cloud.example", ["ann@example.com"], False)
    assert letter["Subject"] == MESSAGE.subject
    assert letter["Message-ID"] == "<mail_1@cloud.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    text, html = letter.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == MESSAGE.text
    assert (html.get_content_type(), html.get_content().strip()) == ("text/html", MESSAGE.html)


async def test_encryption_is_used_where_it_is_offered(server, listen, tls, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    port = await listen(tls_context=tls)

    await mailing.through(f"smtp://127.0.0.1:{port}", SENDER).send(MESSAGE)

    [(_, _, _, encrypted)] = server.letters
    assert encrypted


async def test_a_server_that_nobody_vouches_for_gets_no_letter(server, listen, tls):
    port = await listen(tls_context=tls)

    with pytest.raises(NotSent, match="SSLCertVerificationError"):
        await mailing.through(f"smtp://127.0.0.1:{port}", SENDER).send(MESSAGE)

    assert server.letters == []


async def test_elsewhere_nothing_goes_unencrypted_unless_somebody_says_so(server, listen, monkeypatch):
    port = await listen()
    monkeypatch.setattr(mailing, "LOOPBACK", ())

    with pytest.raises(Undeliverable, match="encryption"):
        await mailing.through(f"smtp://127.0.0.1:{port}", SENDER).send(MESSAGE)
    await mailing.through(f"smtp://127.0.0.1:{port}?tls=no", SENDER).send(MESSAGE)

    assert len(server.letters) == 1


async def test_name_and_password_may_hold_any_character(server, listen, tls, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    port = await listen(tls_context=tls, authenticator=server.login, auth_required=True)

    await mailing.through(f"smtp://robot%40cloud:p%40ss%2Fword@127.0.0.1:{port}", SENDER).send(MESSAGE)
    with pytest.raises(NotSent):
        await mailing.through(f"smtp://robot:wrong@127.0.0.1:{port}", SENDER).send(MESSAGE)

    assert len(server.letters) == 1
    assert server.logins[0][1] == b"robot@cloud"


@pytest.mark.parametrize(
    ("answer", "error"), [("550 no such box", Undeliverable), ("451 later", NotSent), ("452 full", NotSent)]
)
async def test_what_a_server_refuses_for_ever_is_told_from_what_it_refuses_now(server, listen, answer, error):
    server.answer = answer
    port = await listen()

    with pytest.raises(error) as raised:
        await mailing.through(f"smtp://127.0.0.1:{port}", SENDER).send(MESSAGE)

    assert answer[:3] in str(raised.value)
    assert "ann" not in str(raised.value)


async def test_a_server_that_is_away_is_tried_again_later():
    with pytest.raises(NotSent):
        await mailing.through("smtp://127.0.0.1:1", SENDER).send(MESSAGE)


async def test_a_header_is_one_line_whatever_a_tenant_is_called(server, listen):
    port = await listen()
    subject = "You are invited to Acme\r\nBcc: everybody@example.com"

    await mailing.through(f"smtp://127.0.0.1:{port}", SENDER).send(replace(MESSAGE, subject=subject))

    [(_, to, letter, _)] = server.letters
    assert to == ["ann@example.com"]
    assert letter["Bcc"] is None


async def test_into_a_folder_goes_one_private_file_each_and_again_is_the_same(tmp_path):
    post = IntoFolder(tmp_path / "outbox", SENDER)

    for _ in range(2):
        await post.send(MESSAGE)

    [file] = (tmp_path / "outbox").iterdir()
    assert file.name == "20260101T000000-mail_1.eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert letter["To"] == "ann@example.com"
    assert "#secret" in letter.get_body(("plain",)).get_content()


async def test_a_folder_that_cannot_be_written_is_tried_again_later(tmp_path):
    (tmp_path / "outbox").write_text("in the way")

    with pytest.raises(NotSent):
        await IntoFolder(tmp_path / "outbox", SENDER).send(MESSAGE)


@pytest.mark.parametrize("url", ["smtp://", "smtp://:25", "smtp://mail.example:port", "smtp://mail.example:99999"])
def test_an_address_that_names_no_server_is_refused(url):
    with pytest.raises(ValueError, match=r"host|[Pp]ort"):
        mailing.through(url, SENDER)


def test_a_message_does_not_show_what_it_says():
    assert repr(MESSAGE) == "Message(mail_1)"
