"""Calls to addresses that somebody else chose: over https to the public internet, and nowhere else.

A name is resolved once, all its addresses are checked, and the connection goes to one that was checked, under the
certificate of the name: what the name means a moment later changes nothing. Redirects are answers, not orders.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final, Literal, TypeAlias

import httpx
from msgspec import Struct

from controlplane.kit.addresses import Address, Networks, is_public, plain, within
from controlplane.kit.problems import Refusal

PORT: Final = 443
"""The only one on the public internet; inside networks that were named, any."""

MOST_BYTES: Final = 256 * 1024
WITHIN_S: Final = 10.0

TRIED: Final = 3
"""Addresses of one name that are tried in turn when nobody answers at the first."""

LONGEST_URL: Final = 2_000

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to addresses. Raises OSError where there are none."""

Why: TypeAlias = Literal["refused", "unknown-host", "unreachable", "timeout", "broken"]


class AddressRefused(Refusal):
    """An address that must not be called for somebody else."""

    code, status, title = "address-refused", 400, "This address cannot be called"
    hint = "Use https, a host on the public internet, port 443, and no credentials in the address."


class CallFailed(Exception):
    """Nobody answered, or not properly."""

    def __init__(self, why: Why, detail: str, *, sent: bool) -> None:
        """
        Args:
            sent: Whether the other side may have read the request.
        """
        super().__init__(detail)
        self.why = why
        self.sent = sent


class Answer(Struct, frozen=True, kw_only=True):
    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    """As it came, encoded if the other side insisted; no more of it than was asked for."""
    cut: bool
    """There was more."""


