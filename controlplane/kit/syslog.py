"""Sending messages to a syslog receiver: RFC 5424 text, framed by its length (RFC 6587, RFC 5425), over TCP or TLS."""

import asyncio
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

FACILITY: Final = 13
"""Log audit (RFC 5424, section 6.2.1)."""

INFORMATIONAL, WARNING = 6, 4

PORTS: Final = {"tcp": 601, "tls": 6514}

PATIENCE_S: Final = 10.0

BOM: Final = b"\xef\xbb\xbf"
"""Says that the message is UTF-8 (section 6.4)."""


class Message(Struct, frozen=True, kw_only=True):
    at: datetime
    severity: int
    kind: str
    """MSGID: printable ASCII, at most 32 characters are sent."""
    text: bytes
    """UTF-8."""


def encoded(message: Message, host: str, program: str) -> bytes:
    """One frame: its length, a space, the message."""
    at = message.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    kind = _word(message.kind)[:32]
    header = f"<{FACILITY * 8 + message.severity}>1 {at} {_word(host)[:255]} {_word(program)[:48]} - {kind} - "
    body = header.encode() + BOM + message.text
    return f"{len(body)} ".encode() + body


async def send(address: str, frames: Iterable[bytes], context: ssl.SSLContext | None = None) -> None:
    """Send *frames* over a connection of their own, and return once the receiver has closed it after reading them.

    Syslog acknowledges nothing, but over TCP a receiver that closes in answer to our end has read everything before.
    Over TLS its word for it is that it took the end of the session.

    Args:
        address: ``tcp://host:port`` or ``tls://host:port``.
        context: Whom to trust over TLS; None: whom this machine trusts.

    Raises:
        OSError, TimeoutError: If it cannot be reached or does not read; some of *frames* may have arrived.
    """
    parts = urlsplit(address)
    secure = (context or ssl.create_default_context()) if parts.scheme == "tls" else None
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or PORTS[parts.scheme], ssl=secure)
        try:
            for frame in frames:
                writer.write(frame)
                await writer.drain()
            if secure is None:
                writer.write_eof()
                while await reader.read(4096):
                    pass
        finally:
            writer.close()
        await writer.wait_closed()


def _word(text: str) -> str:
    """Printable ASCII without blanks, never empty."""
    return "".join(character if "!" <= character <= "~" else "_" for character in text) or "-"
