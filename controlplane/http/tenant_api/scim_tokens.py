"""/v1/tenants/{tenant}/scim-tokens: what the tenant's directory comes in with."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import scim_tokens
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id

Lifetime = Annotated[int, Meta(ge=60, le=int(scim_tokens.LONGEST.total_seconds()))]


class NewScimToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=scim_tokens.MAX_NAME)]
    """What the directory is called: Entra, Okta."""
    expires_in: Lifetime = int(scim_tokens.LIFETIME.total_seconds())
    """Seconds."""


class ScimTokenRotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overlap: Annotated[int, Meta(ge=0, le=int(scim_tokens.LONGEST_OVERLAP.total_seconds()))] = int(
        scim_tokens.OVERLAP.total_seconds()
    )
    """Seconds that the old token still works."""
    expires_in: Lifetime = int(scim_tokens.LIFETIME.total_seconds())
    """Seconds that the new one works."""


class ScimTokenView(Struct, frozen=True, kw_only=True):
    id: str
    connection: str
    """The id of the first token of the same directory."""
    name: str
    hint: str
    rotated_from: str | None
    created_by: str
    created_at: Moment
    expires_at: Moment
    last_used_at: Moment | None
    """To the minute."""
    synced_at: Moment | None
    """When it last changed something, to the minute."""
    revoked_at: Moment | None


class CreatedScimToken(ScimTokenView, frozen=True, kw_only=True):
    token: str
    """Shown this once."""


class ScimTokensController(Controller):
    path = "/scim-tokens"
    tags = ("scim-tokens",)

    @get("/", opt=rule(Surface.TENANT, "scim-token:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[ScimTokenView]:
        """SCIM tokens, newest first; those that open nothing any more included."""
        rows = await scim_tokens.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda token: token.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "scim-token:create", fresh=True))
    async def create(
        self,
        data: JSONBody[NewScimToken],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
    ) -> CreatedScimToken:
        """Connect a directory. The token's secret is in the answer and nowhere else, ever."""
        lifetime = timedelta(seconds=data.expires_in)
        token, secret = await scim_tokens.create(tx, actor, keyring.pepper, data.name, lifetime=lifetime)
        return CreatedScimToken(token=secret, **_facts(token))

    @get("/{scim_token:str}", opt=rule(Surface.TENANT, "scim-token:read"))
    async def show(self, tx: NamedDependency[TenantTx], scim_token: FromPath[str]) -> ScimTokenView:
        """One token, without its secret."""
        return _view(await scim_tokens.get(tx, identity("scm", scim_token)))

    @post("/{scim_token:str}/rotate", status_code=201, opt=rule(Surface.TENANT, "scim-token:create", fresh=True))
    async def rotate(
        self,
        data: JSONBody[ScimTokenRotation],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
        scim_token: FromPath[str],
    ) -> CreatedScimToken:
        """A new token of the same connection; the old one still works for a while. Two work at the same time at most."""
        made, secret = await scim_tokens.rotate(
            tx,
            actor,
            keyring.pepper,
            identity("scm", scim_token),
            overlap=timedelta(seconds=data.overlap),
            lifetime=timedelta(seconds=data.expires_in),
        )
        return CreatedScimToken(token=secret, **_facts(made))

    @delete("/{scim_token:str}", opt=rule(Surface.TENANT, "scim-token:revoke", fresh=True))
    async def revoke(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], scim_token: FromPath[str]
    ) -> None:
        """Shut out whoever has it; whom it has announced stays. Doing it again changes nothing."""
        await scim_tokens.revoke(tx, actor, identity("scm", scim_token))


def _view(token: scim_tokens.ScimToken) -> ScimTokenView:
    return ScimTokenView(**_facts(token))


def _facts(token: scim_tokens.ScimToken) -> dict[str, Any]:
    return {
        "id": text_id("scm", token.id),
        "connection": text_id("scm", token.connection_id),
        "name": token.name,
        "hint": token.hint,
        "rotated_from": None if token.rotated_from is None else text_id("scm", token.rotated_from),
        "created_by": token.created_by,
        "created_at": moment(token.created_at),
        "expires_at": moment(token.expires_at),
        "last_used_at": moment(token.last_used_at),
        "synced_at": moment(token.synced_at),
        "revoked_at": moment(token.revoked_at),
    }