async def asked_of_the_system(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class Guard:
    """Makes the calls. One for a process."""

    def __init__(
        self,
        *,
        networks: Networks = (),
        loopback: bool = False,
        resolve: Resolve = asked_of_the_system,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """
        Args:
            networks: Called as well as the public internet, at any port: what an operator has opened.
            loopback: Call this very machine too, at any port and over plain http: for tests and development.
            resolve: Who is asked what a name means.
            trust: Whose certificates count; None: those that this machine trusts.
        """
        self._networks, self._loopback, self._resolve = networks, loopback, resolve
        self._inner = httpx.AsyncHTTPTransport(
            verify=trust or _of_this_machine(),
            trust_env=False,
            # a connection kept open to an address would be used for another name at that address
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )
        self.transport: httpx.AsyncBaseTransport = _Checked(self)
        """For clients of libraries: ``httpx.AsyncClient(transport=guard.transport, follow_redirects=False)``."""

    def check(self, url: str) -> httpx.URL:
        """What can be said of *url* without asking what its name means.

        Raises:
            AddressRefused: If it will never be called.
        """
        if len(url) > LONGEST_URL or not url.isprintable():
            raise AddressRefused("this is no address")
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise AddressRefused("this is no address") from error
        self._check(parsed)
        return parsed

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        most_bytes: int = MOST_BYTES,
        within_s: float = WITHIN_S,
    ) -> Answer:
        """Send one request and read its answer; nothing is remembered and no redirect followed.

        Args:
            most_bytes: Of the body; the rest is not read.
            within_s: For all of it, from the name to the last byte.

        Raises:
            AddressRefused: If *url* or what its name means must not be called.
            CallFailed: If there was no answer.
        """
        asked = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "engine-cloud", **(headers or {})}
        on_its_way = _OnItsWay()
        # a handshake that times out by itself is closed; one that is cancelled from outside is left to the collector
        timeout = httpx.Timeout(within_s, connect=within_s / TRIED)
        extensions = {"timeout": timeout.as_dict(), "trace": on_its_way.notice}
        request = httpx.Request(method, self.check(url), headers=asked, content=content, extensions=extensions)
        try:
            async with asyncio.timeout(within_s):
                return await self._answer(request, most_bytes)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise CallFailed("timeout", f"no answer within {within_s:g} s", sent=on_its_way.sent) from error
        except httpx.ConnectError as error:
            raise CallFailed("unreachable", _said(error), sent=on_its_way.sent) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise CallFailed("broken", _said(error), sent=on_its_way.sent) from error

    async def close(self) -> None:
        await self._inner.aclose()

    async def _answer(self, request: httpx.Request, most_bytes: int) -> Answer:
        response = await self.transport.handle_async_request(request)
        body, cut = bytearray(), False
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > most_bytes:
                    cut = True
                    break
        finally:
            await response.aclose()
        return Answer(
            status=response.status_code, headers=dict(response.headers), body=bytes(body[:most_bytes]), cut=cut
        )

    async def send(self, request: httpx.Request) -> httpx.Response:
        """What :attr:`transport` does with a request.

        Raises:
            AddressRefused, CallFailed: Before anything was sent.
            httpx.TransportError: As ever.
        """
        self._check(request.url)
        last: httpx.ConnectError | httpx.ConnectTimeout | None = None
        for address in (await self._addresses(request.url))[:TRIED]:
            try:
                return await self._inner.handle_async_request(_to(address, request))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error
        assert last is not None, "there is an address, or it was refused"
        raise last

    def _check(self, url: httpx.URL) -> None:
        if url.scheme not in ("https", "http") or (url.scheme == "http" and not self._loopback):
            raise AddressRefused("not https")
        if not url.host:
            raise AddressRefused("no host")
        if url.userinfo:
            raise AddressRefused("credentials in the address")
        if (literal := _literal(url.host)) is not None:
            self._check_address(literal, url)

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        """What the host means, once and for this call.

        Raises:
            AddressRefused: If any of it must not be called: a name that leads to two worlds is a trick.
        """
        if (literal := _literal(url.host)) is not None:
            return [literal]
        port = url.port or (PORT if url.scheme == "https" else 80)
        try:
            # the raw host is ASCII, as it goes over the wire
            named = await self._resolve(url.raw_host.decode("ascii"), port)
        except (OSError, UnicodeError) as error:
            raise CallFailed("unknown-host", "the host has no address", sent=False) from error
        found = [plain(ip_address(each)) for each in dict.fromkeys(named)]
        if not found:
            raise CallFailed("unknown-host", "the host has no address", sent=False)
        for address in found:
            self._check_address(address, url)
        return found

    def _check_address(self, address: Address, url: httpx.URL) -> None:
        address = plain(address)
        if self._loopback and address.is_loopback:
            return
        if url.scheme != "https":
            raise AddressRefused("not https")
        if within(address, self._networks):
            return
        if not is_public(address):
            raise AddressRefused("not on the public internet")
        if url.port not in (None, PORT):
            raise AddressRefused(f"port {url.port} is not {PORT}")


@functools.cache
def _of_this_machine() -> ssl.SSLContext:
    """Reading all the certificates takes a while."""
    return ssl.create_default_context()


class _OnItsWay:
    """Knows whether the first byte of a request has left: until then whoever is called knows of nothing."""

    def __init__(self) -> None:
        self.sent = False

    async def notice(self, event: str, facts: Mapping[str, object]) -> None:
        """What httpcore tells of its steps."""
        if event.endswith("send_request_headers.started"):
            self.sent = True


class _Checked(httpx.AsyncBaseTransport):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._guard.send(request)


def _to(address: Address, request: httpx.Request) -> httpx.Request:
    """*request*, on its way to *address*; certificate and Host stay those of the name."""
    name = request.url.raw_host.decode("ascii")
    extensions = {**request.extensions, **({} if _literal(name) else {"sni_hostname": name})}
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


def _literal(host: str) -> Address | None:
    """The address that *host* is, in the one way of writing it; other ways are left to whoever resolves names."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _said(error: Exception) -> str:
    """What is wrong, in words that name no address of ours."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is not good: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "no TLS connection"
        cause = cause.__cause__ or cause.__context__
    return {"ConnectError": "nobody answers there"}.get(type(error).__name__, "the answer broke off or is not HTTP")
