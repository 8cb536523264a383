"""``controlplane openapi``: the API as a document."""

from pathlib import Path
from typing import Any

import click
import msgspec

from controlplane.cli.options import json_option


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file instead.")
@json_option
def openapi(out: Path | None, as_json: bool) -> None:
    """Print the OpenAPI document of this release. Needs no database."""
    from controlplane.app import documented

    content = _lines(documented(), 3) + "\n"
    if out is None:
        click.echo(content, nl=False)
        return
    out.write_text(content)
    if as_json:
        click.echo(msgspec.json.encode({"out": str(out)}))


def _lines(value: Any, depth: int) -> str:
    """JSON with a line for each member down to *depth*: an operation, a shape and a response are one line each."""
    if depth == 0 or not isinstance(value, dict) or not value:
        return msgspec.json.encode(value, order="sorted").decode()
    members = [f'"{name}": {_lines(each, depth - 1)}' for name, each in sorted(value.items())]
    return "{\n" + ",\n".join(members) + "\n}"
