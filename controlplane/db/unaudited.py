"""The tables that are written without an audit event of their own."""

from controlplane.db import schema as t

UNAUDITED = frozenset(
    table.name
    for table in (
        *t.PARTITIONED,
        *(t.agents, t.sync_cursors, t.sync_losses, t.sync_refills, t.runtime_reports),
        *(t.audit_events, t.audit_heads),
        *(t.routes, t.account_tenants, t.chore_leases, t.browser_sessions, t.platform_audit_events),
        *(t.platform_audit_heads, t.audit_checkpoints, t.platform_audit_checkpoints, t.audit_verdicts),
        *(t.audit_streams, t.platform_audit_streams, t.scim_errors),
        *(t.events, t.event_heads, t.webhook_deliveries, t.webhook_progress),
        *(t.mails, t.platform_mails, t.ceremonies, t.password_requests),
        *(t.sso_flows, t.session_entries, t.logout_tokens, t.impersonation_sessions),
        *(t.exports, t.export_parts, t.purge_steps, t.key_rotations),
        *(t.connection_events, t.refresh_orphans, t.connect_sessions, t.login_transactions),
        *(t.device_transactions, t.connection_revocations, t.leases, t.vault_reads, t.credential_prints),
        *(t.contents, t.content_chunks, t.chunks, t.log_tails),
        *(t.budget_slices, t.budget_talks, t.budget_notices),
        *(t.idempotency_records, t.platform_idempotency_records),
    )
)
"""Written without an audit event of their own: what runtimes report, the chain itself, and what goes along with a
change that has one, or is about to."""
