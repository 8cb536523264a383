"""The program: all commands, and how they end."""

import sys

import click
import msgspec

from controlplane.cli import leaving
from controlplane.cli.api_key import api_key
from controlplane.cli.audit import audit
from controlplane.cli.budget import budget
from controlplane.cli.checkpoint import checkpoint
from controlplane.cli.command import command
from controlplane.cli.config import config
from controlplane.cli.db import db
from controlplane.cli.doctor import doctor
from controlplane.cli.join_token import join_token
from controlplane.cli.logs import logs
from controlplane.cli.openapi import openapi
from controlplane.cli.operator import operator
from controlplane.cli.problems import Declined
from controlplane.cli.runtime import runtime
from controlplane.cli.serve import serve
from controlplane.cli.tenant import tenant
from controlplane.cli.up import up
from controlplane.cli.vault import vault
from controlplane.embedded import Unavailable
from controlplane.kit.problems import Refusal

REFUSED, BUG = 1, 70


class InOrder(click.Group):
    """Shows its commands in the order in which they were added: what comes first is needed first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="engine-cloud", message="%(version)s")
def program() -> None:
    """The control plane: what no single runtime can hold, for all of them."""


for each in leaving.COMMANDS:
    tenant.add_command(each)

for group in (
    *(up, serve, db, operator, tenant, api_key, join_token, runtime, checkpoint),
    *(command, config, budget, logs, vault, audit, openapi, doctor),
):
    program.add_command(group)


def main() -> None:
    """Refusals go to stderr with the next step and exit 1; a bug shows its traceback and exits 70."""
    try:
        program()
    except Refusal as refusal:
        said = f"{refusal.title}: {refusal.detail}" if refusal.detail else refusal.title
        _refuse(refusal.code, said, refusal.hint)
    except Declined as declined:
        _refuse("refused", str(declined), declined.hint)
    except Unavailable as unavailable:
        _refuse("unavailable", str(unavailable), "")
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(BUG)


def _refuse(code: str, said: str, hint: str) -> None:
    if "--json" in sys.argv:
        click.echo(msgspec.json.encode({"code": code, "detail": said, "hint": hint}))
    click.echo(said, err=True)
    if hint:
        click.echo(hint, err=True)
    sys.exit(REFUSED)
