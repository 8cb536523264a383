"""``controlplane operator``: the people who run the service."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from controlplane.cli.options import forget_factors_option, home_option, instant, json_option, show, show_list
from controlplane.cli.problems import Declined

if TYPE_CHECKING:
    from controlplane.db.database import Database
    from controlplane.domain.keys import Keyring
    from controlplane.domain.people import Account, Operator

COLUMNS = ("email", "name", "role", "id", "created_at")


@click.group()
def operator() -> None:
    """The people who run the service."""


@operator.command()
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read a password from standard input.")
@forget_factors_option
@home_option
@json_option
def create(email: str, password_stdin: bool, forget_factors: bool, home: Path, as_json: bool) -> None:
    """Make EMAIL an operator and print a link that signs in once; with a password, the account's id.

    For somebody who is one already: a new link, or a new password; their role stays.
    """
    from controlplane.cli import first_steps
    from controlplane.cli.home import Home
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import shell
    from controlplane.domain import passwords, people, recovery, sign_ins
    from controlplane.kit.ids import text_id
    from controlplane.kit.secret import Secret

    password = Secret(_from_stdin()) if password_stdin else None
    if password:
        passwords.check_fit(password, email)

    async def work(db: "Database", keyring: "Keyring") -> "tuple[Account, str | None]":
        hashed = await passwords.hashed(password) if password else None
        async with db.platform() as tx:
            account = await people.account_for(tx, shell(), email)
            await people.make_operator(tx, shell(), account.id)
            if forget_factors:
                await recovery.forget_factors(tx, shell(), account.id)
            if hashed:
                await people.set_password(tx, shell(), account.id, hashed)
                return account, None
            return account, await sign_ins.make_link(tx, shell(), keyring.pepper, account.id)

    account, token = with_database(home, work)
    document: dict[str, object] = {"id": text_id("acc", account.id), "email": account.email}
    if token:
        document["sign_in"] = first_steps.link(Home(home), token)
    show(document, str(document.get("sign_in") or document["id"]), as_json)


@operator.command("list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """List the operators."""
    from controlplane.cli.reach import with_database
    from controlplane.cli.shell import every
    from controlplane.domain import people
    from controlplane.kit.ids import text_id

    async def work(db: "Database", _: "Keyring") -> "list[tuple[Operator, Account]]":
        async with db.platform() as tx:
            found = await every(partial(people.operators, tx), lambda each: each.account_id)
            accounts = await people.accounts(tx, [each.account_id for each in found])
            return [(each, accounts[each.account_id]) for each in found]

    rows = [
        {
            "id": text_id("acc", account.id),
            "email": account.email,
            "name": account.name,
            "role": each.role,
            "created_at": instant(each.created_at),
        }
        for each, account in with_database(home, work)
    ]
    show_list(rows, COLUMNS, as_json)


def _from_stdin() -> str:
    password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise Declined(
            "No password came on standard input.", "printf '%s' \"$PASSWORD\" | controlplane operator create …"
        )
    return password
