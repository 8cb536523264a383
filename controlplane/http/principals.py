"""Who is asking, handed to handlers: the principal itself, and how it stands in the audit log."""

from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.di import Provide

from controlplane.domain.audit import Actor
from controlplane.domain.permissions import Person, Principal, actor_of
from controlplane.http.headers import request_id

AnyRequest: TypeAlias = Request[Principal, Any, Any]
"""Whose ``user`` the guard has set."""


def _person(request: Request[Any, Any, Any]) -> Person:
    assert isinstance(request.user, Person), "only at surfaces where nobody else comes in"
    return request.user


def _actor(request: Request[Any, Any, Any]) -> Actor:
    return actor_of(request.user, request_id(request.scope))


PRINCIPALS: Final = {
    "person": Provide(_person, sync_to_thread=False),
    "actor": Provide(_actor, sync_to_thread=False),
}
"""``person: NamedDependency[Person]``, ``actor: NamedDependency[Actor]``. Where several kinds come in, the principal is
``request.user``: a union of Structs is nothing that a dependency could be checked against."""
