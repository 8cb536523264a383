"""``controlplane checkpoint``: what one holds, taken out or compared with another, whose content has come."""

import os
from pathlib import Path

import click

from controlplane.cli.options import home_option, json_option, show, tenant_option


@click.group()
def checkpoint() -> None:
    """What checkpoints hold, where it has come."""


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
