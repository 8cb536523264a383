"""Every table, in one place.

A platform table belongs to no tenant and is reached through a ``PlatformTx`` only. A tenant table leads its key with
``tenant_id`` and stands behind row-level security. The partitioned ones are split by month of their time-ordered id.
"""

from typing import Final

from controlplane.db.schema.audit import (
    audit_checkpoints,
    audit_events,
    audit_heads,
    audit_retention,
    audit_streams,
    audit_verdicts,
    platform_audit_checkpoints,
    platform_audit_events,
    platform_audit_heads,
    platform_audit_streams,
)
from controlplane.db.schema.budgets import (
    budget_heads,
    budget_notices,
    budget_slices,
    budget_talks,
    budgets,
)
from controlplane.db.schema.commands import (
    commands,
)
from controlplane.db.schema.configs import (
    config_heads,
    config_texts,
    config_versions,
    configs,
    rollout_targets,
    rollouts,
    runtime_configs,
)
from controlplane.db.schema.content import (
    chunks,
    content_chunks,
    content_policies,
    contents,
)
from controlplane.db.schema.disclosures import disclosures
from controlplane.db.schema.events import (
    event_consumers,
    event_heads,
    events,
    webhook_deliveries,
    webhook_progress,
    webhooks,
)
from controlplane.db.schema.idempotency import (
    idempotency_records,
    platform_idempotency_records,
)
from controlplane.db.schema.identity import (
    ceremonies,
    invitations,
    mails,
    passkeys,
    password_requests,
    platform_mails,
    recovery_codes,
    totps,
)
from controlplane.db.schema.impersonation import (
    impersonation_sessions,
    impersonations,
)
from controlplane.db.schema.keys import (
    data_keys,
    key_rotations,
    master_keys,
    platform_data_keys,
)
from controlplane.db.schema.leases import (
    credential_prints,
    leases,
    policies,
    policy_heads,
    runtime_keys,
    vault_reads,
)
from controlplane.db.schema.lifecycle import (
    export_parts,
    exports,
    limit_overrides,
    plan_limits,
    purge_steps,
    tombstones,
    usage_counters,
)
from controlplane.db.schema.logs import log_tails
from controlplane.db.schema.platform import (
    account_tenants,
    accounts,
    browser_sessions,
    chore_leases,
    operator_keys,
    operators,
    routes,
    sign_in_links,
    store,
)
from controlplane.db.schema.projections import (
    checkpoints,
    cost_entries,
    runs,
    sessions,
    sync_batches,
)
from controlplane.db.schema.roles import (
    group_members,
    groups,
    role_assignments,
    roles,
    service_accounts,
)
from controlplane.db.schema.scim import (
    scim_errors,
    scim_tokens,
)
from controlplane.db.schema.shapes import (
    metadata,
)
from controlplane.db.schema.sso import (
    domains,
    logout_tokens,
    operator_identities,
    session_entries,
    sso_connections,
    sso_flows,
    sso_identities,
)
from controlplane.db.schema.tenants import (
    agents,
    api_keys,
    join_tokens,
    projects,
    runtime_reports,
    runtimes,
    sync_cursors,
    sync_losses,
    sync_refills,
    tenants,
    users,
)
from controlplane.db.schema.vault import (
    connect_sessions,
    connection_events,
    connection_revocations,
    connections,
    device_transactions,
    login_transactions,
    oauth_apps,
    platform_oauth_apps,
    refresh_orphans,
    return_urls,
)

__all__ = [
    "PARTITIONED",
    "PLATFORM",
    "TENANTS",
    "account_tenants",
    "accounts",
    "agents",
    "api_keys",
    "audit_checkpoints",
    "audit_events",
    "audit_heads",
    "audit_retention",
    "audit_streams",
    "audit_verdicts",
    "browser_sessions",
    "budget_heads",
    "budget_notices",
    "budget_slices",
    "budget_talks",
    "budgets",
    "ceremonies",
    "checkpoints",
    "chore_leases",
    "chunks",
    "commands",
    "config_heads",
    "config_texts",
    "config_versions",
    "configs",
    "connect_sessions",
    "connection_events",
    "connection_revocations",
    "connections",
    "content_chunks",
    "content_policies",
    "contents",
    "cost_entries",
    "credential_prints",
    "data_keys",
    "device_transactions",
    "disclosures",
    "domains",
    "event_consumers",
    "event_heads",
    "events",
    "export_parts",
    "exports",
    "group_members",
    "groups",
    "idempotency_records",
    "impersonation_sessions",
    "impersonations",
    "invitations",
    "join_tokens",
    "key_rotations",
    "leases",
    "limit_overrides",
    "log_tails",
    "login_transactions",
    "logout_tokens",
    "mails",
    "master_keys",
    "metadata",
    "oauth_apps",
    "operator_identities",
    "operator_keys",
    "operators",
    "passkeys",
    "password_requests",
    "plan_limits",
    "platform_audit_checkpoints",
    "platform_audit_events",
    "platform_audit_heads",
    "platform_audit_streams",
    "platform_data_keys",
    "platform_idempotency_records",
    "platform_mails",
    "platform_oauth_apps",
    "policies",
    "policy_heads",
    "projects",
    "purge_steps",
    "recovery_codes",
    "refresh_orphans",
    "return_urls",
    "role_assignments",
    "roles",
    "rollout_targets",
    "rollouts",
    "routes",
    "runs",
    "runtime_configs",
    "runtime_keys",
    "runtime_reports",
    "runtimes",
    "scim_errors",
    "scim_tokens",
    "service_accounts",
    "session_entries",
    "sessions",
    "sign_in_links",
    "sso_connections",
    "sso_flows",
    "sso_identities",
    "store",
    "sync_batches",
    "sync_cursors",
    "sync_losses",
    "sync_refills",
    "tenants",
    "tombstones",
    "totps",
    "usage_counters",
    "users",
    "vault_reads",
    "webhook_deliveries",
    "webhook_progress",
    "webhooks",
]

PARTITIONED: Final = (sessions, runs, checkpoints, cost_entries, sync_batches)

PLATFORM: Final = frozenset(
    table.name
    for table in metadata.tables.values()
    if "tenant_id" not in table.c or table in (routes, account_tenants, session_entries)
)
"""The tables that a ``PlatformTx`` may name. Those with a tenant say who may knock there."""

TENANTS: Final = tuple(table for table in metadata.sorted_tables if table.name not in PLATFORM)
"""The tables that hold what tenants have, in an order in which rows can be written; the other way round they go."""
