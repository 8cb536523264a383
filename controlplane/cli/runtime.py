"""``controlplane runtime``: the fleet of a tenant, and what can be done with one that is ill or has to go."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli.options import Command, home_option, instant, json_option, show, show_list, tenant_option

if TYPE_CHECKING:
    from controlplane.db.database import TenantTx
    from controlplane.domain.fleet import Member
    from controlplane.kit.ids import RuntimeId

COLUMNS = ("name", "project", "state", "state_reason", "state_since", "id")


def of_one(command: Command) -> Command:
    """What every command about one runtime takes."""
    named = click.argument("runtime_id", metavar="RUNTIME")
    return named(tenant_option(home_option(json_option(command))))


@click.group()
def runtime() -> None:
    """Runtimes: which there are, and what becomes of them."""


@runtime.command("list")
@tenant_option
@home_option
@json_option
def list_(tenant: str, home: Path, as_json: bool) -> None:
    """List a tenant's runtimes, revoked ones included."""
    from functools import partial

    from controlplane.cli.shell import within
    from controlplane.domain import fleet

    async def work(tx: "TenantTx", _: object) -> "list[Member]":
        rows: list[Member] = []
        page = partial(fleet.listing, tx, limit=200)
        while found := await page(before=rows[-1].id if rows else None):
            rows += found
        return rows

    show_list([_shown(row) for row in within(home, tenant, work)], COLUMNS, as_json)


@runtime.command()
@of_one
@click.option("--recoveries", default=0, type=click.IntRange(0, 100), help="Old join states let through after that.")
def release(runtime_id: str, tenant: str, recoveries: int, home: Path, as_json: bool) -> None:
    """Let a locked runtime in again, by its id: rt_… The copy that calls first goes on; stop the other one before."""
    from controlplane.cli.shell import shell
    from controlplane.domain import runtime_locks

    _act(home, tenant, runtime_id, lambda tx, found: runtime_locks.release(tx, shell(), found, recoveries))
    show({"id": runtime_id, "released": True}, f"released {runtime_id}", as_json)


@runtime.command("rotate-key")
@of_one
def rotate_key(runtime_id: str, tenant: str, home: Path, as_json: bool) -> None:
    """Have a runtime make itself a new key, with its next heartbeat."""
    from controlplane.cli.shell import shell
    from controlplane.domain import rekeying

    _act(home, tenant, runtime_id, lambda tx, found: rekeying.ask(tx, shell(), found))
    show({"id": runtime_id, "asked": True}, f"asked {runtime_id}", as_json)


@runtime.command()
@of_one
def decommission(runtime_id: str, tenant: str, home: Path, as_json: bool) -> None:
    """Have a runtime send what is left, say goodbye and forget its keys."""
    from controlplane.cli.shell import shell
    from controlplane.domain import departures

    _act(home, tenant, runtime_id, lambda tx, found: departures.ask(tx, shell(), found))
    show({"id": runtime_id, "asked": True}, f"asked {runtime_id}", as_json)


@runtime.command()
@of_one
def revoke(runtime_id: str, tenant: str, home: Path, as_json: bool) -> None:
    """End a runtime's access, and its leases, now."""
    from controlplane.cli.shell import shell
    from controlplane.domain import runtimes
    from controlplane.domain.vault import leased
    from controlplane.domain.vault.leased import Which

    async def work(tx: "TenantTx", found: "RuntimeId") -> None:
        await runtimes.revoke(tx, shell(), found)
        await leased.revoke_all(tx, shell(), Which(runtime_id=found))

    _act(home, tenant, runtime_id, work)
    show({"id": runtime_id, "revoked": True}, f"revoked {runtime_id}", as_json)


def _act(home: Path, tenant: str, named: str, work: "Callable[[TenantTx, RuntimeId], Awaitable[None]]") -> None:
    from controlplane.cli.shell import parsed, within
    from controlplane.kit.ids import RuntimeId

    runtime_id = RuntimeId(parsed("rt", named))
    within(home, tenant, lambda tx, _: work(tx, runtime_id))


def _shown(row: "Member") -> dict[str, object]:
    from controlplane.kit.ids import text_id

    return {
        "id": text_id("rt", row.id),
        "name": row.name,
        "project": row.project,
        "state": row.state,
        "state_reason": row.state_reason,
        "state_since": instant(row.state_since),
    }
