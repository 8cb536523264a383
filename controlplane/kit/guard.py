"""Calls to addresses that somebody else chose: over https to the public internet, and nowhere else.

A name is resolved once, all its addresses are checked, and the connection goes to one that was checked, under the
certificate of the name: what the name means a moment later changes nothing. Redirects are answers, not orders.
"""

import asyncio
import functools
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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


class Bounds(Struct, frozen=True, kw_only=True):
    """Of an answer that is passed on while it comes."""

    most_bytes: int
    """Of its body."""
    head_s: float
    """Until it begins."""
    whole_s: float
    """Until it has ended."""


class _OnItsWay:
    """Knows whether the first byte of a request has left: until then whoever is called knows of nothing."""

    def __init__(self) -> None:
        self.sent = False

    async def notice(self, event: str, facts: Mapping[str, object]) -> None:
        """What httpcore tells of its steps."""
        if event.endswith("send_request_headers.started"):
            self.sent = True


class Coming:
    """An answer whose body is still on its way. Whoever has it closes it."""

    def __init__(self, response: httpx.Response, bounds: Bounds, until: float) -> None:
        """
        Args:
            until: When it has to have ended, by :func:`time.monotonic`.
        """
        self._response, self._bounds, self._until = response, bounds, until
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers)
        """By name in lower case."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes.

        Raises:
            CallFailed: If it breaks off, takes too long, or is longer than it may be.
        """
        sent = _OnItsWay()
        sent.sent = True
        body, count = self._response.aiter_raw(), 0
        while True:
            with _failing(sent, f"it did not end within {self._bounds.whole_s:g} s"):
                async with asyncio.timeout(self._until - time.monotonic()):
                    chunk = await anext(body, None)
            if chunk is None:
                return
            count += len(chunk)
            if count > self._bounds.most_bytes:
                raise CallFailed("broken", f"it is longer than {self._bounds.most_bytes} bytes", sent=True)
            yield chunk

    async def close(self) -> None:
        await self._response.aclose()


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
        request, sent = self._request(method, url, headers, content, within_s)
        with _failing(sent, f"no answer within {within_s:g} s"):
            async with asyncio.timeout(within_s):
                return await self._answer(request, most_bytes)

    async def begin(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes = b"", bounds: Bounds
    ) -> Coming:
        """Send one request and read the head of its answer; the body comes as it comes. As :meth:`call` otherwise.

        Raises:
            AddressRefused: If *url* or what its name means must not be called.
            CallFailed: If there was no answer.
        """
        request, sent = self._request(method, url, headers, content, bounds.whole_s)
        until = time.monotonic() + bounds.whole_s
        with _failing(sent, f"no answer within {bounds.head_s:g} s"):
            async with asyncio.timeout(bounds.head_s):
                return Coming(await self.transport.handle_async_request(request), bounds, until)

    async def close(self) -> None:
        await self._inner.aclose()

    def _request(
        self, method: str, url: str, headers: Mapping[str, str] | None, content: bytes, within_s: float
    ) -> tuple[httpx.Request, _OnItsWay]:
        """
        Raises:
            AddressRefused: If *url* will never be called.
        """
        asked = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "engine-cloud", **(headers or {})}
        on_its_way = _OnItsWay()
        # a handshake that times out by itself is closed; one that is cancelled from outside is left to the collector
        timeout = httpx.Timeout(within_s, connect=within_s / TRIED)
        extensions = {"timeout": timeout.as_dict(), "trace": on_its_way.notice}
        checked = self.check(url)
        return httpx.Request(method, checked, headers=asked, content=content, extensions=extensions), on_its_way

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


class _Checked(httpx.AsyncBaseTransport):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._guard.send(request)


@contextmanager
def _failing(on_its_way: _OnItsWay, late: str) -> Iterator[None]:
    """
    Args:
        late: What is said when it takes too long.

    Raises:
        CallFailed: Where httpx raises something else.
    """
    try:
        yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise CallFailed("timeout", late, sent=on_its_way.sent) from error
    except httpx.ConnectError as error:
        raise CallFailed("unreachable", _said(error), sent=on_its_way.sent) from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise CallFailed("broken", _said(error), sent=on_its_way.sent) from error


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
