"""How a tenant's directory comes in: its tokens, and what of its requests was refused."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Text, UniqueConstraint, Uuid

from controlplane.db.schema.shapes import tenant_table
from controlplane.db.types import Instant

scim_tokens = tenant_table(
    "scim_tokens",
    Column("id", Uuid, nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("rotated_from", Uuid),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Column("last_used_from", Text),
    Column("synced_at", Instant),
    Column("revoked_at", Instant),
    UniqueConstraint("tenant_id", "token_hash"),
    Index(None, "tenant_id", "connection_id"),
)
"""Tokens with one ``connection_id`` are one directory's: the newest, and the one that it replaces."""

scim_errors = tenant_table(
    "scim_errors",
    Column("id", Uuid, nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("scim_type", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Index(None, "tenant_id", "connection_id", "id"),
)
"""The newest few of each connection."""
