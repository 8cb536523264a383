"""``controlplane command``: what runtimes are asked to do, and the receipts."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from controlplane.cli.options import Duration, home_option, instant, json_option, show, show_list, tenant_option

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from uuid import UUID

    from controlplane.db.database import TenantTx
    from controlplane.domain.approvals import Decision
    from controlplane.domain.commands import Command
    from controlplane.domain.keys import Keyring
    from controlplane.domain.logs import Log

COLUMNS = ("kind", "state", "code", "runtime", "session", "created_at", "ended_at", "id")
LOGS = ("details", "tools", "raw")
KINDS = ("rescan", "drain", "pause", "resume", "cancel", "approve", "reject", "undo")


@click.group("command")
def command() -> None:
    """What runtimes are asked to do."""


@command.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("target", metavar="RUNTIME|SESSION")
@tenant_option
@click.option("--comment", default="", help="For the runtime, and for the log.")
@click.option(
    "--though-lost", is_flag=True, help="Of an undo: you have made sure that the session's process has ended."
)
@home_option
@json_option
def send(kind: str, target: str, tenant: str, home: Path, as_json: bool, **said: Any) -> None:
    """Ask for it and print the command's id: rescan and drain of a runtime, rt_…, the others of a session, ses_…

    Undo takes a session's last rollback back; controlplane checkpoint asks for those. It must begin within an hour. A runtime that polls hears of it within half a minute.
    """
    from controlplane.cli.shell import parsed, shell, within
    from controlplane.domain import approvals, commands

    identity = parsed("ses" if kind in commands.FITTING else "rt", target)

    async def work(tx: "TenantTx", _: "Keyring") -> "Command":
        if kind in {"approve", "reject"}:
            found = await approvals.decide(tx, shell(), identity, cast("Decision", kind), said["comment"])
            assert found.decision is not None, "it was just made"
            return found.decision
        session = identity if kind in commands.FITTING else None
        wanted = commands.Wanted(kind=kind, session_id=session, runtime_id=None if session else identity, **said)
        return await commands.create(tx, shell(), wanted)

    made = shown(within(home, tenant, work))
    show(made, str(made["id"]), as_json)


@command.command("collect-logs")
@click.argument("target", metavar="RUNTIME|SESSION")
@tenant_option
@click.option("--log", "logs", type=click.Choice(LOGS), multiple=True, default=LOGS[:2], show_default=True)
@click.option("--since", type=Duration(), help="How far back, as in 24h; a whole runtime takes it.")
@click.option("--comment", default="", help="For the log.")
@home_option
@json_option
def collect_logs(  # noqa: PLR0913 each is an option
    target: str, tenant: str, logs: tuple[str, ...], since: timedelta | None, comment: str, home: Path, as_json: bool
) -> None:
    """Have a runtime put logs into a bundle on its own machine, and print the command's id.

    Of a session, ses_…, or of all that a runtime, rt_…, wrote --since. The receipt, in command list, says what the file is called; whoever may go there fetches it from the folder collected of the agent's home.
    """
    from controlplane.cli.shell import parsed, shell, within
    from controlplane.domain import commands

    of_session = target.startswith("ses_")
    identity = parsed("ses" if of_session else "rt", target)

    async def work(tx: "TenantTx", _: "Keyring") -> "Command":
        asked = commands.Range(logs=cast("tuple[Log, ...]", logs), since=tx.now - since if since else None)
        wanted = commands.Wanted(
            kind=commands.COLLECT,
            comment=comment,
            session_id=identity if of_session else None,
            runtime_id=None if of_session else identity,
            collecting=asked,
        )
        return await commands.create(tx, shell(), wanted)

    made = shown(within(home, tenant, work))
    show(made, str(made["id"]), as_json)


@command.command("list")
@tenant_option
@home_option
@json_option
def list_(tenant: str, home: Path, as_json: bool) -> None:
    """List a tenant's commands, newest first."""
    from controlplane.cli.shell import every, within
    from controlplane.domain import commands
    from controlplane.domain.commands.receipts import Which

    async def work(tx: "TenantTx", _: "Keyring") -> "list[Command]":
        def page(*, after: "UUID | None", limit: int) -> "Awaitable[list[Command]]":
            return commands.listing(tx, Which(), before=after, limit=limit)

        return await every(page, lambda each: each.id)

    found = within(home, tenant, work)
    show_list([shown(each) for each in found], COLUMNS, as_json)


@command.command()
@click.argument("command_id", metavar="COMMAND")
@tenant_option
@home_option
@json_option
def withdraw(command_id: str, tenant: str, home: Path, as_json: bool) -> None:
    """Take it back, by its id, cmd_…: as long as its runtime does not have it."""
    from controlplane.cli.shell import parsed, shell, within
    from controlplane.domain import commands

    identity = parsed("cmd", command_id)
    taken_back = shown(within(home, tenant, lambda tx, _: commands.withdraw(tx, shell(), identity)))
    show(taken_back, f"withdrawn {command_id}", as_json)


def shown(its: "Command") -> dict[str, object]:
    """A command as its JSON shows it."""
    from controlplane.kit.ids import text_id

    return {
        "id": text_id("cmd", its.id),
        "kind": its.kind,
        "state": its.state,
        "code": its.code,
        "detail": its.detail,
        "runtime": text_id("rt", its.runtime_id),
        "session": text_id("ses", its.session_id) if its.session_id else None,
        "checkpoint": text_id("cp", its.checkpoint_id) if its.checkpoint_id else None,
        "undoes": text_id("cmd", its.undoes) if its.undoes else None,
        "logs": its.logs,
        "bundle": its.bundle,
        "comment": its.comment,
        "created_by": its.created_by,
        "created_at": instant(its.created_at),
        "not_after": instant(its.not_after),
        "delivered_at": instant(its.delivered_at),
        "started_at": instant(its.started_at),
        "ended_at": instant(its.ended_at),
    }
