"""The tenants' door: a tenant's people and their automation, at /v1/tenants/{tenant}.

Each handler says in its rule which permission it needs; the guard has bound the request to one tenant before it runs,
and ``tx`` is open in that tenant.
"""

from litestar import Router

from controlplane.http.tenant_api import tenant
from controlplane.http.tenant_api.agents import AgentsController
from controlplane.http.tenant_api.api_keys import ApiKeysController
from controlplane.http.tenant_api.approvals import ApprovalsController
from controlplane.http.tenant_api.audit_events import AuditEventsController
from controlplane.http.tenant_api.budgets import BudgetsController
from controlplane.http.tenant_api.checkpoints import CheckpointsController
from controlplane.http.tenant_api.collecting import CollectingController
from controlplane.http.tenant_api.commands import CommandsController
from controlplane.http.tenant_api.configs import ConfigsController
from controlplane.http.tenant_api.connect_sessions import ConnectSessionsController
from controlplane.http.tenant_api.connections import ConnectionsController
from controlplane.http.tenant_api.content_policies import ContentPoliciesController
from controlplane.http.tenant_api.contents import ContentsController
from controlplane.http.tenant_api.disclosures import DisclosuresController
from controlplane.http.tenant_api.discovered_apps import DiscoveredAppsController
from controlplane.http.tenant_api.domains import DomainsController
from controlplane.http.tenant_api.ending import EndingController
from controlplane.http.tenant_api.events import EventsController
from controlplane.http.tenant_api.exports import ExportsController
from controlplane.http.tenant_api.groups import GroupsController
from controlplane.http.tenant_api.impersonations import ImpersonationsController
from controlplane.http.tenant_api.invitations import InvitationsController
from controlplane.http.tenant_api.join_tokens import JoinTokensController
from controlplane.http.tenant_api.leases import LeasesController, VaultReadsController
from controlplane.http.tenant_api.logs import LogsController
from controlplane.http.tenant_api.minted_connections import MintedConnectionsController
from controlplane.http.tenant_api.oauth_apps import OAuthAppsController
from controlplane.http.tenant_api.permissions import PermissionsController
from controlplane.http.tenant_api.policies import AccessController, PoliciesController
from controlplane.http.tenant_api.projects import ProjectsController
from controlplane.http.tenant_api.providers import ProvidersController
from controlplane.http.tenant_api.role_assignments import RoleAssignmentsController
from controlplane.http.tenant_api.roles import RolesController
from controlplane.http.tenant_api.rollouts import RolloutsController, RuntimeConfigsController
from controlplane.http.tenant_api.runs import RunsController
from controlplane.http.tenant_api.runtime_keys import RuntimeKeysController
from controlplane.http.tenant_api.runtimes import RuntimesController
from controlplane.http.tenant_api.scim_tokens import ScimTokensController
from controlplane.http.tenant_api.service_accounts import ServiceAccountsController
from controlplane.http.tenant_api.sessions import SessionsController
from controlplane.http.tenant_api.sso_connections import SsoConnectionsController
from controlplane.http.tenant_api.users import UsersController
from controlplane.http.tenant_api.webhooks import WebhooksController
from controlplane.http.transaction import TENANT_TX

router = Router(
    "/v1/tenants/{tenant:str}",
    route_handlers=[
        *tenant.HANDLERS,
        ExportsController,
        ProjectsController,
        ContentPoliciesController,
        UsersController,
        InvitationsController,
        GroupsController,
        RolesController,
        RoleAssignmentsController,
        PermissionsController,
        ServiceAccountsController,
        ScimTokensController,
        ApiKeysController,
        JoinTokensController,
        RuntimesController,
        RuntimeKeysController,
        AgentsController,
        SessionsController,
        RunsController,
        CheckpointsController,
        CollectingController,
        CommandsController,
        ApprovalsController,
        BudgetsController,
        ConfigsController,
        RolloutsController,
        RuntimeConfigsController,
        ContentsController,
        AuditEventsController,
        DomainsController,
        SsoConnectionsController,
        ProvidersController,
        EventsController,
        WebhooksController,
        ImpersonationsController,
        PoliciesController,
        AccessController,
        DisclosuresController,
        LeasesController,
        LogsController,
        VaultReadsController,
        OAuthAppsController,
        DiscoveredAppsController,
        ConnectSessionsController,
        ConnectionsController,
        MintedConnectionsController,
        EndingController,
    ],
    dependencies=TENANT_TX,
)
