"""Who types commands, and the tenant they mean."""

import os
import pwd
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

from controlplane.cli.problems import Declined
from controlplane.cli.reach import with_database
from controlplane.db.database import Database, TenantTx
from controlplane.domain import tenants
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.kit.clock import wall_clock
from controlplane.kit.ids import TenantId, parse_id
from controlplane.kit.problems import NotFound

Result = TypeVar("Result")
Row = TypeVar("Row")

A_PAGE = 200


class Listing(Protocol[Row]):
    """What rooms offer: a page of rows from just before *after* on."""

    def __call__(self, *, after: UUID | None, limit: int) -> Awaitable[list[Row]]: ...


def shell() -> Actor:
    """Whoever types on this machine, as the audit log names them."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    return Actor(kind="shell", id=name)


def within(folder: Path, reference: str, work: Callable[[TenantTx, Keyring], Awaitable[Result]]) -> Result:
    """Do *work* inside the tenant whose slug or id is *reference*.

    Raises:
        Declined: If there is no such tenant.
    """

    async def run(db: Database, keyring: Keyring) -> Result:
        async with db.tenant(await tenant_id(db, reference)) as tx:
            await _be_there(tx, reference)
            return await work(tx, keyring)

    return with_database(folder, run)


async def every(listing: Listing[Row], place: Callable[[Row], UUID]) -> list[Row]:
    """All that *listing* has, page after page; *place* is what a page is continued from."""
    rows: list[Row] = []
    while page := await listing(after=place(rows[-1]) if rows else None, limit=A_PAGE):
        rows += page
    return rows


def parsed(kind: str, text: str) -> UUID:
    """
    Raises:
        Declined: If *text* is no id of *kind*.
    """
    found = parse_id(kind, text)
    if found is None:
        raise Declined(f"{text!r} is no id.", f"Ids begin with {kind}_ and are in the list.")
    return found


def state(revoked_at: datetime | None, expires_at: datetime | None) -> str:
    """Whether a credential still opens something."""
    if revoked_at:
        return "revoked"
    return "expired" if expires_at and expires_at <= wall_clock() else "active"


async def tenant_id(db: Database, reference: str) -> TenantId:
    """
    Raises:
        Declined: If *reference* can mean no tenant.
    """
    found = await tenants.find(db, reference)
    if found is None:
        raise _unknown(reference)
    return found


async def _be_there(tx: TenantTx, reference: str) -> None:
    try:
        await tenants.get(tx)
    except NotFound:
        raise _unknown(reference) from None


def _unknown(reference: str) -> Declined:
    return Declined(f"There is no tenant {reference!r}.", "Those there are: controlplane tenant list")
