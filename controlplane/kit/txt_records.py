"""Asks the DNS for TXT records, of the resolvers of this machine or of those that were named."""

from collections.abc import Sequence
from typing import Final

import dns.exception
import dns.name
import dns.resolver
from dns.asyncresolver import Resolver as Asking
from dns.nameserver import Do53Nameserver

WITHIN_S: Final = 5.0
MOST_RECORDS: Final = 100


class NotAnswered(Exception):
    """Nobody could say. That is no proof of anything, and asking again later is right."""


class TxtRecords:
    """Where to ask. One for a process."""

    def __init__(self, servers: Sequence[tuple[str, int]] = ()) -> None:
        """
        Args:
            servers: Address and port of each resolver, asked in turn; empty: those of this machine.
        """
        self._servers = [Do53Nameserver(address, port) for address, port in servers]

    async def at(self, name: str) -> list[str]:
        """What stands there; nothing if there is no such name, or no such record.

        Raises:
            NotAnswered: If it could not be found out.
        """
        try:
            asking = Asking(configure=not self._servers)
            if self._servers:
                asking.nameservers = list(self._servers)
            answer = await asking.resolve(dns.name.from_text(name), "TXT", lifetime=WITHIN_S, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise NotAnswered(type(error).__name__) from error
        return [b"".join(record.strings).decode("utf-8", "replace") for record in list(answer)[:MOST_RECORDS]]
