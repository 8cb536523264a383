"""The proof, at the start, that every route is locked; and the list of the locks."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute, WebSocketRoute
from msgspec import Struct
from msgspec.structs import replace

from controlplane.domain.permission_names import (
    OPERATOR_PERMISSIONS,
    PERMISSIONS,
    RUNTIME_PERMISSIONS,
    SCIM_PERMISSIONS,
)
from controlplane.http.authorize import TENANT_PARAMETER, Rule, Surface

PREFIXES: Final = {
    "/v1/tenants/": Surface.TENANT,
    "/v1/operator": Surface.OPERATOR,
    "/v1/runtime": Surface.RUNTIME,
    "/v1/me": Surface.ME,
    "/v1/auth": Surface.ME,
    "/console": Surface.CONSOLE,
    "/scim/v2": Surface.SCIM,
    "/v1/credentials": Surface.CREDENTIALS,
}
"""Which surface an address belongs to; an address outside them is open to all or does not exist."""

KNOWN: Final[Mapping[Surface, frozenset[str]]] = {
    Surface.TENANT: frozenset(PERMISSIONS),
    Surface.OPERATOR: frozenset(OPERATOR_PERMISSIONS),
    Surface.RUNTIME: frozenset(RUNTIME_PERMISSIONS),
    Surface.SCIM: frozenset(SCIM_PERMISSIONS),
    Surface.CREDENTIALS: frozenset({"credential:lease"}),
    Surface.ME: frozenset(),
    Surface.CONSOLE: frozenset(PERMISSIONS) | frozenset(OPERATOR_PERMISSIONS),
}
"""Which permissions a surface may ask for."""

WEBSOCKET: Final = "WEBSOCKET"
"""Stands where a method does."""

OPTIONS: Final = Rule(open_because="says which methods there are, which the document says as well")


class Unlocked(AssertionError):
    """A route could be used by somebody who must not: the app does not start."""


class Lock(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the committed list."""

    method: str
    path: str
    surface: str | None = None
    permission: str | None = None
    also: tuple[str, ...] = ()
    fresh: bool = False
    unserved: bool = False
    as_oneself: bool = False
    open_because: str = ""


def prove(app: Litestar) -> None:
    """Check the rule of every handler, and note in it which query parameters the handler knows.

    Raises:
        Unlocked: Naming every handler that has no rule, or one that cannot be right.
    """
    wrong = []
    for path, _method, handler, model in _handlers(app):
        if _is_automatic_options(handler):
            handler.opt["rule"] = OPTIONS
            continue
        if problem := _problem(path, handler.opt.get("rule")):
            wrong.append(f"{path} ({handler}): {problem}")
        elif _is_strict(handler.opt["rule"]) and model is not None:
            names = frozenset(parameter.field_alias for parameter in model.expected_query_params)
            handler.opt["rule"] = replace(handler.opt["rule"], query=names, worded=_worded(handler) & names)
    if wrong:
        raise Unlocked("; ".join(wrong))


def locks(app: Litestar) -> list[Lock]:
    """Every route and method with its rule, sorted: ``docs/reference/permissions.json``."""
    found = [
        Lock(
            method=method,
            path=path,
            surface=its.surface,
            permission=its.permission,
            also=tuple(sorted(its.also)),
            fresh=its.fresh,
            unserved=its.unserved,
            as_oneself=its.as_oneself,
            open_because=its.open_because,
        )
        for path, method, its in rules(app)
    ]
    return sorted(found, key=lambda lock: (lock.path, lock.method))


def methods(app: Litestar) -> dict[str, str]:
    """What ``Allow`` says at each path."""
    found: dict[str, set[str]] = {}
    for path, method, _, _ in _handlers(app):
        found.setdefault(path, set()).add("GET" if method == WEBSOCKET else method)
    return {path: ", ".join(sorted(names)) for path, names in found.items()}


def bodies(app: Litestar) -> set[type]:
    """What handlers take as a body, those aside that stand in no document: a form may be called as a body is."""
    documented = (handler for _, _, handler, _ in _handlers(app) if _is_documented(handler))
    signatures = (handler.parsed_fn_signature.parameters for handler in documented)
    return {taken["data"].annotation for taken in signatures if "data" in taken}


def rules(app: Litestar) -> Iterator[tuple[str, str, Rule]]:
    """Path, method and rule of every handler that somebody wrote."""
    for path, method, handler, _ in _handlers(app):
        its = handler.opt["rule"]
        if its is not OPTIONS:
            yield path, method, its


def _is_strict(rule: Rule) -> bool:
    """Whether parameters that the handler does not know are refused."""
    return rule.surface not in (Surface.CONSOLE, Surface.SCIM, Surface.CREDENTIALS) and not rule.any_query


def _worded(handler: BaseRouteHandler) -> frozenset[str]:
    """Parameters that may be left out and are no text."""
    provided = (each.parsed_fn_signature for each in handler.resolve_dependencies().values())
    taken = [field for each in (handler.parsed_fn_signature, *provided) for field in each.parameters.values()]
    return frozenset(
        (isinstance(field.kwarg_definition, ParameterKwarg) and field.kwarg_definition.name) or field.name
        for field in taken
        if field.is_optional and not field.has_inner_subclass_of(str)
    )


def _problem(path: str, rule: Any) -> str | None:
    if not isinstance(rule, Rule):
        return "no rule"
    if rule.open_because:
        return None
    wanted = next((surface for prefix, surface in PREFIXES.items() if path.startswith(prefix)), None)
    if rule.surface is None or rule.surface is not wanted:
        return f"its rule is for {rule.surface}, its address for {wanted}"
    if rule.surface is Surface.TENANT and f"{{{TENANT_PARAMETER}}}" not in path:
        return "no tenant in the path"
    if rule.permission is None:
        return None if rule.surface in (Surface.ME, Surface.CONSOLE) else "no permission"
    unknown = [name for name in rule.permissions if name not in KNOWN[rule.surface]]
    return f"no permission is called {unknown[0]}" if unknown else None


def _handlers(app: Litestar) -> Iterator[tuple[str, str, BaseRouteHandler, Any]]:
    """Path, method, handler and what it takes from a request."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, model) in route.route_handler_map.items():
                yield route.path_format or "/", str(method), handler, model
        elif isinstance(route, WebSocketRoute):
            yield route.path_format, WEBSOCKET, route.route_handler, route.handler_parameter_model
        else:
            yield route.path_format or "/", type(route).__name__, route.route_handler, None


def _is_automatic_options(handler: BaseRouteHandler) -> bool:
    return handler.fn.__module__ == HTTPRoute.__module__


def _is_documented(handler: BaseRouteHandler) -> bool:
    return isinstance(handler, HTTPRouteHandler) and handler.resolve_include_in_schema()
