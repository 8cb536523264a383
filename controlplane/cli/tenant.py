"""``controlplane tenant``: create and look after tenants."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli.options import (
    NOTHING,
    Duration,
    forget_factors_option,
    home_option,
    instant,
    json_option,
    show,
    show_list,
)

if TYPE_CHECKING:
    from controlplane.db.database import Database, TenantTx
    from controlplane.domain.keys import Keyring
    from controlplane.domain.tenants import Status, Tenant

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
@click.option("--status", help="Only those in this state.")
@click.option("-q", "--find", "q", help="The start of a slug or a part of a name.")
@home_option
@json_option
def list_(status: "Status | None", q: str | None, home: Path, as_json: bool) -> None:
    """List every tenant, newest first."""
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import every
    from controlplane.domain import tenants

    async def work(db: "Database", _: "Keyring") -> "list[Tenant]":
        async with db.operator() as tx:
            return await every(partial(tenants.listing, tx, status=status, q=q), lambda each: each.tenant_id)

    show_list([_shown(each) for each in with_database(home, work)], COLUMNS, as_json)


@tenant.command("show")
@click.argument("tenant")
@home_option
@json_option
def show_(tenant: str, home: Path, as_json: bool) -> None:
    """Show one tenant, by its slug or id, with what it may use and how much of it is in use."""
    from controlplane.cli.shell import within
    from controlplane.domain import quotas, tenants
    from controlplane.domain.plans import RATES

    async def work(tx: "TenantTx", _: "Keyring") -> dict[str, object]:
        limits = {
            limit.kind: {"limit": limit.most, **({} if limit.kind in RATES else {"used": limit.used})}
            for limit in await quotas.limits(tx)
        }
        return {**_shown(await tenants.get(tx)), "limits": limits}

    shown = within(home, tenant, work)
    _say(shown, as_json)


@tenant.command()
@click.argument("tenant")
@click.option("--reason", default="", help="For operators.")
@click.option("--message", default="", help="Shown to the tenant's people.")
@home_option
@json_option
def suspend(tenant: str, reason: str, message: str, home: Path, as_json: bool) -> None:
    """Stop serving a tenant. Nothing is deleted, and its runtimes keep what they have."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain import tenants

    _say(_shown(within(home, tenant, lambda tx, _: tenants.suspend(tx, shell(), reason, message))), as_json)


@tenant.command()
@click.argument("tenant")
@home_option
@json_option
def resume(tenant: str, home: Path, as_json: bool) -> None:
    """Serve a suspended tenant again."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain import tenants

    _say(_shown(within(home, tenant, lambda tx, _: tenants.resume(tx, shell()))), as_json)


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
    from controlplane.cli.problems import Declined
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell, tenant_id
    from controlplane.domain import audit, people, recovery, sign_ins
    from controlplane.kit.ids import text_id
    from controlplane.kit.problems import NotFound

    async def work(db: "Database", keyring: "Keyring") -> str:
        async with db.tenant(await tenant_id(db, tenant)) as tx:
            try:
                user_id, account_id = await people.user_with(tx, email)
            except NotFound:
                hint = "Look at its people in the console: who was invited or announced comes in by an invitation."
                raise Declined(f"nobody with the address {email} has come into the tenant", hint) from None
            audit.record(tx, shell(), "sign-in-link.created", ("user", text_id("usr", user_id)))
        async with db.platform() as platform:
            if forget_factors:
                await recovery.forget_factors(platform, shell(), account_id)
            return await sign_ins.make_link(platform, shell(), keyring.pepper, account_id)

    link = first_steps.link(Home(home), with_database(home, work))
    show({"email": email, "sign_in": link}, link, as_json)


@tenant.command("relax-sso")
@click.argument("tenant")
@home_option
@json_option
def relax_sso(tenant: str, home: Path, as_json: bool) -> None:
    """Let a tenant's people in by other ways than single sign-on again: its provider is out of order."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain.sso import connections

    relaxed = within(home, tenant, lambda tx, _: connections.relax(tx, shell()))
    said = "people come in by other ways too" if relaxed else "single sign-on was not enforced"
    show({"tenant": tenant, "relaxed": relaxed}, said, as_json)


@tenant.command()
@click.argument("tenant")
@click.option(
    "--grace", type=Duration(), help="Until everything is destroyed.  [default: CONTROLPLANE_DELETION_GRACE_S]"
)
@home_option
@json_option
def delete(tenant: str, grace: timedelta | None, home: Path, as_json: bool) -> None:
    """Stop serving a tenant now, and have everything it has destroyed when its grace is over."""
    from controlplane.cli.reach import settings_of
    from controlplane.cli.shell import shell, within
    from controlplane.domain import tenants

    waiting = grace or settings_of(home).grace()
    _say(_shown(within(home, tenant, lambda tx, _: tenants.delete(tx, shell(), waiting))), as_json)


@tenant.command()
@click.argument("tenant")
@home_option
@json_option
def undelete(tenant: str, home: Path, as_json: bool) -> None:
    """Take a deletion back while there is time: the tenant is what it was before."""
    from controlplane.cli.shell import shell, within
    from controlplane.domain import tenants

    _say(_shown(within(home, tenant, lambda tx, _: tenants.undelete(tx, shell()))), as_json)


def _say(shown: dict[str, object], as_json: bool) -> None:
    lines = []
    for name, value in shown.items():
        for key, each in value.items() if isinstance(value, dict) else ((name, value),):
            lines.append(f"{key.replace('_', ' '):26}{_words(each)}")
    show(shown, "\n".join(lines), as_json)


def _words(value: object) -> str:
    if not isinstance(value, dict):
        return NOTHING if value is None else str(value)
    most = "no limit" if value["limit"] is None else f"at most {value['limit']}"
    return f"{value['used']}, {most}" if "used" in value else most


def _shown(tenant: "Tenant") -> dict[str, object]:
    from controlplane.kit.ids import text_id

    return {
        "id": text_id("ten", tenant.tenant_id),
        "slug": tenant.slug,
        "name": tenant.name,
        "status": tenant.status,
        "status_reason": tenant.status_reason,
        "status_message": tenant.status_message,
        "status_since": instant(tenant.status_since),
        "purge_at": instant(tenant.purge_at),
        "plan": tenant.plan,
        "created_at": instant(tenant.created_at),
    }
