"""Options that commands share, and how they print what they have to say."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from controlplane.cli import home as homes

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

NOTHING = "-"
"""Stands in a table where a row has no value."""


class Duration(click.ParamType[timedelta]):
    """A number and a unit: ``90s``, ``15m``, ``1h``, ``90d``, ``2w``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,6})([smhdw])", str(value).strip())
        if not found or int(found[1]) == 0:
            self.fail(f"{value!r} is not a duration; write a number and a unit, as in 90s, 15m, 1h, 90d.", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


def home_option(command: Command) -> Command:
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
        default=homes.default_home,
        envvar="CONTROLPLANE_HOME",
        help="Folder of the keys and the embedded database.  [default: /var/lib/engine-cloud for root]",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(command)


def forget_factors_option(command: Command) -> Command:
    return click.option(
        "--forget-factors", is_flag=True, help="Remove their authenticator app and passkeys: for who has lost them."
    )(command)


def tenant_option(command: Command) -> Command:
    return click.option("--tenant", required=True, metavar="SLUG", help="Slug or id of the tenant.")(command)


def show(document: object, text: str, as_json: bool) -> None:
    """Print *document* as JSON or *text* for people and ``$(…)``."""
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2))
    else:
        click.echo(text)


def show_list(rows: Sequence[Mapping[str, object]], columns: Sequence[str], as_json: bool) -> None:
    """Print *rows*: all of each as JSON, else a table of *columns*; for no rows nothing but its heading."""
    if as_json:
        show({"data": rows}, "", as_json=True)
        return
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def instant(at: datetime | None) -> str | None:
    """As the API shows it: RFC 3339, UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def _cell(value: object) -> str:
    return NOTHING if value is None else str(value)
