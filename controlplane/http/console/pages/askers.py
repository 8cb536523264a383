"""Who did something, for people: what is kept beside a row is an id."""

from collections.abc import Iterable

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import users
from controlplane.http.console.pages.leases import named
from controlplane.kit.ids import parse_id, text_id


async def called(tx: TenantTx, written: Iterable[str]) -> dict[str, str]:
    """What those are called who stand as *written* beside a row: people by name or address, keys by their own names.

    Who has gone is not among them, nor are shells and chores.
    """
    ids = set(written)
    accounts = [found for each in ids if (found := parse_id("acc", each)) is not None]
    keys = [found for each in ids if (found := parse_id("key", each)) is not None]
    people = await users.by_account(tx, accounts) if accounts else {}
    return {
        **{text_id("acc", account_id): user.name or user.email_norm for account_id, user in people.items()},
        **{text_id("key", key_id): f"key {name}" for key_id, name in (await named(tx, t.api_keys, keys)).items()},
    }
