"""How whoever asks stands in the audit log."""

from controlplane.domain.audit import Actor
from controlplane.domain.permissions import ApiKey, Directory, OperatorKey, Person, Principal
from controlplane.kit.ids import text_id


def actor_of(principal: Principal, request_id: str) -> Actor:
    if isinstance(principal, Person) and principal.acting is not None:
        behind = text_id("acc", principal.account_id)
        whose = text_id("acc", principal.acting.account_id)
        return Actor(kind="account", id=whose, impersonator=behind, request_id=request_id)
    if isinstance(principal, Person):
        acts_as_operator = principal.operator_role is not None and not principal.is_member
        kind = "operator" if acts_as_operator else "account"
        return Actor(kind=kind, id=text_id("acc", principal.account_id), request_id=request_id)  # type: ignore[arg-type]
    if isinstance(principal, ApiKey):
        return Actor(kind="api-key", id=text_id("key", principal.id), request_id=request_id)
    if isinstance(principal, OperatorKey):
        return Actor(kind="operator-key", id=text_id("key", principal.id), request_id=request_id)
    if isinstance(principal, Directory):
        return Actor(kind="scim-token", id=text_id("scm", principal.id), request_id=request_id)
    return Actor(kind="runtime", id=text_id("rt", principal.id), request_id=request_id)
