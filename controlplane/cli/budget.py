"""``controlplane budget``: how much runtimes may use, and how much of it they have used."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from controlplane.cli.options import home_option, instant, json_option, show, show_list, tenant_option

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from uuid import UUID

    from controlplane.db.database import TenantTx
    from controlplane.domain.budgets.definitions import Budget, NewBudget
    from controlplane.domain.budgets.standing import Share, Standing

COLUMNS = ("name", "scope", "used", "limit", "unit", "left", "period", "action", "id")
SHARES = ("runtime", "used", "leased", "left", "said_at")

DEFAULT = "50,80,95"
MOST = 2**50


class Dollars(click.ParamType[int]):
    """An amount with at most six decimals, as millionths."""

    name = "dollars"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            amount = Decimal(str(value)) * 1_000_000
        except InvalidOperation:
            self.fail(f"{value!r} is no amount; as in 12.50.", param, ctx)
        if amount != amount.to_integral_value() or not 0 <= amount <= MOST:
            self.fail(f"{value!r} has more than six decimals, or is too much.", param, ctx)
        return int(amount)


class Percents(click.ParamType[list[int]]):
    """``50,80,95``."""

    name = "percents"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        parts = [each for each in str(value).split(",") if each]
        if len(parts) > 10 or not all(each.isdigit() and 1 <= int(each) <= 100 for each in parts):
            self.fail(f"{value!r} are no percentages; as in {DEFAULT}.", param, ctx)
        return [int(each) for each in parts]


TOKENS = click.option("--tokens", type=click.IntRange(0, MOST), help="The limit, in tokens of input and output.")
USD = click.option("--usd", type=Dollars(), help="The limit, in US dollars, where runtimes write down prices.")


@click.group()
def budget() -> None:
    """How much runtimes may use, and how much of it they have used."""


@budget.command()
@click.argument("name")
@tenant_option
@TOKENS
@USD
@click.option("--period", type=click.Choice(("day", "week", "month", "total")), default="month", show_default=True)
@click.option("--zone", default="UTC", show_default=True, help="IANA name of the time zone that days begin in.")
@click.option("--project", metavar="SLUG", help="For the runtimes of a project.")
@click.option("--runtime", metavar="RUNTIME", help="For one runtime, rt_…")
@click.option("--warn-at", type=Percents(), default=DEFAULT, show_default=True, help="Per cent of the limit.")
@click.option("--pause", is_flag=True, help="Pause what runs when it is used up. Default: only say so.")
@home_option
@json_option
def create(name: str, tenant: str, home: Path, as_json: bool, **given: Any) -> None:
    """Make a budget called NAME and print its id. Without a scope: for every runtime."""
    from controlplane.cli.problems import Declined
    from controlplane.cli.shell import shell, within
    from controlplane.domain.budgets import definitions
    from controlplane.kit.ids import text_id

    if (given["tokens"] is None) == (given["usd"] is None):
        raise Declined("A budget has one limit.", "Give --tokens or --usd.")
    if given["project"] is not None and given["runtime"] is not None:
        raise Declined("A budget has one scope.", "Give --project or --runtime, or neither.")

    async def work(tx: "TenantTx", _: object) -> "Budget":
        return await definitions.create(tx, shell(), await _new(tx, name, given))

    identity = text_id("bud", within(home, tenant, work).id)
    show({"id": identity}, identity, as_json)


@budget.command("list")
@tenant_option
@home_option
@json_option
def list_(tenant: str, home: Path, as_json: bool) -> None:
    """List a tenant's budgets, and how each stands."""
    from controlplane.cli.shell import every, within
    from controlplane.domain.budgets import definitions, standing

    async def work(tx: "TenantTx", _: object) -> "list[Standing]":
        def page(*, after: "UUID | None", limit: int) -> "Awaitable[list[Budget]]":
            return definitions.listing(tx, after=after, limit=limit)

        return await standing.of(tx, await every(page, lambda each: each.id))

    show_list([_shown(each) for each in within(home, tenant, work)], COLUMNS, as_json)


@budget.command("show")
@click.argument("budget_id", metavar="BUDGET")
@tenant_option
@home_option
@json_option
def show_(budget_id: str, tenant: str, home: Path, as_json: bool) -> None:
    """Print what each runtime has of a budget, by its id, bud_…"""
    from controlplane.cli.shell import parsed, within
    from controlplane.domain.budgets import definitions, standing

    identity = parsed("bud", budget_id)

    async def work(tx: "TenantTx", _: object) -> "list[Share]":
        return await standing.shares(tx, await definitions.get(tx, identity), limit=1000)

    show_list([_share(each) for each in within(home, tenant, work)], SHARES, as_json)


