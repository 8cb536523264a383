"""Which events there are, what each says, and what its ``data`` holds. Reference: ``docs/reference/events.md``.

Types are only ever added, and so are optional fields of their data: receivers ignore what they do not know.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType, defstruct

from controlplane.kit.problems import Refusal


class Party(Struct, frozen=True, kw_only=True):
    """Who or what, by kind and id; what else there is to know is asked at the API, with the permission for it."""

    kind: str
    id: str


class Doer(Party, frozen=True, kw_only=True, omit_defaults=True):
    impersonator: str | None = None
    """Who really acts, where somebody of the service works as whom :attr:`id` names."""


class Act(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody did, as it stands in the audit log too."""

    actor: Doer
    object: Party
    request_id: str = ""


class RuntimeTurned(Struct, frozen=True, kw_only=True):
    """A runtime is in another state than before."""

    runtime: str
    state: str
    reason: str


class SessionFailed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session of a runtime has come to its end without success."""

    session: str
    runtime: str
    agent: str
    error: str | UnsetType = UNSET
    """Its class, where the source names one."""


class SessionWaiting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session of a runtime goes on only once somebody does something."""

    session: str
    runtime: str
    agent: str
    waiting_for: str | UnsetType = UNSET
    """``human_approval`` or ``resume``."""


