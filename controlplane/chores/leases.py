"""One replica at a time runs a chore: a row says which, until when."""

from datetime import timedelta
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import Database

TAKE = text("""
    INSERT INTO chore_leases (name, holder, until) VALUES (:name, :holder, now() + :length)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE chore_leases.until < now() OR chore_leases.holder = excluded.holder
    RETURNING name
""")
"""By the database's clock: the replicas' own may differ."""

FREE = text("""
    UPDATE chore_leases SET until = now() + :rest, ran_at = now(), outcome = :outcome
    WHERE name = :name AND holder = :holder RETURNING name
""")


class _Named(Struct, frozen=True):
    name: str


async def take(db: Database, name: str, holder: UUID, length: timedelta) -> bool:
    """Whether *holder* may run the chore now. A holder that dies is waited for until *length* is over."""
    async with db.platform() as tx:
        return bool(await tx.query(_Named, TAKE, name=name, holder=holder, length=length))


async def free(db: Database, name: str, holder: UUID, *, rest: timedelta, outcome: str) -> None:
    """Say how it went, and that nobody need run it again before *rest* is over."""
    async with db.platform() as tx:
        await tx.query(_Named, FREE, name=name, holder=holder, rest=rest, outcome=outcome)
