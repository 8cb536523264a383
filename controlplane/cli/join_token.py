"""``controlplane join-token``: what lets a runtime in."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli.options import Duration, home_option, instant, json_option, show, show_list, tenant_option

if TYPE_CHECKING:
    from controlplane.db.database import TenantTx
    from controlplane.domain.join_tokens import JoinToken
    from controlplane.domain.keys import Keyring

COLUMNS = ("hint", "state", "uses", "uses_allowed", "expires_at", "id")


@click.group("join-token")
def join_token() -> None:
    """What lets a runtime in."""


@join_token.command()
@tenant_option
@click.option("--project", default="default", show_default=True, help="Slug or id of the project it joins.")
@click.option("--ttl", default="1h", show_default=True, type=Duration(), help="How long it works.")
@click.option("--uses", default=1, show_default=True, type=click.IntRange(1), help="How many runtimes it lets in.")
@home_option
@json_option
def create(tenant: str, project: str, ttl: timedelta, uses: int, home: Path, as_json: bool) -> None:
    """Make a join token and print it, this once."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain import join_tokens, projects

    async def work(tx: "TenantTx", keyring: "Keyring") -> "tuple[JoinToken, str]":
        joined = await projects.named(tx, project)
        return await join_tokens.create(tx, shell(), keyring.pepper, joined.id, lifetime=ttl, uses=uses)

    token, secret = within(home, tenant, work)
    show({**_shown(token), "token": secret}, secret, as_json)


@join_token.command("list")
@tenant_option
@home_option
@json_option
def list_(tenant: str, home: Path, as_json: bool) -> None:
    """List a tenant's join tokens, those that open nothing any more included."""
    from controlplane.cli.shell import every, within
    from controlplane.domain import join_tokens

    found = within(home, tenant, lambda tx, _: every(partial(join_tokens.listing, tx), lambda token: token.id))
    show_list([_shown(token) for token in found], COLUMNS, as_json)


@join_token.command()
@click.argument("token")
@tenant_option
@home_option
@json_option
def revoke(token: str, tenant: str, home: Path, as_json: bool) -> None:
    """Let nobody in with it any more, by its id: jt_…"""
    from controlplane.cli.shell import parsed, shell, within
    from controlplane.domain import join_tokens

    token_id = parsed("jt", token)
    within(home, tenant, lambda tx, _: join_tokens.revoke(tx, shell(), token_id))
    show({"id": token, "revoked": True}, f"revoked {token}", as_json)


def _shown(token: "JoinToken") -> dict[str, object]:
    from controlplane.cli.shell import state
    from controlplane.kit.ids import text_id

    return {
        "id": text_id("jt", token.id),
        "project_id": text_id("prj", token.project_id),
        "hint": token.hint,
        "state": "used up" if token.uses >= token.uses_allowed else state(token.revoked_at, token.expires_at),
        "uses": token.uses,
        "uses_allowed": token.uses_allowed,
        "created_by": token.created_by,
        "created_at": instant(token.created_at),
        "expires_at": instant(token.expires_at),
        "revoked_at": instant(token.revoked_at),
    }
