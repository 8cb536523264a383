"""A tenant with one of everything: what the generated test of tenants apart fills addresses and bodies with."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from controlplane.db import schema as t
from controlplane.domain import (
    api_keys,
    assignments,
    audit,
    commands,
    domains,
    exports,
    groups,
    invitations,
    join_tokens,
    people,
    projects,
    roles,
    runtime_keys,
    scim_tokens,
    service_accounts,
)
from controlplane.domain.budgets import definitions, leasing
from controlplane.domain.budgets.definitions import NewBudget
from controlplane.domain.holdings import Holder
from controlplane.domain.impersonation import requests
from controlplane.domain.impersonation.requests import Wanted
from controlplane.domain.letters import Letterhead
from controlplane.domain.sso import connections
from controlplane.domain.sso.connections import NewConnection
from controlplane.domain.vault import catalogue, connecting, disclosures, leaving, minted, policies, statics, waiting
from controlplane.domain.vault import connections as vault_connections
from controlplane.domain.vault.disclosures import Who
from controlplane.domain.vault.minted import NewMinted
from controlplane.domain.vault.policies import NewPolicy
from controlplane.domain.vault.statics import NewStatic
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.secret import Secret
from runtime_agent.wire.budgets import Ask
from tests import contents
from tests.conftest import KEYRING
from tests.domain.vault import begun
from tests.http import configured, told
from tests.make import SHELL
from tests.rows import Rows
from tests.runtimes import join

CANARY = "canary"
PREFIX = "/v1/tenants/{tenant}"

serial = iter(range(1, 1_000_000))


class Operation(Struct, frozen=True):
    method: str
    path: str
    parameters: list[str]
    queries: list[str]
    headers: list[str]
    body: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def ends_it(self) -> int:
        """Deleting the tenant comes last but one, and taking that back last."""
        return {f"DELETE {PREFIX}": 1, f"POST {PREFIX}/undelete": 2}.get(str(self), 0)


class Company:
    """A tenant with one of everything."""

    def __init__(self, db, make, blobs, tenant, runtime):
        self.tenant, self.runtime = tenant, runtime
        self._db, self._make, self._blobs, self._rows = db, make, blobs, Rows(db)
        self._newest_group = self._newest_runtime = None
        self.person_id = None
        """Who has begun what is to be confirmed; None: a program."""
        self.factory: dict[str, Callable[[], Awaitable[str]]] = {
            "tenant": self._tenant,
            "agent": self._agent,
            "approval": self._approval,
            "actor": self._key,
            "assignment": self._assignment,
            "export": self._export,
            "group": self._group,
            "role": self._role,
            "scim_token": self._scim_token,
            "service_account": self._service_account,
            "budget": self._budget,
            "checkpoint": self._checkpoint,
            "command": self._command,
            **configured.factory(db, tenant, CANARY),
            **told.factory(db, tenant, CANARY),
            "other": self._checkpoint,
            "app": self._app,
            "connect_session": self._connect_session,
            "connection": self._connection,
            "sso_connection": self._sso_connection,
            "domain": self._domain,
            "event": self._event,
            "disclosure": self._disclosure,
            "impersonation": self._impersonation,
            "invitation": self._invitation,
            "key": self._key,
            "lease": self._lease,
            "log": self._log,
            "policy": self._policy,
            "project": self._project,
            "provider": self._provider,
            "run": self._run,
            "runtime": self._runtime,
            "runtime_key": self._runtime_key,
            "session": self._session,
            "target": self._key,
            "token": self._token,
            "user": self._user,
        }

    async def _log(self):
        return "details"

    async def url(self, operation: Operation, **others: str) -> str:
        """The address of an object of this company, except for the segments in *others*."""
        path = operation.path
        for name in operation.parameters:
            path = path.replace(f"{{{name}}}", others.get(name) or await self._made(name, operation.path))
        return path

    async def _made(self, name: str, path: str) -> str:
        """What stands at *path* under *name*, in a state in which that can be done to it."""
        for part, factory in (
            ("/sso-connections/", self._sso_connection),
            ("/connections/{connection}/confirm", self._pending),
            ("/connections/{connection}/enable", self._disabled),
            ("/connections/{connection}/minting", self._minted),
            ("/connect-sessions/{connect_session}/device", self._device),
            ("/connect-sessions/{connect_session}/poll", self._device),
            ("/connections/{connection}/refresh", self._refreshed),
        ):
            if name in ("connection", "connect_session") and part in path:
                return await factory()
        if name == "disclosure" and path.endswith("/read"):
            return await self._agreed()
        return await self.factory[name]()

    async def _tenant(self):
        return self.tenant.slug

    async def _agent(self):
        return text_id("agt", await self._rows.agent(self.runtime, f"{CANARY}-{next(serial)}"))

    async def _session(self):
        return text_id(
            "ses", await self._rows.session(self.runtime, agent=CANARY, error={"name": "ToolError", "line": CANARY})
        )

    async def _approval(self):
        asks = {"status": "waiting", "waiting_for": "human_approval"}
        return text_id("apr", await self._rows.session(self.runtime, agent=CANARY, **asks))

    async def _budget(self):
        """With something of it leased."""
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            made = await definitions.create(tx, SHELL, NewBudget(name=CANARY, amount=1000))
            await leasing.lease(tx, KEYRING, self.runtime.id, Ask())
        return text_id("bud", made.id)

    async def _command(self):
        """Which can still be taken back."""
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            wanted = commands.Wanted(kind="rescan", runtime_id=self.runtime.id, comment=CANARY)
            return text_id("cmd", (await commands.create(tx, SHELL, wanted)).id)

    async def _run(self):
        session = await self._rows.session(self.runtime, agent=CANARY)
        return text_id("run", await self._rows.run(self.runtime, session, agent=CANARY))

    async def _checkpoint(self):
        session = await self._rows.session(self.runtime, agent=CANARY)
        made = await self._rows.checkpoint(self.runtime, session, node=CANARY)
        await contents.keep(self._db, self._blobs, self.runtime, session, made, b'{"of": "canary"}')
        return text_id("cp", made)

    async def _provider(self):
        """The same for everybody."""
        return "google"

    async def _runtime(self):
        runtime = await join(self._db, self.tenant.tenant_id, self.runtime.project_id)
        self._newest_runtime = runtime.id
        return text_id("rt", runtime.id)

    async def _runtime_key(self):
        """Of the runtime that was made last."""
        if self._newest_runtime is None:
            await self._runtime()
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            key, _ = await runtime_keys.create(tx, SHELL, bytes(32), self._newest_runtime)
        return text_id("key", key.id)

    async def _key(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            key, _ = await api_keys.for_automation(tx, SHELL, bytes(32), CANARY)
        return text_id("key", key.id)

    async def _event(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            await projects.create(tx, SHELL, f"{CANARY}-{next(serial)}", CANARY, "dev")
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            [event] = await audit.listing(tx, limit=1)
        return text_id("aud", event.id)

    async def _domain(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            domain = await domains.create(tx, SHELL, f"{CANARY}-{next(serial)}.example")
        return text_id("dom", domain.id)

    async def _app(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            app = await begun.app(tx, name=CANARY, client_id=CANARY)
        return text_id("app", app.id)

    async def _connect_session(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            session, _ = await begun.begin(tx, owner_ref=CANARY)
        return text_id("cns", session.id)

    async def _device(self):
        """On which somebody is to consent, and nobody has asked lately whether they have."""
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            await waiting.allow(tx, SHELL, True)
            session, _ = await begun.begin(tx, owner_ref=CANARY, person_id=self.person_id)
            await begun.elsewhere(tx, await connecting.use(tx, session.id))
        return text_id("cns", session.id)

    async def _connection(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            new = NewStatic(name=CANARY, fields={"api_key": Secret(CANARY)})
            made = await statics.create(tx, SHELL, begun.API_KEY, new)
        return text_id("con", made.id)

    async def _lease(self):
        """Of a connection of its own, and on record."""
        connection_id = parse_id("con", await self._connection())
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            return text_id("lea", await begun.leased(tx, CANARY, self.runtime.id, connection_id))

    async def _policy(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            made = await policies.create(tx, SHELL, NewPolicy(name=CANARY, effect="deny", modes=["proxy"]))
        return text_id("pol", made.id)

    async def _disabled(self):
        identity = await self._connection()
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            await leaving.disable(tx, SHELL, parse_id("con", identity))
        return identity

    async def _minted(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            new = NewMinted(name=CANARY, way="client_credentials")
            made = await minted.create(tx, SHELL, await begun.app(tx), catalogue.read().get("generic-oauth2"), new)
        return text_id("con", made.id)

    async def _pending(self):
        """For an end user called like the canary."""
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            session, _ = await begun.begin(tx, owner_ref=CANARY, person_id=self.person_id)
            made = await begun.arrive(tx, session)
        return text_id("con", made.id)

    async def _refreshed(self):
        """Just now, so that no provider is called."""
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            made = await begun.connected(tx)
            await vault_connections.write(tx, made.id, {"refreshed_at": tx.now})
        return text_id("con", made.id)

    async def _sso_connection(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            for enough in (await connections.listing(tx, after=None, limit=connections.MOST))[1:]:
                await connections.delete(tx, SHELL, enough.id)
            new = NewConnection(name=CANARY, issuer="http://127.0.0.1:9", client_id=CANARY, client_secret=Secret("s"))
            made = await connections.create(tx, SHELL, new)
        return text_id("sso", made.id)

    async def _disclosure(self):
        """Asked for by somebody else, for a second person to answer."""
        connection, somebody = await self._connection(), await self._make.account()
        who = Who(account_id=somebody.id, name=CANARY, public_url="http://test")
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            await disclosures.set_policy(tx, SHELL, "two_people")
            made = await disclosures.request(tx, SHELL, who, parse_id("con", connection), CANARY)
        return text_id("dis", made.id)

    async def _agreed(self):
        """Asked for by :attr:`person_id`, or by somebody else, and agreed to."""
        connection = await self._connection()
        asks, agrees = [
            Who(account_id=each, name=CANARY, public_url="http://test")
            for each in (self.person_id or (await self._make.account()).id, (await self._make.account()).id)
        ]
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            await disclosures.set_policy(tx, SHELL, "two_people")
            made = await disclosures.request(tx, SHELL, asks, parse_id("con", connection), CANARY)
            await disclosures.approve(tx, SHELL, agrees, made.id)
        return text_id("dis", made.id)

    async def _impersonation(self):
        """Of somebody who came in just now, for an owner to answer."""
        operator, account = await self._make.operator(), await self._make.account()
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            user = await people.add_user(tx, SHELL, account, "viewer")
            wanted = Wanted(user_id=user.id, reason=CANARY)
            made = await requests.request(tx, SHELL, operator.account.id, "http://test", wanted)
        return text_id("imp", made.id)

    async def _invitation(self):
        letterhead = Letterhead(public_url="http://test", pepper=bytes(32))
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            email = f"{CANARY}-{next(serial)}@example.com"
            made = await invitations.create(tx, SHELL, letterhead, email, "viewer")
        return text_id("inv", made.id)

    async def _scim_token(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            token, _ = await scim_tokens.create(tx, SHELL, bytes(32), CANARY)
        return text_id("scm", token.id)

    async def _role(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            role = await roles.create(tx, SHELL, f"{CANARY}-{next(serial)}", ["run:read"])
        return text_id("role", role.id)

    async def _group(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            group = await groups.create(tx, SHELL, f"{CANARY}-{next(serial)}")
        self._newest_group = group.id
        return text_id("grp", group.id)

    async def _service_account(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            name, viewer = f"{CANARY}-{next(serial)}", await roles.named(tx, "viewer")
            account = await service_accounts.with_role(tx, SHELL, name, viewer)
        return text_id("sa", account.id)

    async def _assignment(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            account = await service_accounts.create(tx, SHELL, f"{CANARY}-{next(serial)}")
            holder, viewer = Holder("service-account", account.id), await roles.named(tx, "viewer")
            assignment = await assignments.assign(tx, SHELL, holder, viewer)
        return text_id("asg", assignment.id)

    async def _export(self):
        """Ready to be fetched."""
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            export = await exports.request(tx, SHELL)
            part = {"export_id": export.id, "number": 0, "body": CANARY.encode()}
            await tx.run(tx.insert(t.export_parts).values(**part))
            ready = {"state": "ready", "size_bytes": len(CANARY), "requested_by": CANARY}
            await tx.run(tx.update(t.exports).where(t.exports.c.id == export.id).values(**ready))
        return text_id("exp", export.id)

    async def _token(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            token, _ = await join_tokens.create(tx, SHELL, bytes(32), self.runtime.project_id)
        return text_id("jt", token.id)

    async def _project(self):
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            project = await projects.create(tx, SHELL, f"{CANARY}-{next(serial)}", CANARY, "dev")
        return text_id("prj", project.id)

    async def _user(self):
        account = await self._make.account()
        async with self._db.tenant(self.tenant.tenant_id) as tx:
            user = await people.add_user(tx, SHELL, account, "viewer")
            if self._newest_group is not None:
                await groups.add_member(tx, SHELL, self._newest_group, user.id)
        return text_id("usr", user.id)
