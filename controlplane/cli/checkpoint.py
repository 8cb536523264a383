"""``controlplane checkpoint``: which there are, what one holds where that has come, and going back to one."""

import os
from pathlib import Path
from typing import Any

import click

from controlplane.cli.options import home_option, json_option, show, show_list, tenant_option

COLUMNS = ("created_at", "kind", "node", "next_node", "content", "id")

comment_option = click.option("--comment", default="", help="For the runtime, and for the log.")
lost_option = click.option(
    "--though-lost", is_flag=True, help="The session looks lost, and you have made sure that its process has ended."
)


@click.group()
def checkpoint() -> None:
    """What checkpoints there are, what they hold, and going back to one."""


@checkpoint.command("list")
@home_option
@tenant_option
@json_option
@click.option("--session", required=True, metavar="SESSION", help="ses_…")
@click.option("--node", default="", help="Those made at this node only.")
def list_(home: Path, tenant: str, session: str, node: str, as_json: bool) -> None:
    """List a session's checkpoints, newest first; content says whether it can be fetched from here."""
    from controlplane.cli import checkpoint_reading as reading

    show_list(reading.listed(home, tenant, session, node), COLUMNS, as_json)


@checkpoint.command()
@home_option
@tenant_option
@json_option
@comment_option
@lost_option
@click.argument("identity", metavar="CHECKPOINT")
def rollback(home: Path, tenant: str, identity: str, as_json: bool, **said: Any) -> None:
    """Have its runtime bring the session back to it, and print the command's id. What it was is kept for an undo."""
    _ask("rollback", (home, tenant, identity), as_json, **said)


@checkpoint.command()
@home_option
@tenant_option
@json_option
@comment_option
@lost_option
@click.argument("identity", metavar="CHECKPOINT")
def resume(home: Path, tenant: str, identity: str, as_json: bool, **said: Any) -> None:
    """Have the session go on from it, and print the command's id."""
    _ask("resume", (home, tenant, identity), as_json, **said)


def _ask(kind: str, where: tuple[Path, str, str], as_json: bool, **said: Any) -> None:
    from controlplane.cli import checkpoint_reading as reading
    from controlplane.cli.command import shown

    home, tenant, identity = where
    made = shown(reading.asked(home, tenant, identity, kind, **said))
    show(made, str(made["id"]), as_json)


@checkpoint.command()
@home_option
@tenant_option
@json_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="A file that is not there yet."
)
@click.argument("identity", metavar="CHECKPOINT")
def export(home: Path, tenant: str, identity: str, out: Path, as_json: bool) -> None:
    """Write a checkpoint's file, byte for byte; of a sealed one what the tenant's private key opens."""
    from controlplane.cli import checkpoint_reading as reading

    content = reading.exported(home, tenant, identity)
    reading.write_new(out, content)
    show({"checkpoint": identity, "file": str(out), "bytes": len(content)}, str(out), as_json)


@checkpoint.command()
@home_option
@tenant_option
@json_option
@click.argument("before", metavar="CHECKPOINT")
@click.argument("after", metavar="OTHER")
def compare(home: Path, tenant: str, before: str, after: str, as_json: bool) -> None:
    """Print what is different in OTHER, one place a line: + added, - removed, ~ changed."""
    from controlplane.cli import checkpoint_reading as reading

    found = reading.compared(home, tenant, before, after)
    signs = {"added": "+", "removed": "-", "changed": "~"}
    lines = [
        f"{signs[each.change]} {each.path or '/'}  {' -> '.join(filter(None, (each.before, each.after)))}"
        for each in found
    ]
    show({"differences": found}, os.linesep.join(lines) or "They hold the same.", as_json)