@budget.command()
@click.argument("budget_id", metavar="BUDGET")
@tenant_option
@TOKENS
@USD
@click.option("--name")
@click.option("--warn-at", type=Percents(), help="Per cent of the limit.")
@click.option("--pause/--warn", "pause", default=None, help="When it is used up.")
@home_option
@json_option
def change(budget_id: str, tenant: str, home: Path, as_json: bool, **given: Any) -> None:
    """Change a budget's limit, name, thresholds or action."""
    from controlplane.cli.problems import Declined
    from controlplane.cli.shell import parsed, shell, within
    from controlplane.domain.budgets import definitions

    identity = parsed("bud", budget_id)
    wanted = {"micro_usd": given["usd"], "tokens": given["tokens"]}

    async def work(tx: "TenantTx", _: object) -> "Budget":
        its = await definitions.get(tx, identity)
        if any(value is not None and unit != its.unit for unit, value in wanted.items()):
            raise Declined("The budget is of another unit.", "Make another budget.")
        action = None if given["pause"] is None else "pause" if given["pause"] else "warn"
        every = {"name": given["name"], "warn_at": given["warn_at"], "amount": wanted[its.unit], "action": action}
        changes = {name: value for name, value in every.items() if value is not None}
        return await definitions.change(tx, shell(), its.id, changes)

    kept = within(home, tenant, work)
    show({"id": budget_id, "limit": kept.amount}, f"{kept.amount} {kept.unit} a {kept.period}", as_json)


@budget.command()
@click.argument("budget_id", metavar="BUDGET")
@tenant_option
@home_option
@json_option
def delete(budget_id: str, tenant: str, home: Path, as_json: bool) -> None:
    """Delete a budget. A runtime keeps to it until it is heard from."""
    from controlplane.cli.shell import parsed, shell, within
    from controlplane.domain.budgets import definitions

    identity = parsed("bud", budget_id)

    async def work(tx: "TenantTx", _: object) -> None:
        await definitions.delete(tx, shell(), identity)

    within(home, tenant, work)
    show({"id": budget_id, "deleted": True}, f"{budget_id} is deleted", as_json)


async def _new(tx: "TenantTx", name: str, given: dict[str, Any]) -> "NewBudget":
    from controlplane.cli.shell import parsed
    from controlplane.domain import projects
    from controlplane.domain.budgets.definitions import NewBudget
    from controlplane.kit.ids import ProjectId, RuntimeId

    scope: dict[str, Any] = {}
    if given["project"] is not None:
        scope = {"level": "project", "project_id": ProjectId((await projects.named(tx, given["project"])).id)}
    if given["runtime"] is not None:
        scope = {"level": "runtime", "runtime_id": RuntimeId(parsed("rt", given["runtime"]))}
    in_tokens = given["tokens"] is not None
    return NewBudget(
        name=name,
        unit="tokens" if in_tokens else "micro_usd",
        amount=given["tokens"] if in_tokens else given["usd"],
        period=given["period"],
        zone=given["zone"],
        warn_at=given["warn_at"],
        action="pause" if given["pause"] else "warn",
        **scope,
    )


def _shown(found: "Standing") -> dict[str, object]:
    from controlplane.kit.ids import text_id

    its = found.budget
    of = {"project": its.project_id, "runtime": its.runtime_id}.get(its.level)
    return {
        "id": text_id("bud", its.id),
        "name": its.name,
        "scope": f"{its.level}:{of}" if of else its.level,
        "unit": its.unit,
        "limit": its.amount,
        "used": found.used,
        "leased": found.leased,
        "left": found.left,
        "awaited": found.awaited,
        "period": its.period,
        "zone": its.zone,
        "starts_at": instant(found.span.starts_at),
        "ends_at": instant(found.span.ends_at),
        "warn_at": list(its.warn_at),
        "action": its.action,
    }


def _share(its: "Share") -> dict[str, object]:
    from controlplane.kit.ids import text_id

    return {
        "runtime": text_id("rt", its.runtime_id),
        "used": its.used,
        "counted": its.counted,
        "leased": its.amount,
        "left": its.left,
        "said_at": instant(its.said_at),
    }
