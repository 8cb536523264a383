"""What the tests of connecting share: an app at an authority, links, and browsers that go there and come back."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from controlplane.db import schema as t
from controlplane.db.database import Database
from controlplane.domain import audit
from controlplane.domain.tenants import Tenant
from controlplane.domain.vault import apps
from controlplane.domain.vault.apps import App, NewApp
from controlplane.domain.vault.sealed import Proof
from controlplane.kit.ids import text_id
from controlplane.kit.secret import Secret
from tests.make import SHELL, Human
from tests.services.authority import Authority
from tests.services.fake import ID, SECRET

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def app_at(db: Database, tenant: Tenant, authority: Authority, **given: Any) -> App:
    """An app of the tenant that names the issuer alone."""
    new = {
        "provider": "generic-oidc",
        "name": "Ours",
        "client_id": ID,
        "proof": Proof(secret=Secret(SECRET)),
        "overrides": {"issuer": authority.url},
        "scopes": ["openid", "mail"],
        **given,
    }
    async with db.tenant(tenant.tenant_id) as tx:
        return await apps.create(tx, SHELL, NewApp(**new))


class Browser:
    """Somebody at a browser, with cookies of their own."""

    def __init__(self, app: Any, human: Human | None = None) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        cookies = {"session": human.session} if human else None
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test", cookies=cookies)

    async def follow(self, link: str) -> str:
        """From a link to the provider's address."""
        token = link.partition("#")[2]
        seen = await self.client.post("/oauth/connect", data={"token": token})
        assert seen.status_code == 200, seen.text
        gone = await self.client.post("/oauth/connect", data={"token": token, "go": "1"})
        assert gone.status_code == 200, gone.text
        return _url_in(gone.text)

    async def come_back(self, url: str) -> str:
        """Follow the address that the provider sends back to; returns where it leads."""
        parts = urlsplit(url)
        answer = await self.client.get(f"{parts.path}?{parts.query}")
        assert answer.status_code == 303, answer.text
        assert answer.headers["referrer-policy"] == "no-referrer"
        return answer.headers["location"]

    async def close(self) -> None:
        await self.client.aclose()


def _url_in(page: str) -> str:
    start = page.index('href="http', page.index("you go on") if "you go on" in page else 0) + 6
    return page[start : page.index('"', start)].replace("&amp;", "&")


def said(location: str) -> dict[str, str]:
    """What an address that a browser is led to says."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


async def refusals(db: Database, tenant: Tenant) -> list[str]:
    """What the tenant's audit log says about those who were turned down, newest first."""
    async with db.tenant(tenant.tenant_id) as tx:
        events = await audit.listing(tx, limit=50)
    return [event.facts["why"] for event in events if event.action == "connection.refused"]


async def kept(db: Database, tenant: Tenant) -> list[str]:
    """The states of everything that is kept of connections."""
    async with db.tenant(tenant.tenant_id) as tx:
        rows = await tx.rows(tx.select(t.connections).with_only_columns(t.connections.c.state))
    return [row["state"] for row in rows]


def shown(app: App) -> str:
    return text_id("app", app.id)
