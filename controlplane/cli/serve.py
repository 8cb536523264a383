"""``controlplane serve``: one replica against a Postgres that somebody else runs."""

import gc
import math
import os
import resource
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from controlplane.cli import parent, ports
from controlplane.cli.options import home_option, json_option, show
from controlplane.cli.problems import Declined

if TYPE_CHECKING:
    from litestar import Litestar

KILL_AFTER_S = 2
"""How long a worker may take to stop; streams end at once, so only a stuck request gets there."""

MOST_CONNECTIONS: Final = 40_000
"""Of one worker. Each runtime that waits for commands has one open, so that is more than any budget speaks of."""

OTHER_FILES: Final = 256
"""That a worker has open besides: connections to the database and to Redis, blobs, calls to providers."""

UNACCEPTED: Final = 4_096
"""Connections that may wait to be accepted, as far as the system lets them: a fleet that comes back at once."""


@click.command()
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8700, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes that serve.")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the process that started this one ends.")
@json_option
def serve(home: Path, host: str, port: int, workers: int, with_parent: bool, as_json: bool) -> None:
    """Serve against an external Postgres; start as many of these as you like.

    Needs CONTROLPLANE_DATABASE_URL, and CONTROLPLANE_REDIS_URL where there is more than one.
    """
    import asyncio

    from controlplane import settings
    from controlplane.cli import before_serving
    from controlplane.cli.reach import told_plainly
    from controlplane.db import revisions
    from controlplane.domain import keys
    from controlplane.kit import memory

    if with_parent:
        parent.end_with(os.getppid())
    os.environ["CONTROLPLANE_HOME"] = str(home)
    given = settings.read(os.environ)
    if not given.database_url:
        raise Declined(
            "CONTROLPLANE_DATABASE_URL is not set.", "Set it, or let `controlplane up` bring a database along."
        )
    memory.keep_private()
    keys.read(given.keyring, os.environ)
    with told_plainly(given.database_url):
        asyncio.run(revisions.check(given.database_url))
        returned = before_serving.prepare(given)
    if returned:
        click.echo(f"{returned} tenants had come back with a backup; they are purged again.", err=True)
    ports.refuse_taken(host, port)
    if workers > 1 and not given.redis_url:
        click.echo("Without CONTROLPLANE_REDIS_URL each worker has limits and live updates of its own.", err=True)
    if as_json:
        show({"url": f"http://{ports.reachable_at(host)}:{port}", "workers": workers}, "", as_json)
    _run(host, port, workers, given.drain_s)


def _run(host: str, port: int, workers: int, drain_s: float) -> None:
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    gc.disable()  # what is loaded stays: looking it through for garbage again and again is a seventh of the time, measured
    import controlplane.app  # noqa: F401 - once, before the workers are forked from this process

    gc.enable()
    Granian(
        "controlplane.app:from_environment",
        interface=Interfaces.ASGI,
        address=host,
        port=port,
        workers=workers,
        backlog=UNACCEPTED,
        backpressure=_most_connections(),
        workers_kill_timeout=KILL_AFTER_S + math.ceil(drain_s),
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
    ).serve(target_loader=partial(_load, os.getpid()), wrap_loader=False)


def _most_connections() -> int:
    """Of one worker, with as many open files as this process may allow itself: beyond that nobody is accepted."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = MOST_CONNECTIONS + OTHER_FILES
    return (wanted if most == resource.RLIM_INFINITY else max(2 * OTHER_FILES, min(wanted, most))) - OTHER_FILES


def _load(main: int) -> "Litestar":
    """The app, in a worker that ends when the *main* process does: nobody would ever stop it otherwise."""
    from controlplane.app import from_environment
    from controlplane.kit import memory

    parent.end_with(main)
    memory.keep_private()  # not every way to make a worker forks
    gc.disable()  # as above, until all routes are put together
    app = from_environment()
    gc.enable()
    return app
