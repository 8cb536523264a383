"""``controlplane openapi``: the API as a document."""

from pathlib import Path

import click
import msgspec

from controlplane.cli.options import json_option


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file instead.")
@json_option
def openapi(out: Path | None, as_json: bool) -> None:
    """Print the OpenAPI document of this release. Needs no database."""
    from controlplane.app import documented

    content = msgspec.json.format(msgspec.json.encode(documented(), order="sorted"), indent=1) + b"\n"
    if out is None:
        click.echo(content, nl=False)
        return
    out.write_bytes(content)
    if as_json:
        click.echo(msgspec.json.encode({"out": str(out)}))
