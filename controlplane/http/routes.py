"""Reads off the handlers, at the start, what their routes do beside their own work."""

import inspect
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import chain
from operator import attrgetter
from typing import Any, Final, TypeAlias

from litestar import Litestar
from litestar._kwargs.dependencies import DependencyContainer
from litestar.enums import MediaType, RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.params import BodyKwarg
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition
from msgspec import Struct

from controlplane.db.database import WritingTx
from controlplane.http import manners, negotiation
from controlplane.http.authorize import Surface
from controlplane.http.manners import AnyRequest, Manners, State
from controlplane.http.pages import Page

WITH_OBJECTS: Final = frozenset({Surface.TENANT, Surface.OPERATOR, Surface.ME})
"""Surfaces whose objects have ETags. Runtimes speak the wire, and the console is pages."""

WITH_KEYS: Final = frozenset({Surface.TENANT, Surface.OPERATOR})
"""Surfaces whose creations can be repeated. What one does about oneself shows secrets of many forms."""

CHANGES: Final = frozenset({"PUT", "PATCH", "DELETE"})

NEED_MATCH: Final = frozenset(
    {"budgets", "configs", "connections", "oauth-apps", "roles", "role-assignments", "settings", "sso-connections"}
    | {"webhooks"}
)
"""What several people edit: the collections whose changes say which state they are changes of."""

Found: TypeAlias = Mapping[tuple[str, str], BaseRouteHandler]
"""By path and method."""


def settle(app: Litestar) -> None:
    """Note in each handler the manners of its route, and in which order what it asks for is provided."""
    found = {(path, method): handler for path, method, handler in handlers(app)}
    for (path, method), handler in found.items():
        handler.opt[manners.OPT] = _manners(path, method, found)
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for _, model in route.route_handler_map.values():
                model.dependency_batches = [{each} for each in _in_order(model.dependency_batches)]


def handlers(app: Litestar) -> Iterator[tuple[str, str, BaseRouteHandler]]:
    """Path, method and handler of every route over HTTP."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                yield route.path_format or "/", str(method), handler


def shown(handler: BaseRouteHandler | None) -> type[Struct] | None:
    """What a GET of one object answers with; None where it is a list, or nothing of ours."""
    if handler is None:
        return None
    answer = handler.parsed_fn_signature.return_type
    if answer.origin is Page or not answer.is_subclass_of(Struct):
        return None
    of_one: type[Struct] = answer.annotation
    return of_one


def _in_order(batches: Sequence[Set[DependencyContainer]]) -> list[DependencyContainer]:
    """One after the other, each after what it asks for itself, and the transaction last: a request whose parameters
    are refused opens none. Litestar would start a task for each, though none of the others waits for anything."""
    by_name = (sorted(batch, key=attrgetter("key")) for batch in batches)
    return sorted(chain.from_iterable(by_name), key=_opens)


def _opens(wanted: DependencyContainer) -> bool:
    """Whether this is the transaction, or asks for it."""
    return wanted.key == "tx" or any(map(_opens, wanted.dependencies))


def _manners(path: str, method: str, found: Found) -> Manners:
    handler = found[path, method]
    surface = handler.opt["rule"].surface
    speaks_json = surface is not Surface.CONSOLE
    taken = handler.parsed_fn_signature.parameters
    getter = found.get((path, "GET"))
    state = _state(getter) if getter and method in CHANGES and "tx" in taken and surface in WITH_OBJECTS else None
    made = _made(path, found) if method == "POST" and "tx" in taken and surface in WITH_KEYS else None
    plain = bool(handler.opt.get(manners.PLAIN))
    return Manners(
        shows_object=method == "GET" and surface in WITH_OBJECTS and shown(handler) is not None,
        state=state,
        needs_match=state is not None and not NEED_MATCH.isdisjoint(path.split("/")),
        takes_key=plain or made is not None,
        keeps=frozenset(made.view.__struct_fields__) if made else None,
        made_up=made.up if made else None,
        takes=_taken(taken["data"]) if speaks_json and "data" in taken else None,
        sends_json=speaks_json and _sends_json(handler),
        deprecation=handler.opt.get(manners.DEPRECATION),
    )


def _taken(body: FieldDefinition) -> str:
    """As what a handler declares its body: a form where it says so, else JSON."""
    said = body.kwarg_definition
    return RequestEncodingType(said.media_type).value if isinstance(said, BodyKwarg) else negotiation.JSON


class _Made(Struct, frozen=True):
    view: type[Struct]
    up: int


def _made(path: str, found: Found) -> _Made | None:
    """As what a GET shows the object that a POST at *path* makes, or answers with; None where no GET does.

    Of the collection's objects where *path* is that of a collection, of the object that *path* does something with
    (``…/{key}/rotate``) where it is not. Whatever else is in the answer to the POST is shown by that alone.
    """
    answer = shown(found.get((path, "POST")))
    near = {
        other: shown(handler)
        for (other, method), handler in found.items()
        if method == "GET" and path in (other.rpartition("/")[0], f"{other}/{path.rpartition('/')[2]}")
    }
    for other, view in near.items():
        if view is not None and answer is not None and issubclass(answer, view):
            return _Made(view, 0 if len(other) > len(path) else 2)
    return None


def _sends_json(handler: BaseRouteHandler) -> bool:
    answer = handler.parsed_fn_signature.return_type
    is_json = getattr(handler, "media_type", None) == MediaType.JSON
    return is_json and answer.annotation is not type(None)


def _state(getter: BaseRouteHandler) -> State | None:
    """What *getter* would answer, asked for in the transaction of a change and not by a request of its own."""
    if shown(getter) is None:
        return None
    wanted = inspect.signature(getter.fn).parameters.keys()  # Litestar adds the router's to what it has parsed

    async def state(request: AnyRequest, tx: WritingTx) -> object:
        given: dict[str, Any] = {"tx": tx, "request": request, **request.path_params}
        provided = getter.resolve_dependencies()
        for name in wanted - given.keys():
            asks = provided[name].parsed_fn_signature.parameters
            given[name] = await provided[name](**{each: given[each] for each in asks})
        return await getter.fn(**{name: given[name] for name in wanted})

    return state
