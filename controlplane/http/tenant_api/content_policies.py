"""/v1/tenants/{tenant}/projects/{project}/content-policy: what of checkpoints may leave the runtimes' network."""

from typing import Annotated, Literal

from litestar import Controller, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import projects
from controlplane.domain.audit import Actor
from controlplane.domain.content import policies
from controlplane.domain.content.policies import KEEP_DAYS, LONGEST_DAYS, ContentPolicy, Wish
from controlplane.domain.vault.prints import base64url
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.kit.ids import text_id


class ContentPolicyChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Literal["metadata", "sealed", "plain"]
    """`metadata`: no content. `sealed`: encrypted in your network, to `public_key`. `plain`: as it is."""
    public_key: Annotated[str, Meta(min_length=1, max_length=2000)] | None = None
    """X25519, base64url. Whoever holds the other half reads what is sealed; the control plane cannot."""
    keep_days: Annotated[int, Meta(ge=1, le=LONGEST_DAYS)] = KEEP_DAYS


class ContentPolicyView(Struct, frozen=True, kw_only=True):
    project: str
    policy: str
    suite: int
    public_key: str | None
    key_id: str | None
    """By what the key is called where content is sealed to it."""
    keep_days: int
    """Days after which the content of a checkpoint is pruned, unless its session may still need it."""
    changed_at: Moment | None


class ContentPoliciesController(Controller):
    path = "/projects/{project:str}/content-policy"
    tags = ("projects",)

    @get("/", opt=rule(Surface.TENANT, "project:read"))
    async def show(self, tx: NamedDependency[TenantTx], project: FromPath[str]) -> ContentPolicyView:
        """What leaves of checkpoints. Agents never send more than their own settings allow as well."""
        found = await projects.named(tx, project)
        return _view(await policies.of_project(tx, found.id))

    @put("/", opt=rule(Surface.TENANT, "content:decide", fresh=True))
    async def decide(
        self,
        data: JSONBody[ContentPolicyChange],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        project: FromPath[str],
    ) -> ContentPolicyView:
        """Decide what leaves from now on. What has come already stays as it came, until it is pruned."""
        found = await projects.named(tx, project)
        wish = Wish(policy=data.policy, public_key=data.public_key, keep_days=data.keep_days)
        return _view(await policies.decide(tx, actor, found.id, wish))


def _view(found: ContentPolicy) -> ContentPolicyView:
    return ContentPolicyView(
        project=text_id("prj", found.project_id),
        policy=found.policy,
        suite=found.suite,
        public_key=base64url(found.public_key) if found.public_key else None,
        key_id=found.kid,
        keep_days=found.keep_days,
        changed_at=moment(found.changed_at),
    )
