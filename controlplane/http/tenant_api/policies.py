"""/v1/tenants/{tenant}/policies: which runtimes may use which connections; and who could use one."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.vault import access, policies
from controlplane.domain.vault.access import Access
from controlplane.domain.vault.deciding import (
    Clock,
    Conditions,
    Connections,
    Decision,
    Effect,
    Hours,
    Labels,
    Mode,
    Subject,
    Terms,
    Weekday,
)
from controlplane.domain.vault.looking import rule_of
from controlplane.domain.vault.paths import Method, Methods, Patterns
from controlplane.domain.vault.policies import Change, NewPolicy, Policy
from controlplane.http.authorize import Surface, rule
from controlplane.http.instants import Moment, moment
from controlplane.http.pages import Page, Paging
from controlplane.http.paths import identity
from controlplane.kit.ids import text_id

PolicyName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\u0000]*$")]
Modes: TypeAlias = Annotated[list[Mode], Meta(min_length=1, max_length=3)]
Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]


class PolicySubject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who. Every list that is not empty has to hold them; all empty: every runtime of the tenant."""

    runtimes: Terms = []
    """Their ids."""
    agents: Terms = []
    """Names, as the runtime says them; ``*`` stands for anything."""
    projects: Terms = []
    """Ids of the projects that runtimes are in."""
    labels: Labels = {}
    """That a runtime has, all of them."""


