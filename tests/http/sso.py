"""What the tests of single sign-on share: a tenant with a provider, and browsers that go there and come back."""

from typing import Any
from urllib.parse import urlsplit

import httpx

from controlplane.db.database import Database
from controlplane.domain import audit, domains
from controlplane.domain.domains import Domain
from controlplane.domain.sso import connections
from controlplane.domain.sso.connections import Change, Connection, NewConnection
from controlplane.domain.tenants import Tenant
from controlplane.kit.secret import Secret
from tests.make import SHELL
from tests.provider import Provider


async def verified(db: Database, tenant: Tenant, name: str) -> Domain:
    async with db.tenant(tenant.tenant_id) as tx:
        domain = await domains.create(tx, SHELL, name)
        return await domains.settle(tx, SHELL, domain.id, [domain.value])


async def connect(db: Database, tenant: Tenant, provider: Provider, **given: Any) -> Connection:
    """A connection that people come in by; with ``enforced`` by it alone."""
    wanted = {"status": "active", "enforced": given.pop("enforced", False)}
    new = NewConnection(
        name="Acme's own",
        issuer=given.pop("issuer", provider.issuer),
        client_id=provider.client_id,
        client_secret=Secret(provider.client_secret),
        **given,
    )
    async with db.tenant(tenant.tenant_id) as tx:
        made = await connections.create(tx, SHELL, new)
        await connections.tested(tx, SHELL, made.id)
        return await connections.change(tx, SHELL, made.id, Change(**wanted))


class Browser:
    """Somebody at a browser, with cookies of their own."""

    def __init__(self, app: Any) -> None:
        self.app = app
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def leave(self, **start: Any) -> str:
        """Where the browser is sent to sign in."""
        answer = await self.client.post("/v1/auth/sso/start", json=start)
        assert answer.status_code == 200, answer.text
        return answer.json()["url"]

    async def come_back(self, url: str) -> str:
        """Follow the address that the provider sends back to; returns where it leads."""
        parts = urlsplit(url)
        answer = await self.client.get(f"{parts.path}?{parts.query}")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def sign_in(self, provider: Provider, sub: str = "u-1", *, tenant: str, **claims: Any) -> str:
        return await self.come_back(provider.sign_in(await self.leave(tenant=tenant), sub, **claims))

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def may_enter(self, tenant: Tenant) -> bool:
        return (await self.client.get(f"/v1/tenants/{tenant.slug}")).status_code == 200


def refused(location: str) -> str:
    """Why somebody stands before the sign-in page again."""
    assert location.startswith("/console/sso?sso="), location
    return location.partition("=")[2]


async def denials(db: Database, tenant: Tenant) -> list[str]:
    """What the tenant's audit log says about those who were turned down, newest first."""
    async with db.tenant(tenant.tenant_id) as tx:
        events = await audit.listing(tx, before=None, limit=50)
    return [event.facts["why"] for event in events if event.action == "sso.refused"]


class Api:
    """The tenant API in the hands of a key."""

    def __init__(self, client: httpx.AsyncClient, tenant: Tenant, headers: dict[str, str]) -> None:
        self.tenant, self.headers = tenant, headers
        self.client = client

    async def __call__(self, method: str, path: str = "", **given: Any) -> httpx.Response:
        """Changes are of whichever state there is."""
        url = f"/v1/tenants/{self.tenant.slug}{path}"
        headers = {**self.headers, "If-Match": "*"} if method in ("PATCH", "DELETE") else self.headers
        return await self.client.request(method, url, headers=headers, **given)
