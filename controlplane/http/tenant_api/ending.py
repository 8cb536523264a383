"""/v1/tenants/{tenant}/connections/end: many connections at once, by app, by provider, or all of the tenant."""

from typing import Annotated

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.vault import ending
from controlplane.domain.vault.ending import How, Which
from controlplane.http.authorize import Surface, rule
from controlplane.http.connecting import starting
from controlplane.http.manners import plain_answer
from controlplane.http.oauth_apps import ProviderName
from controlplane.http.paths import identity
from controlplane.kit.problems import Refusal


class Ending(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Connections that have all of this in common; at least one thing, or ``all``."""

    how: How
    """``revoke``: destroyed here, and the provider is told. ``needs_reauth``: a person has to connect each anew."""
    reason: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\u0000]*$")]
    provider: ProviderName | None = None
    app: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    all: bool = False
    """Every connection of the tenant."""


class EndingView(Struct, frozen=True, kw_only=True):
    done: int
    left: int
    """How many there still are: ask again until there is none."""


class ConnectionsUnnamed(Refusal):
    """Nothing was named, or something besides everything."""

    code, status, title = "connections-unnamed", 400, "It is not clear which connections are to end"
    hint = "Name a provider or an app, or both; or say all, and nothing else."


class EndingController(Controller):
    path = "/connections"
    tags = ("connections",)

    @post("/end", status_code=200, opt={**rule(Surface.TENANT, "connection:write", fresh=True), **plain_answer()})
    async def end(
        self, data: JSONBody[Ending], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> EndingView:
        """End connections after a theft, or with an app: the next hundred, and how many are left. Each has its own line
        in the audit log, and each call one for all of them."""
        if (data.provider is None and data.app is None) != data.all:
            raise ConnectionsUnnamed
        app = await starting.app_of(tx, identity("app", data.app)) if data.app is not None else None
        which = Which(provider=data.provider, app_id=app.id if app is not None else None)
        progress = await ending.end(tx, actor, which, data.how, data.reason)
        return EndingView(done=progress.done, left=progress.left)
