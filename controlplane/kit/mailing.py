"""Letters on their way out: through a mail server (RFC 5321), or into a folder where nobody named one."""

import asyncio
import os
import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

TIMEOUT_S: Final = 20.0
"""Of every step of talking to a mail server."""

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

PERMANENT: Final = range(500, 600)
"""Replies that mean: the same again will be refused again (RFC 5321 section 4.2.1)."""


class NotSent(Exception):
    """Not this time; later it may go. Its text names no address."""


class Undeliverable(Exception):
    """Not ever: this server does not take this letter."""


class Message(Struct, frozen=True, kw_only=True):
    """A letter with both its faces."""

    id: str
    """The same at every attempt, so that a letter that was sent twice can be recognized."""
    to: str
    subject: str
    text: str
    html: str
    written_at: datetime

    def __repr__(self) -> str:
        return f"Message({self.id})"


class Post(Protocol):
    async def send(self, message: Message) -> None:
        """
        Raises:
            NotSent, Undeliverable: If it was not taken.
        """
        ...


def through(smtp_url: str, sender: str) -> "ThroughServer":
    """The mail server at ``smtp://USER:PASSWORD@HOST:PORT`` or ``smtps://…``.

    Raises:
        ValueError: If it names no host, or its port is none.
    """
    server = urlsplit(smtp_url)
    if not server.hostname or (server.port is not None and server.port < 1):
        raise ValueError("no host")
    return ThroughServer(server, sender)


class ThroughServer:
    """``smtps`` is encrypted from the first byte; ``smtp`` by STARTTLS, without which only a server on this machine,
    or one whose address ends in ``?tls=no``, is talked to."""

    def __init__(self, server: SplitResult, sender: str) -> None:
        self._server, self._sender = server, sender
        self._plain_is_fine = server.hostname in LOOPBACK or server.query == "tls=no"

    async def send(self, message: Message) -> None:
        letter = compose(message, self._sender)
        try:
            await asyncio.to_thread(self._hand_over, letter)
        except smtplib.SMTPRecipientsRefused as error:
            [(code, _), *_] = error.recipients.values()
            raise _refused(code) from None
        except smtplib.SMTPDataError as error:
            raise _refused(error.smtp_code) from None
        except smtplib.SMTPNotSupportedError:
            raise Undeliverable("the mail server cannot take such an address, or offers no encryption") from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotSent(type(error).__name__) from None

    def _hand_over(self, letter: EmailMessage) -> None:
        host, context = self._server.hostname or "", ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(host, self._server.port or 465, timeout=TIMEOUT_S, context=context)
            if self._server.scheme == "smtps"
            else smtplib.SMTP(host, self._server.port or 587, timeout=TIMEOUT_S)
        ) as server:
            server.ehlo()
            if self._server.scheme == "smtp" and (server.has_extn("starttls") or not self._plain_is_fine):
                server.starttls(context=context)
            if self._server.username:
                server.login(unquote(self._server.username), unquote(self._server.password or ""))
            server.send_message(letter)


class IntoFolder:
    """One ``.eml`` file for each letter, readable by this account only. Sending it again replaces it."""

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder, self._sender = folder, sender

    async def send(self, message: Message) -> None:
        try:
            await asyncio.to_thread(self._put, message)
        except OSError as error:
            raise NotSent(type(error).__name__) from error

    def _put(self, message: Message) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{message.written_at:%Y%m%dT%H%M%S}-{message.id}.eml"
        beside = path.with_name(f".{path.name}.new")
        beside.unlink(missing_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(bytes(compose(message, self._sender)))
        beside.replace(path)


def compose(message: Message, sender: str) -> EmailMessage:
    """The letter as it travels: plain text, and the same as HTML."""
    letter = EmailMessage()
    letter["From"] = sender
    letter["To"] = message.to
    letter["Subject"] = " ".join(message.subject.split())  # a header is one line
    letter["Date"] = format_datetime(message.written_at)
    domain = parseaddr(sender)[1].partition("@")[2] or "localhost"
    letter["Message-ID"] = f"<{message.id}@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    letter.set_content(message.text)
    letter.add_alternative(message.html, subtype="html")
    return letter


def _refused(code: int) -> Exception:
    said = f"the mail server said {code}"
    return Undeliverable(said) if code in PERMANENT else NotSent(said)
