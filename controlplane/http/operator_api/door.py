"""The operators' door: those who run the service, across tenants, at /v1/operator."""

from litestar import Router

from controlplane.http.transaction import PLATFORM_TX

router = Router("/v1/operator", route_handlers=[], dependencies=PLATFORM_TX)
