"""Letters to a tenant's owners about operators who want to work as its people, or do."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from sqlalchemy import text

from controlplane.db.database import TenantTx
from controlplane.domain import letters, mails, people
from controlplane.domain.people import User
from controlplane.kit.ids import AccountId

TRIED: Final = (
    "{operator} of Engine Cloud asked to work as {user} in {tenant}. Nobody may, as your settings say: refused."
)
ASKS: Final = "{operator} of Engine Cloud asks to work as {user} in {tenant}. Nothing happens before an owner agrees."
MAY: Final = "{operator} of Engine Cloud may now work as {user} in {tenant}, as your settings allow it."
BEGAN: Final = "{operator} of Engine Cloud now works as {user} in {tenant}."

OWNERS: Final = text("""
    SELECT u.email_norm AS email, n.slug, n.name FROM users u JOIN tenants n ON n.tenant_id = u.tenant_id
    WHERE u.tenant_id = :tenant_id AND u.status = 'active' AND u.id IN (
        SELECT coalesce(a.user_id, m.user_id)
        FROM role_assignments a
        LEFT JOIN group_members m ON m.tenant_id = a.tenant_id AND m.group_id = a.group_id
        WHERE a.tenant_id = :tenant_id AND a.built_in = 'owner')
    ORDER BY u.id LIMIT 20
""")


class Owner(Struct, frozen=True):
    email: str
    slug: str
    name: str


class Notice(Struct, frozen=True, kw_only=True):
    """What owners are to know."""

    what: str
    """:data:`ASKS` or another of them."""
    operator_id: AccountId
    user: User
    reason: str
    more: str = ""
    """A sentence of its own."""


async def write(tx: TenantTx, public_url: str, notice: Notice, *, also: Iterable[str] = ()) -> None:
    """Have a letter sent to every owner of the tenant, 20 at most.

    Args:
        also: Addresses of others who get it.
    """
    operator, user = await people.get(tx.on_platform(), notice.operator_id), notice.user
    owners = await tx.query(Owner, OWNERS, tenant_id=tx.tenant_id)
    for to in dict.fromkeys([*(owner.email for owner in owners), *also]):
        said = notice.what.format(
            operator=f"{operator.name} <{operator.email}>" if operator.name else operator.email,
            user=f"{user.name} <{user.email_norm}>",
            tenant=owners[0].name if owners else "the tenant",
        )
        link = f"{public_url}/console/t/{owners[0].slug}/impersonations" if owners else f"{public_url}/console/"
        sentences = [said, f"The reason given: {notice.reason}", *([notice.more] if notice.more else [])]
        await mails.write(tx, "impersonation", letters.impersonation(to, sentences, link))
