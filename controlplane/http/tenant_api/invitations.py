"""/v1/tenants/{tenant}/invitations: letting people in, by letter."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct

from controlplane.db.database import TenantTx
from controlplane.domain import audit, handing_on, invitations
from controlplane.domain.audit import Actor
from controlplane.domain.invitations import Invitation, Status
from controlplane.domain.letters import Letterhead
from controlplane.domain.sso import identities
from controlplane.http import limits
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.http.principals import AnyRequest
from controlplane.kit.ids import text_id
from controlplane.kit.problems import Refusal

MOST_AT_ONCE = 100


class NewInvitation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254)]
    role: Annotated[str, Meta(max_length=100)]
    """Name or id. No more than one's own permissions can be handed on."""


class NewInvitations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    invitations: Annotated[list[NewInvitation], Meta(min_length=1, max_length=MOST_AT_ONCE)]


class InvitationView(Struct, frozen=True, kw_only=True):
    """Never its link: that is in the letter alone."""

    id: str
    email: str
    role: str
    status: Status
    invited_by: str
    created_at: Moment
    sent_at: Moment
    """When the letter was last written."""
    expires_at: Moment
    accepted_at: Moment | None
    revoked_at: Moment | None


class BatchOutcome(Struct, frozen=True, kw_only=True):
    """What became of one of them: an invitation, or the reason why there is none."""

    email: str
    invitation: InvitationView | None = None
    code: str | None = None
    hint: str | None = None


class BatchAnswer(Struct, frozen=True, kw_only=True):
    data: list[BatchOutcome]
    """In the order in which they were asked for."""
    invited: int
    refused: int


class InvitationsController(Controller):
    path = "/invitations"
    tags = ("invitations",)

    @get("/", opt=rule(Surface.TENANT, "invitation:read"))
    async def listing(
        self,
        tx: NamedDependency[TenantTx],
        paging: NamedDependency[Paging],
        wanted: Annotated[Status | None, QueryParameter(name="status")] = None,
    ) -> Page[InvitationView]:
        """Invitations, newest first."""
        rows = await invitations.listing(tx, after=paging.after_id, limit=paging.fetch, status=wanted)
        return paging.page(rows, lambda row: row.id, lambda row: _view(row, tx))

    @post("/", status_code=201, opt=rule(Surface.TENANT, "invitation:create"))
    async def create(
        self,
        data: JSONBody[NewInvitation],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        letterhead: NamedDependency[Letterhead],
    ) -> InvitationView:
        """Invite somebody. They get a letter with a link that works once, for a week."""
        role = await _checked(request, tx, data)
        return _view(await invitations.create(tx, actor, letterhead, data.email, role), tx)

    @post("/batch", status_code=200, opt=rule(Surface.TENANT, "invitation:create"))
    async def create_many(
        self,
        data: JSONBody[NewInvitations],
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        letterhead: NamedDependency[Letterhead],
    ) -> BatchAnswer:
        """Invite up to 100 people. Each is invited or refused for itself."""
        outcomes = []
        for one in data.invitations:
            try:
                role = await _checked(request, tx, one)
                made = await invitations.create(tx, actor, letterhead, one.email, role)
            except Refusal as refusal:
                outcomes.append(BatchOutcome(email=one.email, code=refusal.code, hint=refusal.hint))
            else:
                outcomes.append(BatchOutcome(email=one.email, invitation=_view(made, tx)))
        invited = sum(outcome.invitation is not None for outcome in outcomes)
        refused = len(outcomes) - invited
        target = ("tenant", text_id("ten", tx.tenant_id))
        audit.record(tx, actor, "invitation.batch-created", target, invited=invited, refused=refused)
        return BatchAnswer(data=outcomes, invited=invited, refused=refused)

    @get("/{invitation:str}", opt=rule(Surface.TENANT, "invitation:read"))
    async def show(self, tx: NamedDependency[TenantTx], invitation: FromPath[str]) -> InvitationView:
        """One invitation."""
        return _view(await invitations.get(tx, identity("inv", invitation)), tx)

    @post("/{invitation:str}/resend", status_code=200, opt=rule(Surface.TENANT, "invitation:create"))
    async def resend(
        self,
        request: AnyRequest,
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        letterhead: NamedDependency[Letterhead],
        invitation: FromPath[str],
    ) -> InvitationView:
        """Write the letter again, with a new link; the earlier one works no longer."""
        earlier = await invitations.get(tx, identity("inv", invitation))
        await handing_on.role(tx, request.user, earlier.role)
        await limits.invitation(request.app.state.limiter, tx.tenant_id, earlier.email)
        return _view(await invitations.resend(tx, actor, letterhead, earlier.id), tx)

    @delete("/{invitation:str}", opt=rule(Surface.TENANT, "invitation:revoke"))
    async def revoke(
        self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], invitation: FromPath[str]
    ) -> None:
        """Make its link worthless. Doing it again changes nothing."""
        await invitations.revoke(tx, actor, identity("inv", invitation))


async def _checked(request: AnyRequest, tx: TenantTx, wanted: NewInvitation) -> str:
    """The name of the role that is wanted, which whoever asks may hand on."""
    role = await handing_on.role(tx, request.user, wanted.role)
    await identities.check_may_be_invited(tx, wanted.email)
    await limits.invitation(request.app.state.limiter, tx.tenant_id, wanted.email)
    return role.name


def _view(invitation: Invitation, tx: TenantTx) -> InvitationView:
    return InvitationView(
        id=text_id("inv", invitation.id),
        email=invitation.email,
        role=invitation.role,
        status=invitation.status(tx.now),
        invited_by=invitation.invited_by,
        created_at=moment(invitation.created_at),
        sent_at=moment(invitation.sent_at),
        expires_at=moment(invitation.expires_at),
        accepted_at=moment(invitation.accepted_at),
        revoked_at=moment(invitation.revoked_at),
    )
