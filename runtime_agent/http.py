"""Calls to the control plane: what went over the wire, or why nothing did."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self, TypeVar

import httpx
import msgspec

from runtime_agent.clock import Clock, from_ms
from runtime_agent.wire import PROTOCOL
from runtime_agent.wire.problems import Problem
from runtime_agent.wire.sync import PROTOCOL_HEADER

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
RETRY_AFTER_S = 5.0
"""Where a busy server names no time."""

LEAST_RETRY_AFTER_S, MOST_RETRY_AFTER_S = 1.0, 3600.0
"""Whatever a server names, we ask neither in a hot loop nor next year."""

TOO_LARGE, NOT_MODIFIED = 413, 304
BIG_SKEW_S = 5.0
"""Below this a difference of clocks is the resolution of the ``Date`` header and the way here."""

Answer = TypeVar("Answer")


class Unreachable(Exception):
    """No answer, or one that no control plane gives: try again later."""


class Absent(Unreachable):
    """What was asked for does not exist there, or not for us."""


class Busy(Exception):
    """The server asks for patience (429, 503)."""

    def __init__(self, retry_after_s: float, problem: Problem) -> None:
        super().__init__(problem.code or "busy")
        self.retry_after_s = retry_after_s
        self.problem = problem


class Refused(Exception):
    """The server said no; ``problem.code`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(": ".join(part for part in (problem.code, problem.title, problem.detail) if part))
        self.problem = problem


class Http:
    """One connection to one control plane."""

    def __init__(self, url: str, clock: Clock, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Nothing is sent yet.

        Args:
            url: Of the control plane, without a path.
            clock: Of this machine; ``skew_s`` is measured against it.
            transport: For tests: where requests go instead of to the network.
        """
        headers = {PROTOCOL_HEADER: str(PROTOCOL), "Content-Type": "application/json"}
        self._client = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT, headers=headers, transport=transport, verify=url.startswith("https:")
        )
        self._clock = clock
        self.url = url
        self.is_network = transport is None
        """Requests go where others could go as well."""
        self.skew_s = 0.0
        """How far the server's clock is ahead of ours; 0 when it is near."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, headers: Mapping[str, str], into: type[Answer]) -> Answer:
        """As :meth:`post`, without sending anything."""
        return await self._call(self._client.build_request("GET", path, headers=headers), into)

    async def post(self, path: str, content: bytes, headers: Mapping[str, str], into: type[Answer]) -> Answer:
        """Send *content* and return what came back.

        Raises:
            Unreachable: No answer within 30 s, a broken one, or an error of the server's own.
            Busy: The server asks for patience.
            Refused: It said no.
        """
        return await self._call(self._client.build_request("POST", path, content=content, headers=headers), into)

    async def put(self, path: str, content: bytes, headers: Mapping[str, str], into: type[Answer]) -> Answer:
        """As :meth:`post`."""
        return await self._call(self._client.build_request("PUT", path, content=content, headers=headers), into)

    async def get_newer(
        self, path: str, headers: Mapping[str, str], tag: str, into: type[Answer]
    ) -> tuple[Answer | None, str]:
        """As :meth:`get`, with its ETag; None where it is still what *tag* names."""
        known = {"If-None-Match": tag} if tag else {}
        answer = await self._sent(self._client.build_request("GET", path, headers={**headers, **known}))
        if answer.status_code == NOT_MODIFIED:
            return None, tag
        return _understood(answer, into), answer.headers.get("ETag", "")

    async def _call(self, request: httpx.Request, into: type[Answer]) -> Answer:
        return _understood(await self._sent(request), into)

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        try:
            answer = await self._client.send(request)
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        self._note_time(answer)
        if not answer.is_success and answer.status_code != NOT_MODIFIED:
            refusal = _refusal(answer, self._clock())
            if isinstance(refusal, Refused) and refusal.problem.server_ms:
                self._note_skew(from_ms(refusal.problem.server_ms))
            raise refusal
        return answer

    async def alive(self) -> None:
        """Ask whether somebody is there, without saying who asks.

        Raises:
            Unreachable: Nobody is.
        """
        try:
            self._note_time(await self._client.get("/livez"))
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    def _note_time(self, answer: httpx.Response) -> None:
        said = _date(answer.headers.get("Date", ""))
        if said is not None:
            self._note_skew(said)

    def _note_skew(self, said: datetime) -> None:
        skew_s = (said - self._clock()).total_seconds()
        self.skew_s = skew_s if abs(skew_s) > BIG_SKEW_S else 0.0


def _understood(answer: httpx.Response, into: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(answer.content, type=into)
    except msgspec.MsgspecError as error:
        raise Unreachable(f"{answer.request.url.path} answered with something else: {error}") from error


def _refusal(answer: httpx.Response, now: datetime) -> Exception:
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.MsgspecError:
        problem = Problem()
    problem = msgspec.structs.replace(problem, status=answer.status_code)
    if answer.status_code in {429, 503}:
        return Busy(_retry_after_s(answer, now), problem)
    if answer.status_code == TOO_LARGE:  # often a proxy's own word, without a code of ours
        return Refused(msgspec.structs.replace(problem, code=problem.code or "too-large"))
    if answer.status_code == 404 and problem.code == "not-found":
        return Absent(f"{answer.request.url} answered 404 not-found")
    if answer.status_code >= 500 or answer.status_code in {404, 408} or not problem.code:
        return Unreachable(f"{answer.request.url} answered {answer.status_code} {problem.code}".rstrip())
    return Refused(problem)


def _retry_after_s(answer: httpx.Response, now: datetime) -> float:
    """Of both forms of ``Retry-After`` (RFC 9110 section 10.2.3); a date is measured by the clock that named it."""
    given = answer.headers.get("Retry-After", "")
    try:
        wait_s = float(given)
    except ValueError:
        until = _date(given)
        since = _date(answer.headers.get("Date", "")) or now
        wait_s = (until - since).total_seconds() if until is not None else RETRY_AFTER_S
    if not math.isfinite(wait_s):
        wait_s = RETRY_AFTER_S
    return min(max(wait_s, LEAST_RETRY_AFTER_S), MOST_RETRY_AFTER_S)


def _date(text: str) -> datetime | None:
    try:
        said = parsedate_to_datetime(text)
    except ValueError:
        return None
    return said if said.tzinfo is not None else said.replace(tzinfo=UTC)


def at_server(http: Http, now: datetime) -> int:
    """Seconds since 1970 by the server's clock, as far as it is known."""
    return int(now.timestamp() + http.skew_s)
