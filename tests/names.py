"""A small real DNS server on loopback: it answers for TXT records that a test has put there, and counts questions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class NameServer(asyncio.DatagramProtocol):
    """Names without an entry do not exist."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.trouble: dns.rcode.Rcode | None = None
        """What every question is answered with; None: as it should be."""
        self.asked: list[str] = []
        self.place = ""
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport):
        self._transport = transport
        host, port = transport.get_extra_info("sockname")[:2]
        self.place = f"{host}:{port}"

    def datagram_received(self, data, addr):
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA | dns.flags.RA
        name = question.question[0].name.to_text().removesuffix(".").lower()
        self.asked.append(name)
        if self.trouble is not None:
            answer.set_rcode(self.trouble)
        elif name in self.records:
            texts = [f'"{text}"' for text in self.records[name]]
            answer.answer.append(dns.rrset.from_text(question.question[0].name, 60, "IN", "TXT", *texts))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def serving() -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
