"""Who is asking, handed to handlers: the principal itself, and how it stands in the audit log."""

from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.di import Provide
from msgspec.structs import replace

from controlplane.domain.actors import actor_of
from controlplane.domain.audit import Actor, Personal
from controlplane.domain.permissions import Person, Principal
from controlplane.http import limits
from controlplane.http.headers import request_id

AnyRequest: TypeAlias = Request[Principal, Any, Any]
"""Whose ``user`` the guard has set."""


MOST_OF_A_CLIENT: Final = 200


def _person(request: Request[Any, Any, Any]) -> Person:
    assert isinstance(request.user, Person), "only at surfaces where nobody else comes in"
    return request.user


def _actor(request: Request[Any, Any, Any]) -> Actor:
    return replace(actor_of(request.user, request_id(request.scope)), personal=personal(request, request.user))


def personal(request: Request[Any, Any, Any], principal: Principal | None = None) -> Personal:
    """What the audit log keeps, sealed, of whoever sent *request*."""
    seen = Personal(address=limits.address(request), client=request.headers.get("user-agent", "")[:MOST_OF_A_CLIENT])
    if isinstance(principal, Person):
        return replace(seen, name=principal.name, email=principal.email)
    return seen


PRINCIPALS: Final = {
    "person": Provide(_person, sync_to_thread=False),
    "actor": Provide(_actor, sync_to_thread=False),
}
"""``person: NamedDependency[Person]``, ``actor: NamedDependency[Actor]``. Where several kinds come in, the principal is
``request.user``: a union of Structs is nothing that a dependency could be checked against."""
