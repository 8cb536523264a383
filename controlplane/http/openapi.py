"""The API as a document: what Litestar makes of the handlers, with what it does not know put in."""

import re
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.config.app import AppConfig
from litestar.openapi.config import OpenAPIConfig
from litestar.plugins import InitPlugin
from litestar.router import Router
from litestar.routes import HTTPRoute
from msgspec import Struct

from controlplane.http.authorize import Rule, Surface, open_to_all
from controlplane.http.problems import PROBLEM_JSON
from controlplane.http.proof import bodies, rules

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
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-session",
        "description": "A person's browser session.",
    },
}

PROBLEM_RESPONSE: Final = {
    "description": "Refused, and why",
    "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

OPENS: Final = {
    Surface.TENANT: ("apiKey", "session"),
    Surface.OPERATOR: ("operatorKey", "session"),
    Surface.RUNTIME: ("runtimeToken",),
    Surface.ME: ("session",),
    Surface.CONSOLE: ("session",),
}

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `code` never changes; further members are the facts of the case.",
    "required": ["type", "title", "status", "detail", "code", "hint", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "hint": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"in": {"type": "string"}, "name": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}

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
        openapi_router=_LITESTARS_OWN,
    )


def take_litestars_pages_away(app_config: AppConfig) -> AppConfig:
    """An ``on_app_init`` hook: its plugin comes after Litestar's own, which adds the pages."""
    app_config.plugins.append(OnlyTheDocument())
    return app_config


@get("/openapi.json", opt=open_to_all("the API is no secret"), include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Made at the first call: it takes a fifth of a second, and never changes while this process runs."""
    state = request.app.state
    if "openapi" not in state:
        state.openapi = msgspec.json.encode(document(request.app))
    headers = {"Cache-Control": "public, max-age=60"}
    return Response(state.openapi, headers=headers, media_type=MediaType.JSON)


def document(app: Litestar) -> dict[str, Any]:
    """OpenAPI 3.1, with the permission of every operation and with problems as they are sent."""
    found = _readable(_schema(app))
    components = found.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["securitySchemes"] = SECURITY
    components["responses"] = {"Problem": PROBLEM_RESPONSE}
    for body in bodies(app):
        if issubclass(body, Struct) and body.__struct_config__.forbid_unknown_fields:
            components["schemas"][body.__name__]["additionalProperties"] = False
    for path, method, its in rules(app):
        operation = found["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            _complete(operation, its)
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


def _readable(schema: dict[str, Any]) -> dict[str, Any]:
    """Pages of something are called after it, not after the module it stands in."""
    text = msgspec.json.encode(schema).decode()
    named: dict[str, Any] = msgspec.json.decode(re.sub(r"Page_[\w.]*?(\w+)_\b", r"\1Page", text))
    return named


def _complete(operation: dict[str, Any], its: Rule) -> None:
    problem = {"$ref": "#/components/responses/Problem"}
    responses = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    for status in ("400",) if its.open_because else ("400", "401", "403", "404"):
        responses[status] = problem
    operation["responses"] = {**responses, "default": problem}
    operation["security"] = []
    if not its.open_because and its.surface is not None:
        operation["security"] = [{name: []} for name in OPENS[its.surface]]
        operation["x-required-permission"] = its.permission or "none: being signed in is enough"
