"""Things to test with. Every argument has a default; name only what the test is about."""

import itertools
from datetime import timedelta

import pyotp
from msgspec import Struct

from controlplane.db.database import Database
from controlplane.domain import (
    api_keys,
    assignments,
    join_tokens,
    operator_keys,
    passwords,
    people,
    projects,
    roles,
    scim_tokens,
    service_accounts,
    sign_ins,
    tenants,
    totp,
)
from controlplane.domain.audit import Actor
from controlplane.domain.grants import EVERYWHERE, Limit
from controlplane.domain.holdings import Holder
from controlplane.domain.keys import Keyring
from controlplane.domain.people import Account
from controlplane.domain.sign_ins import Proof
from controlplane.domain.tenants import Tenant
from controlplane.kit.secret import Secret

SHELL = Actor(kind="shell", id="tests")
PASSWORD = "a sentence that nobody guesses"

_serial = itertools.count(1)


class Human(Struct, frozen=True):
    """Somebody at a browser."""

    account: Account
    session: str

    @property
    def headers(self) -> dict[str, str]:
        return {"cookie": f"session={self.session}"}


class Make:
    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db, self._keyring = db, keyring

    async def tenant(self, slug: str | None = None) -> Tenant:
        slug = slug or f"acme-{next(_serial)}"
        async with self._db.new_tenant() as tx:
            return await tenants.create(tx, SHELL, slug, slug.title())

    async def account(self, *, password: str | None = None) -> Account:
        """Without a password unless one is named: hashing takes its time."""
        email = f"person{next(_serial)}@example.com"
        password_hash = await passwords.hashed(Secret(password)) if password else None
        async with self._db.platform() as tx:
            return await people.create_account(tx, SHELL, email, password_hash=password_hash)

    async def signed_in(self, account: Account, proof: Proof = sign_ins.PASSWORD) -> Human:
        async with self._db.platform() as tx:
            return Human(account, await sign_ins.begin(tx, SHELL, self._keyring.pepper, account.id, "tests", proof))

    async def person(self, tenant: Tenant | None = None, role: str = "owner", limit: Limit = EVERYWHERE) -> Human:
        tenant = tenant or await self.tenant()
        account = await self.account()
        async with self._db.tenant(tenant.tenant_id) as tx:
            await people.add_user(tx, SHELL, account, role, limit)
        return await self.signed_in(account)

    async def operator(self, role: str = "admin") -> Human:
        account = await self.account()
        async with self._db.platform() as tx:
            await people.make_operator(tx, SHELL, account.id, role)
        return await self.signed_in(account)

    async def api_key(
        self, tenant: Tenant, role: str = "owner", lifetime: timedelta = api_keys.LIFETIME
    ) -> dict[str, str]:
        """The header that a key of *tenant* goes into."""
        async with self._db.tenant(tenant.tenant_id) as tx:
            _, secret = await api_keys.for_automation(
                tx, SHELL, self._keyring.pepper, "of the tests", role=role, lifetime=lifetime
            )
        return bearer(secret)

    async def limited_key(self, tenant: Tenant, role: str, limit: Limit) -> dict[str, str]:
        """As :meth:`api_key`, of a service account whose role counts only there."""
        async with self._db.tenant(tenant.tenant_id) as tx:
            account = await service_accounts.create(tx, SHELL, f"limited-{next(_serial)}")
            owner = Holder("service-account", account.id)
            await assignments.assign(tx, SHELL, owner, await roles.named(tx, role), limit)
            wanted = api_keys.Wanted(name="of the tests", owner=owner)
            _, secret = await api_keys.create(tx, SHELL, self._keyring.pepper, wanted)
        return bearer(secret)

    async def operator_key(self, operator: Human | None = None) -> dict[str, str]:
        operator = operator or await self.operator()
        async with self._db.platform() as tx:
            _, secret = await operator_keys.create(tx, SHELL, self._keyring.pepper, operator.account.id, "of the tests")
        return bearer(secret)

    async def totp(self, human: Human) -> str:
        """Give somebody an authenticator app, and return its seed; its current code is used up."""
        async with self._db.platform() as tx:
            seed = await totp.enroll(tx, SHELL, human.account.id)
            await totp.confirm(tx, SHELL, self._keyring.pepper, human.account.id, pyotp.TOTP(seed).at(tx.now))
        return seed

    async def scim_token(self, tenant: Tenant, name: str = "Entra") -> dict[str, str]:
        """The header that a token of the tenant's directory goes into."""
        async with self._db.tenant(tenant.tenant_id) as tx:
            _, secret = await scim_tokens.create(tx, SHELL, self._keyring.pepper, name)
        return bearer(secret)

    async def join_token(
        self, tenant: Tenant | None = None, *, uses: int = 1, lifetime: timedelta = join_tokens.LIFETIME
    ) -> str:
        tenant = tenant or await self.tenant()
        async with self._db.tenant(tenant.tenant_id) as tx:
            project = await projects.named(tx, projects.DEFAULT)
            _, secret = await join_tokens.create(
                tx, SHELL, self._keyring.pepper, project.id, lifetime=lifetime, uses=uses
            )
        return secret


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}
