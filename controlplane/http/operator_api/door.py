"""The operators' door: those who run the service, across tenants, at /v1/operator.

``tx`` is open on the platform; what concerns a tenant is done in a transaction inside that tenant.
"""

from litestar import Router

from controlplane.http.operator_api.impersonations import ImpersonationsController
from controlplane.http.operator_api.keys import KeysController
from controlplane.http.operator_api.lifecycle import LifecycleController, plans
from controlplane.http.operator_api.oauth_apps import SharedAppsController
from controlplane.http.operator_api.operators import OperatorsController
from controlplane.http.operator_api.tenants import TenantsController
from controlplane.http.operator_api.vault import VaultController
from controlplane.http.transaction import PLATFORM_TX

router = Router(
    "/v1/operator",
    route_handlers=[
        TenantsController,
        LifecycleController,
        plans,
        OperatorsController,
        KeysController,
        ImpersonationsController,
        VaultController,
        SharedAppsController,
    ],
    dependencies=PLATFORM_TX,
)
