"""The API as a document: what Litestar makes of the handlers, with what it does not know put in."""

import re
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.config.app import AppConfig
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.plugins import InitPlugin
from litestar.router import Router
from litestar.routes import HTTPRoute

from controlplane.http import manners
from controlplane.http.authorize import Surface, open_to_all
from controlplane.http.document import operations, refusals, schemas, wire
from controlplane.http.document.examples import Examples
from controlplane.http.document.refusals import Reached
from controlplane.http.idempotency import NOTICE
from controlplane.http.proof import bodies
from controlplane.http.routes import handlers

VERSION: Final = version("engine-cloud")

SECURITY: Final[dict[str, dict[str, str]]] = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "A tenant's API key, `ec_sk_…`."},
    "operatorKey": {"type": "http", "scheme": "bearer", "description": "An operator key, `ec_op_…`."},
    "runtimeToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Ten minutes long, from `POST /v1/runtime/token`.",
    },
}

SESSION: Final = {"type": "apiKey", "in": "cookie", "description": "A person's browser session."}

_LITESTARS_OWN = Router("/schema", route_handlers=[])


class OnlyTheDocument(InitPlugin):
    """Takes Litestar's own pages about the document away again: there is one address for it, and no page."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.route_handlers = [each for each in app_config.route_handlers if each is not _LITESTARS_OWN]
        return app_config


def config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Engine Cloud",
        version=VERSION,
        description="The control plane for AI-agent runtimes that live in their owners' networks.",
        use_handler_docstrings=True,
        operation_id_creator=_operation_id,
        openapi_router=_LITESTARS_OWN,
    )


def take_litestars_pages_away(app_config: AppConfig) -> AppConfig:
    """An ``on_app_init`` hook: its plugin comes after Litestar's own, which adds the pages."""
    app_config.plugins.append(OnlyTheDocument())
    return app_config


@get("/openapi.json", opt=open_to_all("the API is no secret"), include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Made at the first call: it takes half a second, and never changes while this process runs."""
    state = request.app.state
    if "openapi" not in state:
        state.openapi = msgspec.json.encode(document(request.app))
    headers = {"Cache-Control": "public, max-age=60"}
    return Response(state.openapi, headers=headers, media_type=MediaType.JSON)


def document(app: Litestar) -> dict[str, Any]:
    """OpenAPI 3.1, with the permission of every operation, every refusal that it can end with, and examples."""
    found = _readable(_schema(app))
    components = found.setdefault("components", {})
    shapes = components.setdefault("schemas", {})
    shapes["Problem"] = schemas.PROBLEM
    schemas.put_in(shapes, schemas.of_bodies(bodies(app)))
    for path, method, handler in handlers(app):
        its = handler.opt[manners.OPT]
        operation = found["paths"].get(path, {}).get(method.lower())
        if operation is not None and its.keeps is not None:
            schemas.say_what_is_shown_once(operation, shapes, its.keeps, NOTICE)
    schemas.whole_numbers(found)
    reached = _complete(app, found["paths"], Examples(shapes))
    components["securitySchemes"] = {**SECURITY, "session": {**SESSION, "name": app.state.session_cookie.name}}
    components["responses"] = operations.responses(reached)
    components["headers"] = operations.headers(msgspec.json.encode(found))
    components["examples"] = operations.problem_examples(set().union(*reached))
    schemas.prune(found)
    found["tags"] = schemas.tags(found["paths"])
    found["info"]["contact"] = {"name": "Whoever runs this service"}
    found["servers"] = [{"url": "/"}]
    return found


def _schema(app: Litestar) -> dict[str, Any]:
    """What Litestar makes. On the way it adds a path's parameters to the handlers' own signatures, where bodies are
    looked at afterwards as if these were missing; so they are as before when this is done."""
    signatures = [
        handler.parsed_fn_signature.parameters
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
    ]
    before = [dict(signature) for signature in signatures]
    made = app.openapi_schema.to_schema()
    for signature, was in zip(signatures, before, strict=True):
        signature.clear()
        signature.update(was)
    return made


def _complete(app: Litestar, paths: dict[str, Any], examples: Examples) -> list[Reached]:
    """Complete every operation; the refusals that each of them can end with."""
    every: list[Reached] = []
    for path, method, handler in handlers(app):
        operation = paths.get(path, {}).get(method.lower())
        if operation is None:
            continue
        its = handler.opt["rule"]
        if its.surface is Surface.RUNTIME:
            operation.setdefault("tags", ["runtime"])
        if (method, path) == wire.APPEND:
            operation.update(wire.append())
        reached = refusals.of_operation(
            handler, its, handler.opt[manners.OPT], app.state.authentication.get(its.surface)
        )
        operations.complete(operation, its, handler.opt[manners.OPT], reached, examples)
        every.append(reached)
    return every


def _readable(schema: dict[str, Any]) -> dict[str, Any]:
    """Pages of something are called after it, not after the module it stands in."""
    text = msgspec.json.encode(schema).decode()
    named: dict[str, Any] = msgspec.json.decode(re.sub(r"Page_[\w.]*?(\w+)_\b", r"\1Page", text))
    return named


def _operation_id(handler: HTTPRouteHandler, _: object, components: list[Any]) -> str:
    """``apiKeysRevokeMany``: the nouns of the path, then the handler's own name where it is not the last of them."""
    words = [word for each in components if isinstance(each, str) for word in re.findall(r"[a-z0-9]+", each.lower())]
    if words[:2] == ["v1", "tenants"] and len(components) > 2:
        words = words[2:] or ["tenant"]
    words = words[words[:1] == ["v1"] :]
    own: list[str] = handler.handler_name.split("_")
    words += own[own[:1] == words[-1:] :] if words[-len(own) :] != own else []
    return "".join([words[0], *(word.capitalize() for word in words[1:])])
