"""Who of the operators is who at the platform's own provider. They say so themselves, while signed in."""

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.db.database import PlatformTx
from controlplane.domain import audit
from controlplane.domain.audit import Actor
from controlplane.domain.sso.identities import LinkFirst, NotLetIn, SubjectTaken
from controlplane.kit.ids import AccountId, text_id


async def arrived(tx: PlatformTx, actor: Actor, issuer: str, subject: str) -> AccountId:
    """The operator who has come back from the platform's provider.

    Raises:
        LinkFirst: If nobody has said that this is them.
    """
    account_id = await _known(tx, issuer, subject)
    if account_id is None:
        raise LinkFirst("no operator is known by this")
    audit.record(tx, actor, "sso.signed-in", ("account", text_id("acc", account_id)))
    return account_id


async def link(tx: PlatformTx, actor: Actor, issuer: str, subject: str, account_id: AccountId) -> None:
    """
    Raises:
        NotLetIn: If the account operates nothing.
        SubjectTaken: If that is somebody else.
    """
    if await tx.first(_Account, tx.select(t.operators).where(t.operators.c.account_id == account_id)) is None:
        raise NotLetIn("no operator")
    row = {"issuer": issuer, "subject": subject, "account_id": account_id, "created_at": tx.now}
    await tx.run(tx.insert(t.operator_identities).values(**row).on_conflict_do_nothing())
    if await _known(tx, issuer, subject) != account_id:
        raise SubjectTaken
    audit.record(tx, actor, "sso.connected", ("account", text_id("acc", account_id)), how="signed in")


class _Account(Struct, frozen=True):
    account_id: AccountId


async def _known(tx: PlatformTx, issuer: str, subject: str) -> AccountId | None:
    its = t.operator_identities.c
    mine = tx.select(t.operator_identities).where(its.issuer == issuer, its.subject == subject)
    found = await tx.first(_Account, mine)
    return found.account_id if found else None
