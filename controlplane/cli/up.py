"""``controlplane up``: an embedded Postgres, its schema, one server, and with ``--demo`` a runtime to look at."""

import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click
from msgspec import Struct

from controlplane.cli import ports
from controlplane.cli.child import Child
from controlplane.cli.home import Home, Running, keep, kept
from controlplane.cli.options import home_option, json_option, show
from controlplane.cli.problems import Declined
from controlplane.embedded import Services

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LOOK_EVERY_S = 0.5
"""How often somebody looks whether a child has died."""

LEFTOVER_S = 10.0
"""How long the server of an ``up`` that was killed may take to notice and free its port."""


class Report(Struct, frozen=True, omit_defaults=True):
    """What is told once everything runs."""

    url: str
    sign_in: str
    """Signs the first operator in, once."""
    home: str
    logs: str
    tenant: str | None = None
    """Slug of the demo tenant."""


@click.command()
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8700, show_default=True, type=click.IntRange(1, 65535))
@click.option("--demo", is_flag=True, help="With a demo tenant whose runtime sends a generated EngineX home.")
@json_option
def up(home: Path, host: str, port: int, demo: bool, as_json: bool) -> None:
    """Start everything here and keep it running; Ctrl-C stops it all."""
    for number in ENDING:
        signal.signal(number, _interrupt_once)
    if sys.stderr.isatty():
        click.echo("Starting the database and the server…", err=True)
    try:
        with ExitStack() as running:
            children, report = _start(running, Home(home), host, port, demo)
            show(report, _words(report), as_json)
            sys.stdout.flush()
            while True:
                for child in children:
                    child.look_after()
                time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        return


def _start(running: ExitStack, home: Home, host: str, port: int, demo: bool) -> tuple[list[Child], Report]:
    """Everything in its order; *running* stops it in the opposite one."""
    from controlplane.cli import demonstration, first_steps
    from controlplane.cli.reach import settings_of

    home.make()
    services = running.enter_context(Services(home.folder))
    _wait_for_leftover(home, host, port)
    home.running.unlink(missing_ok=True)
    url = f"http://{ports.reachable_at(host)}:{port}"
    _prepare(services, home, url)
    first_steps.make_keyring(home, os.environ["CONTROLPLANE_DATABASE_URL"])
    sign_in = first_steps.sign_in(home)
    keep(home.running, Running(os.getpid(), url, settings_of(home.folder).public_url))
    running.callback(home.running.unlink, missing_ok=True)

    listen = ["--host", host, "--port", str(port), "--with-parent"]
    server = Child("server", [sys.executable, "-m", "controlplane", "serve", *listen], home.logs / "server.log")
    running.callback(server.stop)
    server.start(lambda: ports.answers(f"{url}/readyz"))
    beside = demonstration.start(running, home, url) if demo else []
    tenant = demonstration.SLUG if demo else None
    return [server, *beside], Report(url, sign_in, str(home.folder), str(home.logs), tenant)


def _prepare(services: Services, home: Home, url: str) -> None:
    """The database with its schema, and the environment in which the server will find it."""
    import asyncio

    from controlplane import settings
    from controlplane.cli.reach import prepare, settings_of, told_plainly
    from controlplane.db.upgrade import upgrade

    given = settings_of(home.folder)
    if given.database_url:
        raise Declined(
            "CONTROLPLANE_DATABASE_URL is set, and `up` brings a database of its own.",
            "Unset it, or use: controlplane serve",
        )
    admin_url = services.postgres(given.database_admin_url)
    with told_plainly(admin_url):
        urls = prepare(admin_url, home)
        asyncio.run(upgrade(urls.owner))
    os.environ["CONTROLPLANE_HOME"] = str(home.folder)
    os.environ["CONTROLPLANE_DATABASE_URL"] = urls.app
    if given.public_url == settings.Settings().public_url:
        os.environ["CONTROLPLANE_PUBLIC_URL"] = url


def _wait_for_leftover(home: Home, host: str, port: int) -> None:
    """Refuse a port that is taken, after some patience with a server that ran here and is about to notice its end."""
    end = time.monotonic() + (LEFTOVER_S if kept(home.running, Running) else 0)
    while True:
        try:
            ports.refuse_taken(host, port)
        except Declined:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    """The first signal stops everything in order; a second one must not disturb that."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _words(report: Report) -> str:
    lines = [
        f"The control plane is running at {report.url}",
        "",
        f"  Sign in   {report.sign_in}",
        "            works once; every start prints a new one",
    ]
    if report.tenant:
        lines.append(
            f"  Demo      tenant {report.tenant}: a runtime agent sends the EngineX home below {report.home}/demo"
        )
    lines += [f"  Home      {report.home}", f"  Logs      {report.logs}", "", "Ctrl-C stops everything."]
    return "\n".join(lines)
