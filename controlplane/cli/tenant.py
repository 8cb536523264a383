"""``controlplane tenant``: create and look after tenants."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli.options import forget_factors_option, home_option, instant, json_option, show, show_list

if TYPE_CHECKING:
    from controlplane.db.database import Database
    from controlplane.domain.keys import Keyring
    from controlplane.domain.tenants import Tenant

COLUMNS = ("slug", "name", "status", "id", "created_at")


@click.group()
def tenant() -> None:
    """Create and look after tenants."""


@tenant.command()
@click.argument("slug")
@click.option("--name", required=True, help="What people call it.")
@click.option("--owner", metavar="EMAIL", help="Who may do everything in it; the account is made if there is none.")
@home_option
@json_option
def create(slug: str, name: str, owner: str | None, home: Path, as_json: bool) -> None:
    """Create a tenant and print its id; a link that signs the owner in, once, goes to stderr."""
    from controlplane.cli import first_steps
    from controlplane.cli.home import Home
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell
    from controlplane.domain import people, sign_ins, tenants

    async def work(db: "Database", keyring: "Keyring") -> "tuple[Tenant, str | None]":
        if not owner:
            async with db.new_tenant() as tx:
                return await tenants.create(tx, shell(), slug, name), None
        async with db.platform() as platform:
            account = await people.account_for(platform, shell(), owner)
        async with db.new_tenant() as tx:
            created = await tenants.create(tx, shell(), slug, name)
            await people.add_user(tx, shell(), account, "owner")
        async with db.platform() as platform:
            return created, await sign_ins.make_link(platform, shell(), keyring.pepper, account.id)

    created, token = with_database(home, work)
    document = _shown(created)
    if token:
        document["owner_sign_in"] = first_steps.link(Home(home), token)
        if not as_json:
            click.echo(f"{owner} signs in, once, at {document['owner_sign_in']}", err=True)
    show(document, str(document["id"]), as_json)


@tenant.command("list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """List every tenant, newest first."""
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import every
    from controlplane.domain import tenants

    async def work(db: "Database", _: "Keyring") -> "list[Tenant]":
        async with db.operator() as tx:
            return await every(partial(tenants.listing, tx), lambda each: each.tenant_id)

    show_list([_shown(each) for each in with_database(home, work)], COLUMNS, as_json)


@tenant.command("show")
@click.argument("tenant")
@home_option
@json_option
def show_(tenant: str, home: Path, as_json: bool) -> None:
    """Show one tenant, by its slug or id."""
    from controlplane.cli.shell import within
    from controlplane.domain import tenants

    _say(within(home, tenant, lambda tx, _: tenants.get(tx)), as_json)


@tenant.command()
@click.argument("tenant")
@click.option("--reason", default="", help="Shown to the tenant's people.")
@home_option
@json_option
def suspend(tenant: str, reason: str, home: Path, as_json: bool) -> None:
    """Stop serving a tenant. Nothing is deleted."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain import tenants

    _say(within(home, tenant, lambda tx, _: tenants.suspend(tx, shell(), reason)), as_json)


@tenant.command()
@click.argument("tenant")
@home_option
@json_option
def resume(tenant: str, home: Path, as_json: bool) -> None:
    """Serve a suspended tenant again."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain import tenants

    _say(within(home, tenant, lambda tx, _: tenants.resume(tx, shell())), as_json)


@tenant.command("sign-in-link")
@click.argument("tenant")
@click.argument("email")
@forget_factors_option
@home_option
@json_option
def sign_in_link(tenant: str, email: str, forget_factors: bool, home: Path, as_json: bool) -> None:
    """Print a link that signs EMAIL of a tenant in, once, for a day: for somebody who lost theirs."""
    from controlplane.cli import first_steps
    from controlplane.cli.home import Home
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell, tenant_id
    from controlplane.domain import audit, people, recovery, sign_ins
    from controlplane.kit.ids import text_id

    async def work(db: "Database", keyring: "Keyring") -> str:
        async with db.tenant(await tenant_id(db, tenant)) as tx:
            user = await people.user_with(tx, email)
            audit.record(tx, shell(), "sign-in-link.created", ("user", text_id("usr", user.id)))
        async with db.platform() as platform:
            if forget_factors:
                await recovery.forget_factors(platform, shell(), user.account_id)
            return await sign_ins.make_link(platform, shell(), keyring.pepper, user.account_id)

    link = first_steps.link(Home(home), with_database(home, work))
    show({"email": email, "sign_in": link}, link, as_json)


def _say(tenant: "Tenant", as_json: bool) -> None:
    shown = _shown(tenant)
    show(shown, "\n".join(f"{name.replace('_', ' '):14}{value}" for name, value in shown.items()), as_json)


def _shown(tenant: "Tenant") -> dict[str, object]:
    from controlplane.kit.ids import text_id

    return {
        "id": text_id("ten", tenant.tenant_id),
        "slug": tenant.slug,
        "name": tenant.name,
        "status": tenant.status,
        "status_reason": tenant.status_reason,
        "created_at": instant(tenant.created_at),
    }
