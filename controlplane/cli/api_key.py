"""``controlplane api-key``: for a tenant's automation."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli.options import Duration, home_option, instant, json_option, show, show_list, tenant_option

if TYPE_CHECKING:
    from controlplane.db.database import TenantTx
    from controlplane.domain.api_keys import Key
    from controlplane.domain.keys import Keyring

COLUMNS = ("name", "owner", "hint", "state", "expires_at", "last_used_at", "id")


@click.group("api-key")
def api_key() -> None:
    """Keys for a tenant's automation."""


@api_key.command()
@tenant_option
@click.option("--name", required=True, help="What it is for.")
@click.option("--role", default="admin", show_default=True, help="What it may do: of a new service account.")
@click.option("--service-account", metavar="NAME", help="Whose key it is instead, by name or id; it has its own roles.")
@click.option("--expires", default="90d", show_default=True, type=Duration(), help="How long it works.")
@home_option
@json_option
def create(  # noqa: PLR0913 one for each option
    tenant: str, name: str, role: str, service_account: str | None, expires: timedelta, home: Path, as_json: bool
) -> None:
    """Make a key and print it, this once."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain import api_keys, service_accounts
    from controlplane.domain.holdings import Holder

    async def work(tx: "TenantTx", keyring: "Keyring") -> "tuple[Key, str]":
        if service_account is None:
            return await api_keys.for_automation(tx, shell(), keyring.pepper, name, role=role, lifetime=expires)
        owner = Holder("service-account", (await service_accounts.named(tx, service_account)).id)
        wanted = api_keys.Wanted(name=name, owner=owner, lifetime=expires)
        return await api_keys.create(tx, shell(), keyring.pepper, wanted)

    key, secret = within(home, tenant, work)
    show({**_shown(key), "key": secret}, secret, as_json)


@api_key.command("list")
@tenant_option
@home_option
@json_option
def list_(tenant: str, home: Path, as_json: bool) -> None:
    """List a tenant's keys, revoked and expired ones included."""
    from controlplane.cli.shell import every, within
    from controlplane.domain import api_keys

    found = within(home, tenant, lambda tx, _: every(partial(api_keys.listing, tx), lambda key: key.id))
    show_list([_shown(key) for key in found], COLUMNS, as_json)


@api_key.command()
@click.argument("key")
@tenant_option
@home_option
@json_option
def revoke(key: str, tenant: str, home: Path, as_json: bool) -> None:
    """End a key now, by its id: key_…"""
    from controlplane.cli.shell import parsed, shell, within
    from controlplane.domain import api_keys

    key_id = parsed("key", key)
    within(home, tenant, lambda tx, _: api_keys.revoke(tx, shell(), key_id))
    show({"id": key, "revoked": True}, f"revoked {key}", as_json)


def _shown(key: "Key") -> dict[str, object]:
    from controlplane.cli.shell import state
    from controlplane.kit.ids import text_id

    return {
        "id": text_id("key", key.id),
        "name": key.name,
        "owner": text_id("usr" if key.owner.kind == "user" else "sa", key.owner.id),
        "scopes": key.scopes,
        "networks": key.networks,
        "hint": key.hint,
        "state": state(key.revoked_at, key.expires_at),
        "created_by": key.created_by,
        "created_at": instant(key.created_at),
        "expires_at": instant(key.expires_at),
        "last_used_at": instant(key.last_used_at),
        "revoked_at": instant(key.revoked_at),
    }
