"""Whatever is sealed can be sealed anew: every column of bytes is in the list of envelopes, or is known to be none."""

from collections import Counter
from typing import get_args

from sqlalchemy import ARRAY, LargeBinary

from controlplane.db import schema as t
from controlplane.domain.keys import Purpose
from controlplane.domain.rotations.columns import COLUMNS

NO_ENVELOPES = {
    "hashes": {
        "api_keys.key_hash",
        "audit_checkpoints.edge",
        "audit_checkpoints.hash",
        "audit_events.hash",
        "audit_events.prev_hash",
        "audit_heads.hash",
        "audit_heads.prev_hash",
        "browser_sessions.token_hash",
        "ceremonies.token_hash",
        "chunks.sha256",
        "connect_sessions.token_hash",
        "content_chunks.sha256",
        "contents.digest",
        "idempotency_records.fingerprint",
        "impersonation_sessions.token_hash",
        "invitations.token_hash",
        "join_tokens.token_hash",
        "login_transactions.cookie_hash",
        "login_transactions.state_hash",
        "logout_tokens.token_hash",
        "operator_keys.key_hash",
        "platform_audit_checkpoints.edge",
        "platform_audit_checkpoints.hash",
        "platform_audit_events.hash",
        "platform_audit_events.prev_hash",
        "platform_audit_heads.hash",
        "platform_audit_heads.prev_hash",
        "platform_idempotency_records.fingerprint",
        "purge_steps.hash",
        "recovery_codes.code_hash",
        "routes.key",
        "runtime_keys.key_hash",
        "scim_tokens.token_hash",
        "session_entries.sid_hash",
        "session_entries.subject_hash",
        "sign_in_links.token_hash",
        "sso_flows.browser_hash",
        "sso_flows.state_hash",
        "sync_batches.head",
        "sync_batches.prev_head",
        "sync_cursors.durable_head",
        "sync_cursors.head",
        "credential_prints.prints",
        "vault_reads.prints",
    },
    "public": {
        "accounts.user_handle",
        "ceremonies.challenge",
        "content_policies.public_key",
        "passkeys.credential_id",
        "passkeys.public_key",
        "runtimes.previous_key",
        "runtimes.public_key",
        "runtimes.sealing_key",
        "vault_reads.nonce",
        "sync_batches.record_ids",
    },
    "what a tenant reported or was answered": {
        "contents.sealed_key",
        "export_parts.body",
        "idempotency_records.body",
        "platform_idempotency_records.body",
        "sync_batches.body",
    },
    "under master keys, wrapped anew and not sealed anew": {
        "data_keys.wrapped",
        "master_keys.proof",
        "platform_data_keys.wrapped",
    },
}


def test_every_column_of_bytes_is_an_envelope_that_can_be_replaced_or_is_known_to_be_none():
    registered = {f"{column.table.name}.{column.column}" for column in COLUMNS}
    of_bytes = {
        f"{table.name}.{column.name}"
        for table in t.metadata.sorted_tables
        for column in table.c
        if isinstance(column.type.item_type if isinstance(column.type, ARRAY) else column.type, LargeBinary)
    }
    others = {name for names in NO_ENVELOPES.values() for name in names}

    assert of_bytes - others == registered
    assert others <= of_bytes


def test_every_purpose_has_its_columns():
    assert {column.purpose for column in COLUMNS} == set(get_args(Purpose))


def test_no_column_is_there_twice():
    twice = Counter((column.table.name, column.column) for column in COLUMNS)

    assert set(twice.values()) == {1}
