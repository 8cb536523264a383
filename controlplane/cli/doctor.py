"""``controlplane doctor``: what is wrong here, and what to do about it."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from controlplane.cli import ports
from controlplane.cli.findings import Finding, bad, ok, warn
from controlplane.cli.home import Home
from controlplane.cli.options import home_option, json_option, show
from controlplane.cli.problems import Declined
from controlplane.embedded import Unavailable
from controlplane.kit.problems import Refusal

if TYPE_CHECKING:
    from controlplane.settings import Settings

ROOM_BYTES, LITTLE_BYTES = 200 << 20, 2 << 30
"""Free space below which PostgreSQL stops soon, and below which somebody should look."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@home_option
@json_option
def doctor(home: Path, as_json: bool) -> None:
    """Look at everything, say what is wrong and the next step. Exit status 1 if anything is bad."""
    findings = []
    for finding in _look(home):
        findings.append(finding)
        if not as_json:
            _print(finding)
    healthy = all(finding.state != "bad" for finding in findings)
    if as_json:
        show({"healthy": healthy, "findings": findings}, "", as_json)
    sys.exit(0 if healthy else 1)


def _look(folder: Path) -> Iterator[Finding]:
    from controlplane.cli.reach import settings_of

    try:
        given = settings_of(folder)
    except (Refusal, Declined) as problem:
        yield _said("settings", problem)
        return
    yield ok("settings", "read")
    yield from _home(Home(folder), given)
    yield _keyring(given)
    yield from _database(folder)
    yield _redis(given)
    yield _public_url(Home(folder))
    yield _server(Home(folder))


def _home(home: Home, given: "Settings") -> Iterator[Finding]:
    if not home.folder.exists():
        if not given.database_url:
            yield bad("home", f"{home.folder} is not there", f"Start one: controlplane up --home {home.folder}")
        return
    try:
        home.check()
    except Declined as problem:
        yield _said("home", problem)
    else:
        yield ok("home", str(home.folder))
    free = shutil.disk_usage(home.folder).free
    said = f"{free / (1 << 30):.1f} GiB free"
    if free < ROOM_BYTES:
        yield bad("disk", said, "Make room: PostgreSQL stops on a full disk.")
    elif free < LITTLE_BYTES:
        yield warn("disk", said, "Make room soon.")
    else:
        yield ok("disk", said)


def _keyring(given: "Settings") -> Finding:
    from controlplane.domain import keys

    try:
        keyring = keys.read(given.keyring, os.environ)
    except Refusal as problem:
        return _said("keyring", problem)
    return ok("keyring", f"{len(keyring.keys)} key(s), current {keyring.current}")


def _database(folder: Path) -> list[Finding]:
    import asyncio

    from controlplane.cli import database_checks, reach

    findings: list[Finding] = []

    async def look(url: str) -> None:
        async for finding in database_checks.look(url):
            findings.append(finding)  # noqa: PERF401 - what was found before an error is shown too

    try:
        with reach.database(folder) as urls, reach.told_plainly(urls.app):
            asyncio.run(look(urls.app))
    except (Refusal, Declined, Unavailable) as problem:
        findings.append(_said("database", problem))
    return findings


def _redis(given: "Settings") -> Finding:
    from redis import Redis
    from redis.exceptions import RedisError

    if not given.redis_url:
        return ok("redis", "none: wake-ups and limits stay inside one process, so one replica")
    try:
        with Redis.from_url(given.redis_url, socket_timeout=5, socket_connect_timeout=5) as redis:
            redis.ping()
    except RedisError as error:
        return warn("redis", f"does not answer: {error}", "Nothing is lost without it, but everything is slower.")
    return ok("redis", "answers")


def _public_url(home: Home) -> Finding:
    from controlplane.cli.first_steps import public_url

    called = public_url(home)
    url = urlsplit(called)
    if url.scheme != "https" and url.hostname not in LOOPBACK:
        said = f"{called} is not encrypted"
        return bad("public url", said, "Put TLS in front and set CONTROLPLANE_PUBLIC_URL to the https address.")
    return ok("public url", called)


def _server(home: Home) -> Finding:
    running = home.held_by()
    if running is None:
        return ok("server", "none of this home runs now")
    if ports.answers(f"{running.url}/readyz"):
        return ok("server", f"{running.url} is ready")
    return bad("server", f"{running.url} is not ready", f"Look into {home.logs / 'server.log'}")


def _said(name: str, problem: Exception) -> Finding:
    what = getattr(problem, "title", "") or str(problem)
    detail = getattr(problem, "detail", "")
    return bad(name, f"{what}: {detail}" if detail else what, getattr(problem, "hint", ""))


def _print(finding: Finding) -> None:
    hint = f"  → {finding.hint}" if finding.hint else ""
    click.echo(f"{finding.state:5} {finding.name:11} {finding.said}{hint}")
