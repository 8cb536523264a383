"""An owner's way into a tenant whose identity provider is out of order."""

from controlplane.db.database import Database
from controlplane.domain import audit, people, tenants
from controlplane.domain.audit import Actor
from controlplane.domain.grants import owns
from controlplane.domain.permissions import Person
from controlplane.domain.sso import entries
from controlplane.http.demanded_factors import FACTORS
from controlplane.kit.ids import text_id
from controlplane.kit.problems import NotFound, Refusal


class GlassNotYours(Refusal):
    """Told to members only."""

    code, status, title = "break-glass-refused", 403, "Only an owner with two factors enters without single sign-on"
    hint = (
        "Sign in with a passkey, or with password and authenticator app, as an owner; without either, add one under "
        "My account first. Or ask whoever runs the service."
    )


async def break_in(db: Database, actor: Actor, person: Person, reference: str) -> None:
    """Let this session into the tenant until it ends; the tenant's audit log and a letter to its person say so.

    Raises:
        NotFound: If they are no member of such a tenant.
        GlassNotYours: If they are no owner, or have not shown two factors.
    """
    tenant_id = await tenants.find(db, reference)
    if tenant_id is None:
        raise NotFound
    found = await people.enter(db, tenant_id, person.account_id)
    if found is None or found.user_id is None:
        raise NotFound
    if not owns(found.grants) or person.auth_level < FACTORS:
        raise GlassNotYours
    async with db.tenant(tenant_id) as tx:
        audit.record(tx, actor, "sso.glass-broken", ("user", text_id("usr", found.user_id)))
    async with db.platform() as platform:
        await entries.break_glass(platform, actor, person.session_id, tenant_id)
        what = f"You have entered {found.tenant.name} without its single sign-on, as one of its owners."
        await people.notify(platform, person.account_id, what)