class CommandTurned(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command to a runtime has got further."""

    command: str
    runtime: str
    kind: str
    state: str
    """``delivered``, ``running``, ``succeeded``, ``failed``, ``expired`` or ``superseded``."""
    session: str | None = None
    code: str = ""
    """Why it did not succeed."""


class ApprovalRequested(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session of a runtime goes on only once a human has decided."""

    approval: str
    session: str
    runtime: str
    agent: str


class ConfigTurned(Struct, frozen=True, kw_only=True):
    """A runtime could not take its configuration, and is as it was before."""

    runtime: str
    generation: int
    error: str


class RolloutAdvanced(Struct, frozen=True, kw_only=True):
    """The next runtimes have a version of a document."""

    config: str
    version: int
    wave: int
    waves: int
    runtimes: int
    """How many are in this wave."""


class RolloutEnded(Struct, frozen=True, kw_only=True):
    """A version has reached every runtime, or has been taken back."""

    config: str
    version: int
    state: str
    """``finished`` or ``failed``."""
    reason: str


class BudgetTurned(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something has become of a budget."""

    budget: str
    period_starts_at: str
    runtime: str | None = None
    """At which; none: of the whole budget."""
    percent: int = 0
    """Of a warning: the threshold."""
    used: int = 0
    """In the period: by the runtime, or by all."""
    amount: int = 0
    """What was leased to the runtime, or the limit."""
    code: str = ""
    """Why it could not be enforced: ``not-allowed``, ``runtime-unreachable``, ``session-not-loaded`` …"""


class EventType(Struct, frozen=True):
    name: str
    """``noun.verb``."""
    says: str
    data: type[Struct]
    facts: tuple[str, ...] = ()
    """Of an act: which facts of its audit event are told as well."""


class TypeUnknown(Refusal):
    code, status, title = "event-type-unknown", 400, "There is no such type of event"
    hint = "The types are in docs/reference/events.md and at GET …/events/types."

    def __init__(self, name: str) -> None:
        super().__init__(f"no type {name!r}")


def _act(name: str, says: str, **facts: Any) -> EventType:
    fields = [(fact, kind | UnsetType, UNSET) for fact, kind in facts.items()]
    called = "".join(part.capitalize() for part in name.replace(".", "-").split("-"))
    return EventType(name, says, defstruct(called, fields, bases=(Act,), frozen=True, kw_only=True), tuple(facts))


DISCLOSED: Final[dict[str, Any]] = {"connection": str, "requested_by": str, "approved_by": str | None}
"""Both names, as far as there are two yet."""

ALL: Final[Sequence[EventType]] = (
    _act("api-key.created", "An API key was made.", scopes=list[str] | None),
    _act("api-key.revoked", "An API key was revoked."),
    _act("api-key.rotated", "An API key was replaced by another."),
    _act("approval.approved", "Somebody approved what a session asked for.", command=str),
    _act("approval.rejected", "Somebody rejected what a session asked for.", command=str),
    _act("budget.changed", "A budget is another than before.", changed=list[str], limit=int, limit_before=int),
    _act("budget.created", "A budget was made.", level=str, unit=str, limit=int, period=str),
    _act("budget.deleted", "A budget was deleted.", level=str, unit=str),
    _act("checkpoint.compared", "What two checkpoints hold was compared.", other=str),
    _act("checkpoint.exported", "What a checkpoint holds was taken out.", policy=str),
    _act(
        "command.created",
        "A runtime was asked to do something.",
        runtime=str,
        kind=str,
        session=str,
        checkpoint=str,
        undoes=str,
        logs=str,
        not_after=str,
    ),
    _act(
        "command.withdrawn",
        "A command was taken back before its runtime had it.",
        runtime=str,
        kind=str,
        session=str,
        checkpoint=str,
        undoes=str,
        logs=str,
    ),
    _act("config.changed", "A document of configuration says something else.", level=str, version=int),
    _act("config.created", "A document of configuration was made.", level=str, version=int),
    _act("config.deleted", "A document of configuration was deleted.", level=str, version=int),
    _act("config.retried", "A runtime is to try its configuration again."),
    _act("connection.changed", "A connection was named or labelled anew, or given to another project."),
    _act("connection.confirmed", "Somebody confirmed that the right account was connected.", provider=str),
    _act("connection.connected", "An account was connected; it waits to be confirmed.", provider=str),
    _act("connection.created", "A credential was put in.", provider=str),
    _act(
        "connection.deleted", "A connection was deleted; what was kept for it is destroyed.", provider=str, reason=str
    ),
    _act("connection.disabled", "Nothing is leased of a connection any more.", provider=str, reason=str),
    _act("connection.enabled", "A connection is leased from again.", provider=str),
    _act(
        "connection.needs_reauth",
        "A connection works again only once a person has connected it anew.",
        provider=str,
        reason=str,
    ),
    _act("connection.reconnected", "An account was connected anew.", provider=str),
    _act(
        "connection.refresh_failing",
        "The next token of a connection cannot be had right now; it is tried again.",
        provider=str,
        reason=str,
    ),
    _act("connection.refreshed", "A connection has its next token.", provider=str, cred_version=int),
    _act("connection.replaced", "Another credential was put in its place.", cred_version=int),
    _act("connection.revoked", "A provider was told that a connection has ended.", provider=str, outcome=str),
    _act("connections.ended", "Connections were ended, many at once.", how=str, connections=int, left=int),
    _act("content.decided", "It was decided what of checkpoints leaves.", policy=str, kid=str, keep_days=int),
    _act("disclosure.approved", "A second person has agreed that a credential is read.", **DISCLOSED),
    _act("disclosure.ended", "A credential will not be read.", how=str, **DISCLOSED),
    _act("disclosure.read", "Somebody has read a credential.", cred_version=int, fingerprints=list[str], **DISCLOSED),
    _act("disclosure.requested", "Somebody wants to read a credential.", **DISCLOSED),
    _act("group.changed", "A group was renamed or described anew."),
    _act("group.created", "A group was made."),
    _act("group.deleted", "A group was deleted."),
    _act("group.member-added", "Somebody was taken into a group."),
    _act("group.member-removed", "Somebody was taken out of a group."),
    _act("group.members-added", "A directory put people into a group.", users=list[str]),
    _act("group.members-removed", "A directory took people out of a group.", users=list[str]),
    _act("impersonation.consented", "An owner let an operator of the service work as one of the tenant's people."),
    _act("impersonation.ended", "An operator no longer works as somebody.", how=str),
    _act("impersonation.refused", "An owner did not let an operator work as somebody."),
    _act(
        "impersonation.requested", "An operator wants to work as somebody.", user=str, mode=str, minutes=int, ticket=str
    ),
    _act("impersonation.started", "An operator works as somebody from now on.", user=str, mode=str, minutes=int),
    _act("invitation.accepted", "Somebody who was invited came."),
    _act("invitation.created", "Somebody was invited."),
    _act("invitation.revoked", "An invitation was taken back."),
    _act("join-token.created", "A join token was made."),
    _act("join-token.revoked", "A join token was revoked."),
    _act("lease.revoked", "A lease was ended."),
    _act("leases.revoked", "Leases were ended.", leases=int),
    _act("log.opened", "Somebody looked at a log, at its runtime.", runtime=str, log=str, follow=bool),
    _act("policy.changed", "A policy of leases was changed.", changed=list[str], version=int),
    _act("policy.created", "A policy of leases was made.", effect=str, modes=list[str]),
    _act("policy.deleted", "A policy of leases was deleted."),
    _act("oauth-app.broken", "A provider does not take an app's credentials.", reason=str),
    _act("oauth-app.changed", "An app at a provider was changed.", changed=list[str]),
    _act("oauth-app.created", "An app at a provider was set up.", provider=str),
    _act("oauth-app.deleted", "An app at a provider was deleted."),
    _act("project.archived", "A project was put away."),
    _act("project.changed", "A project was changed."),
    _act("project.created", "A project was made.", environment=str),
    _act("project.restored", "A project was taken out of the archive."),
    _act("rollout.cancelled", "A roll-out was taken back.", version=int, wave=int),
    _act("rollout.paused", "A roll-out was held up.", version=int, wave=int),
    _act("rollout.resumed", "A roll-out goes on.", version=int, wave=int),
    _act("role.assigned", "A role was given."),
    _act("role.changed", "A role holds something else than before."),
    _act("role.created", "A role was made."),
    _act("role.deleted", "A role was deleted."),
    _act("role.withdrawn", "A role was taken away."),
    _act("runtime.compare-wanted", "Somebody wants a runtime compared with what is held of it."),
    _act("runtime.joined", "A runtime was let in."),
    _act("runtime.key-rotated", "A runtime is known by another key."),
    _act("runtime.key-wanted", "A runtime is to replace its key."),
    _act("runtime.leave-wanted", "A runtime is to send what is left, and leave."),
    _act("runtime.left", "A runtime said goodbye.", complete=bool),
    _act("runtime.locked", "Two copies of one runtime's identity were seen; neither gets in.", cause=str),
    _act("runtime.recovered", "An old join state of a runtime was let through, as was allowed before.", left=int),
    _act("runtime.released", "A runtime that was locked is let in again.", recoveries=int),
    _act("runtime.sealing-key-pinned", "A runtime has leases sealed to another key.", suite=int, kid=str),
    _act("runtime.revoked", "A runtime's access was ended."),
    _act("service-account.changed", "A service account was changed."),
    _act("service-account.created", "A service account was made."),
    _act("service-account.deleted", "A service account was deleted."),
    _act("tenant.resumed", "The tenant is served again."),
    _act("tenant.suspended", "The tenant is not served any more."),
    _act("user.added", "Somebody became a member."),
    _act("user.came-in", "Somebody whom a directory had announced came for the first time."),
    _act("user.changed", "A directory says something else of somebody than before."),
    _act("user.deactivated", "Somebody is kept out."),
    _act("user.reactivated", "Somebody is let in again."),
    _act("user.removed", "Somebody is no member any more."),
    _act("webhook.changed", "A webhook was changed.", changed=list[str]),
    _act("webhook.created", "A webhook was made.", host=str),
    _act("webhook.deleted", "A webhook was deleted."),
    _act("webhook.disabled", "Nothing is sent to a webhook any more.", reason=str),
    _act("webhook.secret-rotated", "A webhook has a new secret.", overlap_s=int),
    EventType("approval.requested", "A session waits for somebody's approval.", ApprovalRequested),
    EventType("budget.exhausted", "A runtime has used up what was leased to it of a budget.", BudgetTurned),
    EventType("budget.released", "A runtime has something of a budget again, or its period is over.", BudgetTurned),
    EventType("budget.unenforced", "A budget is used up, and a runtime cannot pause what goes on.", BudgetTurned),
    EventType("budget.warned", "A threshold of a budget is reached.", BudgetTurned),
    EventType("command.delivered", "A runtime has a command on its disk.", CommandTurned),
    EventType("command.finished", "A command has come to its end.", CommandTurned),
    EventType("command.started", "A runtime carries a command out.", CommandTurned),
    EventType("config.failed", "A runtime could not take its configuration.", ConfigTurned),
    EventType("rollout.advanced", "A version of a document has reached further runtimes.", RolloutAdvanced),
    EventType("rollout.failed", "A roll-out has stopped; its runtimes go back.", RolloutEnded),
    EventType("rollout.finished", "A version of a document has reached every runtime.", RolloutEnded),
    EventType("runtime.silent", "A runtime has not been heard from.", RuntimeTurned),
    EventType("session.failed", "A session failed.", SessionFailed),
    EventType("session.waiting", "A session waits for a human.", SessionWaiting),
)

TEST: Final = "webhook.test"
"""The type of what a test delivers. It is no event: it stands in no feed."""

_BY_NAME: Final[Mapping[str, EventType]] = MappingProxyType({each.name: each for each in ALL})


def catalogue() -> Mapping[str, EventType]:
    """Every type of event by name."""
    return _BY_NAME


def check_types(names: Sequence[str]) -> list[str]:
    """*names*, sorted and each once.

    Raises:
        TypeUnknown: If there is no such type.
    """
    for name in names:
        if name not in _BY_NAME:
            raise TypeUnknown(name)
    return sorted(set(names))
