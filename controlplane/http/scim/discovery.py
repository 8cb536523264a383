"""What a directory can find out beforehand: what is served (RFC 7644 section 4), and in which shape."""

from typing import Any, Final

from litestar import Response, Router, get, route
from litestar.params import FromPath
from scim2_models import ResourceType, ServiceProviderConfig

from controlplane.domain.directory.lists import MOST
from controlplane.domain.directory.models import ENTERPRISE, GROUP, USER, EnterpriseUser, Group, User
from controlplane.domain.directory.refusals import DirectoryUnsupported
from controlplane.http.authorize import Surface, rule
from controlplane.http.principals import AnyRequest
from controlplane.http.scim.answers import BASE, answer
from controlplane.http.scim.views import listed
from controlplane.kit.problems import NotFound

READ = rule(Surface.SCIM, "scim:read")

CONFIG: Final = ServiceProviderConfig.model_validate(
    {
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "SCIM token",
                "description": "A token of one directory, ec_sc_, as a bearer token.",
                "primary": True,
            }
        ],
    }
).model_dump()

TYPES: Final = {
    kind["name"]: ResourceType.model_validate({**kind, "id": kind["name"]}).model_dump()
    for kind in (
        {
            "name": "User",
            "endpoint": "/Users",
            "description": "Somebody of the tenant",
            "schema": USER,
            "schemaExtensions": [{"schema": ENTERPRISE, "required": False}],
        },
        {"name": "Group", "endpoint": "/Groups", "description": "People who hold the same roles", "schema": GROUP},
    )
}

SCHEMAS: Final = {model.__schema__: model.to_schema().model_dump() for model in (User, EnterpriseUser, Group)}

NOT_SERVED: Final = frozenset({"bulk", "me"})
"""What RFC 7644 has and this service does not."""


@get("/ServiceProviderConfig", opt=READ)
async def service_provider_config(request: AnyRequest) -> Response[bytes]:
    """What is served."""
    return answer(_at(request, CONFIG, "ServiceProviderConfig", "ServiceProviderConfig"))


@get("/ResourceTypes", opt=READ)
async def resource_types(request: AnyRequest) -> Response[bytes]:
    """Which kinds of resources there are."""
    shown = [_at(request, each, "ResourceType", f"ResourceTypes/{name}") for name, each in TYPES.items()]
    return answer(listed(len(shown), 1, shown))


@get("/ResourceTypes/{name:str}", opt=READ)
async def resource_type(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """One kind of resource."""
    if name not in TYPES:
        raise NotFound
    return answer(_at(request, TYPES[name], "ResourceType", f"ResourceTypes/{name}"))


@get("/Schemas", opt=READ)
async def schemas(request: AnyRequest) -> Response[bytes]:
    """Which attributes there are."""
    shown = [_at(request, each, "Schema", f"Schemas/{urn}") for urn, each in SCHEMAS.items()]
    return answer(listed(len(shown), 1, shown))


@get("/Schemas/{urn:str}", opt=READ)
async def schema(request: AnyRequest, urn: FromPath[str]) -> Response[bytes]:
    """The attributes of one schema."""
    found = {str(each).casefold(): each for each in SCHEMAS}.get(urn.casefold())
    if found is None:
        raise NotFound
    return answer(_at(request, SCHEMAS[found], "Schema", f"Schemas/{found}"))


@route("/{rest:path}", http_method=["GET", "POST", "PUT", "PATCH", "DELETE"], status_code=200, opt=READ)
async def absent(rest: FromPath[str]) -> None:
    """Everything else."""
    if rest.strip("/").casefold() in NOT_SERVED:
        raise DirectoryUnsupported
    raise NotFound


def _at(request: AnyRequest, resource: dict[str, Any], kind: str, place: str) -> dict[str, Any]:
    location = f"{request.app.state.public_url.rstrip('/')}{BASE}/{place}"
    return {**resource, "meta": {"resourceType": kind, "location": location}}


router = Router("/", route_handlers=[service_provider_config, resource_types, resource_type, schemas, schema, absent])