class PolicyConnections(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What. Every list that is not empty has to hold it; all empty: every connection of the tenant."""

    ids: Terms = []
    providers: Terms = []
    owners: Terms = []
    """``owner_ref``s."""
    labels: Labels = {}


class PolicyHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In UTC; from the evening into the morning where ``until`` is earlier than ``since``."""

    since: Clock
    until: Clock
    days: Annotated[list[Weekday], Meta(max_length=7)] = []
    """On which it begins; empty: on all."""


class PolicyConditions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scopes: Terms | None = None
    """The connection was granted no scopes but these: few tokens can be narrowed. Null: whatever it was granted."""
    max_ttl_s: Annotated[int, Meta(ge=1, le=86_400)] | None = None
    """Of a lease; null: as long as the installation lets it last."""
    purposes: Terms = []
    """One of these has to be given as the purpose; empty: none is asked for."""
    methods: Methods = []
    """Of calls in mode ``proxy``; empty: all."""
    paths: Patterns = []
    """Of such calls: ``/repos/*/issues/**``, or with the host before it. ``*`` is anything within a segment, ``**``
    any number of segments. Empty: all. Who leases can call anything: a policy with methods or paths allows no lease,
    and one that denies, denies each."""
    not_before: Instant | None = None
    not_after: Instant | None = None
    hours: PolicyHours | None = None


class NewPolicyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: PolicyName
    effect: Effect
    """``deny`` wins over every ``allow``; where nothing allows, nothing is allowed."""
    modes: Modes
    """``metadata``: know that it is there; ``proxy``: have calls made with it; ``lease``: have it. To allow one of the
    others allows ``metadata``, and to deny that denies everything."""
    subject: PolicySubject | None = None
    """Null: every runtime of the tenant."""
    connections: PolicyConnections | None = None
    """Null: every connection of the tenant."""
    conditions: PolicyConditions | None = None
    enabled: bool = True


class PolicyChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays; what is given takes the place of the whole."""

    name: PolicyName | UnsetType = UNSET
    effect: Effect | UnsetType = UNSET
    modes: Modes | UnsetType = UNSET
    subject: PolicySubject | UnsetType = UNSET
    connections: PolicyConnections | UnsetType = UNSET
    conditions: PolicyConditions | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ConditionsView(Struct, frozen=True, kw_only=True):
    scopes: list[str] | None
    max_ttl_s: int | None
    purposes: list[str]
    methods: list[Method]
    paths: list[str]
    not_before: Moment | None
    not_after: Moment | None
    hours: PolicyHours | None


class PolicyView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    effect: Effect
    enabled: bool
    subject: PolicySubject
    connections: PolicyConnections
    modes: list[Mode]
    conditions: ConditionsView
    version: int
    created_by: str
    created_at: Moment
    changed_at: Moment


class VerdictView(Struct, frozen=True, kw_only=True):
    allowed: bool
    rule: str
    """The policy that decided; or ``default``: none allows it, or ``project``: the connection is for another."""
    policy: str | None
    """Its name."""
    conditions: ConditionsView | None
    """Under which it allows that."""


class AccessView(Struct, frozen=True, kw_only=True):
    """One runtime, as whatever agent, or as one that some policy names."""

    runtime: str
    runtime_name: str
    agent: str | None
    """As a policy writes it; null: any other."""
    metadata: VerdictView
    proxy: VerdictView
    lease: VerdictView


class PoliciesController(Controller):
    path = "/policies"
    tags = ("policies",)
    opt = rule(Surface.TENANT, "policy:read")

    @get("/")
    async def listing(self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging]) -> Page[PolicyView]:
        """Policies, newest first. Their order decides nothing."""
        rows = await policies.listing(tx, after=paging.after_id, limit=paging.fetch)
        return paging.page(rows, lambda row: row.id, _view)

    @post("/", status_code=201, opt=rule(Surface.TENANT, "policy:write", fresh=True))
    async def create(
        self, data: JSONBody[NewPolicyBody], tx: NamedDependency[TenantTx], actor: NamedDependency[Actor]
    ) -> PolicyView:
        """Make a policy. It holds at once."""
        new = NewPolicy(
            name=data.name,
            effect=data.effect,
            modes=data.modes,
            subject=_subject(data.subject or PolicySubject()),
            connections=_connections(data.connections or PolicyConnections()),
            conditions=_conditions(data.conditions or PolicyConditions()),
            enabled=data.enabled,
        )
        return _view(await policies.create(tx, actor, new))

    @get("/{policy:str}")
    async def show(self, tx: NamedDependency[TenantTx], policy: FromPath[str]) -> PolicyView:
        """One policy."""
        return _view(await policies.get(tx, identity("pol", policy)))

    @patch("/{policy:str}", opt=rule(Surface.TENANT, "policy:write", fresh=True))
    async def change(
        self,
        data: JSONBody[PolicyChange],
        tx: NamedDependency[TenantTx],
        actor: NamedDependency[Actor],
        policy: FromPath[str],
    ) -> PolicyView:
        """Change a policy. Leases that are out stay until they end or are renewed: revoke them to end them now."""
        wanted = Change(
            name=data.name,
            effect=data.effect,
            modes=data.modes,
            subject=UNSET if data.subject is UNSET else _subject(data.subject),
            connections=UNSET if data.connections is UNSET else _connections(data.connections),
            conditions=UNSET if data.conditions is UNSET else _conditions(data.conditions),
            enabled=data.enabled,
        )
        return _view(await policies.change(tx, actor, identity("pol", policy), wanted))

    @delete("/{policy:str}", opt=rule(Surface.TENANT, "policy:write", fresh=True))
    async def delete(self, tx: NamedDependency[TenantTx], actor: NamedDependency[Actor], policy: FromPath[str]) -> None:
        """Delete a policy. Leases that are out stay until they end or are renewed."""
        await policies.delete(tx, actor, identity("pol", policy))


class AccessController(Controller):
    path = "/connections"
    tags = ("policies",)

    @get("/{connection:str}/access", opt=rule(Surface.TENANT, "policy:read"))
    async def access(
        self, tx: NamedDependency[TenantTx], paging: NamedDependency[Paging], connection: FromPath[str]
    ) -> Page[AccessView]:
        """Who could use this connection: every runtime that is let in, each way to use it, and the policy that decides.

        Pages are of runtimes, the one that joined last first. At any time and for any purpose: what depends on those
        is said with the conditions.
        """
        found, all_of_them = await access.access(
            tx, identity("con", connection), after=paging.after_id, limit=paging.fetch
        )
        page = paging.page(found, lambda runtime: runtime.id, lambda runtime: runtime.id)
        shown = set(page.data)
        return Page(data=[_access(each) for each in all_of_them if each.runtime.id in shown], page=page.page)


def _subject(its: PolicySubject) -> Subject:
    return Subject(runtimes=its.runtimes, agents=its.agents, projects=its.projects, labels=its.labels)


def _connections(its: PolicyConnections) -> Connections:
    return Connections(ids=its.ids, providers=its.providers, owners=its.owners, labels=its.labels)


def _conditions(its: PolicyConditions) -> Conditions:
    hours = its.hours
    return Conditions(
        scopes=its.scopes,
        max_ttl_s=its.max_ttl_s,
        purposes=its.purposes,
        methods=its.methods,
        paths=its.paths,
        not_before=its.not_before,
        not_after=its.not_after,
        hours=Hours(since=hours.since, until=hours.until, days=hours.days) if hours else None,
    )


def _view(its: Policy) -> PolicyView:
    who, what = its.subject, its.connections
    return PolicyView(
        id=text_id("pol", its.id),
        name=its.name,
        effect=its.effect,
        enabled=its.enabled,
        subject=PolicySubject(runtimes=who.runtimes, agents=who.agents, projects=who.projects, labels=who.labels),
        connections=PolicyConnections(ids=what.ids, providers=what.providers, owners=what.owners, labels=what.labels),
        modes=its.modes,
        conditions=_shown(its.conditions),
        version=its.version,
        created_by=its.created_by,
        created_at=moment(its.created_at),
        changed_at=moment(its.changed_at),
    )


def _shown(its: Conditions) -> ConditionsView:
    hours = its.hours
    return ConditionsView(
        scopes=its.scopes,
        max_ttl_s=its.max_ttl_s,
        purposes=its.purposes,
        methods=its.methods,
        paths=its.paths,
        not_before=moment(its.not_before),
        not_after=moment(its.not_after),
        hours=PolicyHours(since=hours.since, until=hours.until, days=hours.days) if hours else None,
    )


def _access(each: Access) -> AccessView:
    verdicts: dict[Any, VerdictView] = {mode: _verdict(decision) for mode, decision in each.modes.items()}
    return AccessView(
        runtime=text_id("rt", each.runtime.id),
        runtime_name=each.runtime.name,
        agent=each.agent,
        metadata=verdicts["metadata"],
        proxy=verdicts["proxy"],
        lease=verdicts["lease"],
    )


def _verdict(its: Decision) -> VerdictView:
    return VerdictView(
        allowed=its.allowed,
        rule=rule_of(its.policy, its.rule),
        policy=its.policy.name if its.policy else None,
        conditions=_shown(its.policy.conditions) if its.policy and its.allowed else None,
    )
