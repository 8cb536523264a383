"""``controlplane logs``: what a session logs, at its runtime, while one looks. It asks the running service."""

import os
import sys
from pathlib import Path

import click

from controlplane.cli.options import home_option, json_option, tenant_option

KEY = "ENGINE_CLOUD_API_KEY"
LOGS = ("details", "tools", "raw")


@click.group()
def logs() -> None:
    """Logs of sessions, where they are."""


@logs.command()
@click.argument("session", metavar="SESSION")
@tenant_option
@click.option("--log", type=click.Choice(LOGS), default="details", help="Nodes, tools, or with --path a file.")
@click.option("--path", default="", help="Of raw: a file in the session's folder of logs, or event_logs/ and a file.")
@click.option("--from", "offset", default=-16_384, help="Byte to begin at; negative: before the end.")
@click.option("--follow/--no-follow", default=True, help="Go on as lines are written, or stop at the end.")
@click.option("--url", default="", help="Of the service.  [default: that of this home]")
@home_option
@json_option
def tail(session: str, tenant: str, follow: bool, home: Path, as_json: bool, **asked: str) -> None:
    """Print a session's log, ses_…, as it is written, until Ctrl-C.

    Looking is done, and recorded, with an API key that holds log:tail: the variable ENGINE_CLOUD_API_KEY, or else the
    first line of standard input.
    """
    from controlplane.cli import logs_reading as reading
    from controlplane.cli.options import show

    key = os.environ.get(KEY) or sys.stdin.readline().strip()
    place = f"{reading.address(asked.pop('url'), home)}/v1/tenants/{tenant}/sessions/{session}/logs/{asked.pop('log')}"
    query = {name: str(value) for name, value in asked.items() if value != ""}
    if not follow:
        found = reading.part(place, query, key)
        show(found, os.linesep.join(found["lines"]), as_json)
        return
    lines: list[str] = []
    for line in reading.lines(place, query, key):
        if as_json:
            lines.append(line)
        else:
            click.echo(line)
    if as_json:
        show({"lines": lines}, "", as_json)
