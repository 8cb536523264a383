"""Calling a key service: bounded, retried where it asks for it, and not at all for a moment after it was gone."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import msgspec

from controlplane.kit.problems import Refusal
from controlplane.kit.sealing import KeeperDown

WITHIN_S: Final = 3.0
"""One try. A transaction may be waiting: rather fail than hold its connection."""

TRIES: Final = 3

FIRST_WAIT_S: Final = 0.1

REST_S: Final = 2.0
"""How long nobody is asked after nobody has answered."""

AGAIN: Final = frozenset({429, 500, 502, 503, 504})


class KeyServiceUnusable(Refusal):
    """The key service cannot be called with what is configured."""

    code, status, title = "key-service-unusable", 503, "The key service cannot be called"
    hint = (
        "Check CONTROLPLANE_KEK and the credentials of the service in the environment: docs/howto/use-a-key-service.md."
    )


class Calls:
    """The connections of one process to one service."""

    def __init__(self, service: str, *, verify: str | bool = True) -> None:
        """
        Args:
            service: As it is called in what people read.
            verify: Path of a file with the authorities to trust; True: those of this machine.
        """
        self._service = service
        self._client = httpx.AsyncClient(timeout=WITHIN_S, verify=verify, follow_redirects=False)
        self._resting_until = 0.0

    async def send(
        self, make: Callable[[], Awaitable[httpx.Request]], again: Callable[[httpx.Response], bool] | None = None
    ) -> httpx.Response:
        """The answer to the request that *make* makes, anew for each try: signatures carry the time.

        Args:
            again: Whether an answer means "not now"; None: by its status alone.

        Raises:
            KeeperDown: If nobody answers, or everybody says "not now".
        """
        if time.monotonic() < self._resting_until:
            raise KeeperDown(f"{self._service} did not answer a moment ago")
        said = ""
        for number in range(TRIES):
            if number:
                await asyncio.sleep(FIRST_WAIT_S * 2**number * random.uniform(0.5, 1))  # noqa: S311 spread, not secrecy
            try:
                answer = await self._client.send(await make())
            except httpx.HTTPError as error:
                said = type(error).__name__
                continue
            if answer.status_code not in AGAIN and not (again and again(answer)):
                return answer
            said = f"it answers {answer.status_code}"
        self._resting_until = time.monotonic() + REST_S
        raise KeeperDown(f"{self._service}: {said}")

    async def once(self, request: httpx.Request) -> httpx.Response:
        """The answer to what is asked on the way to credentials.

        Raises:
            KeeperDown: If there is none, or it is no.
        """
        try:
            answer = await self._client.send(request)
        except httpx.HTTPError as error:
            raise KeeperDown(f"{self._service}: {request.url.host}: {type(error).__name__}") from None
        if answer.status_code != 200:
            raise KeeperDown(f"{self._service}: {request.url.host} answers {answer.status_code}")
        return answer

    def request(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, content: bytes = b""
    ) -> httpx.Request:
        return self._client.build_request(method, url, headers=headers, content=content)

    async def close(self) -> None:
        await self._client.aclose()


def answered(answer: httpx.Response, service: str) -> dict[str, Any]:
    """
    Raises:
        KeeperDown: If it is no JSON object: somebody else has answered.
    """
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise KeeperDown(f"{service} does not answer with JSON") from None
