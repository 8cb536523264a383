"""How ``controlplane logs`` hears lines: as any program does, over HTTP."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from controlplane.cli.first_steps import public_url
from controlplane.cli.home import Home
from controlplane.cli.problems import Declined

TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
"""Something is said every five seconds."""


class _Problem(Struct, frozen=True):
    title: str = ""
    detail: str = ""
    hint: str = ""


def address(given: str, home: Path) -> str:
    """Where the service is."""
    return given.rstrip("/") or public_url(Home(home))


def part(place: str, query: Mapping[str, str], key: str) -> dict[str, Any]:
    """What stands there now.

    Raises:
        Declined: With the service's own reason.
    """
    with _asked(place, query, key) as answer:
        _check(answer)
        found: dict[str, Any] = msgspec.json.decode(answer.read())
        return found


def lines(place: str, query: Mapping[str, str], key: str) -> Iterator[str]:
    """Lines as they come, until there are no more, or Ctrl-C.

    Raises:
        Declined: With the service's own reason.
    """
    try:
        with _asked(f"{place}/tail", query, key) as answer:
            _check(answer)
            event = ""
            for line in answer.iter_lines():
                name, _, said = line.partition(": ")
                event = said if name == "event" else event
                if name == "data" and event == "lines":
                    yield from msgspec.json.decode(said)["lines"]
                if name == "data" and event == "ended":
                    end = msgspec.json.decode(said)
                    if end["code"] != "complete":
                        raise Declined(f"It ended: {end['code']}.", end["hint"])
    except KeyboardInterrupt:
        return


@contextmanager
def _asked(place: str, query: Mapping[str, str], key: str) -> Iterator[httpx.Response]:
    """The answer, as it comes in."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with httpx.Client(timeout=TIMEOUT) as client, client.stream("GET", place, params=query, headers=headers) as it:
            yield it
    except httpx.HTTPError as error:
        raise Declined(f"The service does not answer: {error}", "Start it, or name it with --url.") from None


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        problem = msgspec.json.decode(answer.read(), type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    said = ": ".join(part for part in (problem.title, problem.detail) if part)
    raise Declined(said or f"The service answered {answer.status_code}.", problem.hint)
