"""/v1/tenants/{tenant}/join-tokens: what lets runtimes in."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import join_tokens, projects
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.http import bulk
from controlplane.http.authorize import Surface, rule
from controlplane.http.bulk import Batch, BatchResult
from controlplane.http.instants import Moment, moment
from controlplane.http.manners import plain_answer
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id


class NewJoinToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    project: Annotated[str, Meta(max_length=100)] = projects.DEFAULT
    """Slug or id."""
    uses: Annotated[int, Meta(ge=1, le=join_tokens.MOST_USES)] = 1
    expires_in: Annotated[int, Meta(ge=1, le=int(join_tokens.LONGEST.total_seconds()))] = int(
        join_tokens.LIFETIME.total_seconds()
    )
    """Seconds."""


class JoinTokenView(Struct, frozen=True, kw_only=True):
    id: str
    project: str
    """Its id."""
    hint: str
    uses_allowed: int
    uses: int
    created_by: str
    created_at: Moment
    expires_at: Moment
    revoked_at: Moment | None


class CreatedJoinToken(JoinTokenView, frozen=True, kw_only=True):
    token: str
    """Shown this once."""


class JoinTokensController(Controller):
    path = "/join-tokens"
    tags = ("join-tokens",)

    @get("/", opt=rule(Surface.TENANT, "join-token:read"))
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[JoinTokenView]:
        """Join tokens, newest first; those that open nothing any more included."""
        rows = await join_tokens.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda token: token.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "join-token:create"))
    async def create(
        self,
        data: JSONBody[NewJoinToken],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        keyring: NamedDependency[Keyring],
    ) -> CreatedJoinToken:
        """Make a token. Its secret is in the answer and nowhere else, ever."""
        project = await projects.named(tx, data.project)
        lifetime = timedelta(seconds=data.expires_in)
        token, secret = await join_tokens.create(
            tx, actor, keyring.pepper, project.id, lifetime=lifetime, uses=data.uses
        )
        return CreatedJoinToken(token=secret, **_facts(token))

    @post("/revoke", status_code=200, opt={**rule(Surface.TENANT, "join-token:revoke"), **plain_answer()})
    async def revoke_many(
        self, data: JSONBody[Batch], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> BatchResult:
        """Revoke many at once, each for itself or all of them or none."""
        return await bulk.each(tx, data, lambda given: join_tokens.revoke(tx, actor, identity("jt", given)))

    @get("/{token:str}", opt=rule(Surface.TENANT, "join-token:read"))
    async def show(self, tx: NamedDependency[TenantTx], token: FromPath[str]) -> JoinTokenView:
        """One token, without its secret."""
        return _view(await join_tokens.get(tx, identity("jt", token)))

    @delete("/{token:str}", opt=rule(Surface.TENANT, "join-token:revoke"))
    async def revoke(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], token: FromPath[str]) -> None:
        """Let nobody in with it any more; who is in stays. Doing it again changes nothing."""
        await join_tokens.revoke(tx, actor, identity("jt", token))


def _view(token: join_tokens.JoinToken) -> JoinTokenView:
    return JoinTokenView(**_facts(token))


def _facts(token: join_tokens.JoinToken) -> dict[str, Any]:
    return {
        "id": text_id("jt", token.id),
        "project": text_id("prj", token.project_id),
        "hint": token.hint,
        "uses_allowed": token.uses_allowed,
        "uses": token.uses,
        "created_by": token.created_by,
        "created_at": moment(token.created_at),
        "expires_at": moment(token.expires_at),
        "revoked_at": moment(token.revoked_at),
    }
