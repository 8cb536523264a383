"""Leases: who may have what of the vault's, what is out, and every time that a credential was read.

``leases`` and ``vault_reads`` point nowhere: a row that is written with every read must not lock the rows of its tenant,
its runtime and its connection as a foreign key would.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import SchemaItem

from controlplane.db.schema.shapes import metadata, tenant_table
from controlplane.db.types import Instant


def _written_often(name: str, *items: SchemaItem, key: str) -> Table:
    return Table(
        name, metadata, Column("tenant_id", Uuid, nullable=False), *items, PrimaryKeyConstraint("tenant_id", key)
    )


policies = tenant_table(
    "policies",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("subject", JSONB, nullable=False),
    Column("connections", JSONB, nullable=False),
    Column("modes", ARRAY(Text), nullable=False),
    Column("conditions", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    CheckConstraint("effect IN ('allow', 'deny')", name="effect"),
    CheckConstraint("modes <@ ARRAY['metadata', 'proxy', 'lease'] AND modes <> '{}'", name="modes"),
)

policy_heads = tenant_table("policy_heads", Column("version", BigInteger, nullable=False), key=())
"""Goes up with every change of the tenant's policies: what was decided by an older version does not count any more."""

credential_prints = tenant_table(
    "credential_prints",
    Column("connection_id", Uuid, nullable=False),
    Column("cred_version", Integer, nullable=False),
    Column("prints", ARRAY(LargeBinary), nullable=False),
    key=("connection_id", "cred_version"),
)
"""What the secrets of each version that was ever read are recognized by; nothing can be had from them. They stay when
the connection goes: what it gave away may turn up later."""

runtime_keys = tenant_table(
    "runtime_keys",
    Column("id", Uuid, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("rotated_from", Uuid),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("last_used_at", Instant),
    Column("last_used_from", Text),
    Column("revoked_at", Instant),
    UniqueConstraint("tenant_id", "key_hash"),
    ForeignKeyConstraint(["tenant_id", "runtime_id"], ["runtimes.tenant_id", "runtimes.id"]),
    Index(None, "tenant_id", "runtime_id", "id"),
)
"""What runtimes come in with that cannot sign: they get credentials unsealed, if the tenant lets them."""

leases = _written_often(
    "leases",
    Column("id", Uuid, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("connection_id", Uuid, nullable=False),
    Column("agent", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("cred_version", Integer, nullable=False),
    Column("policy_id", Uuid, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("renewed_at", Instant),
    Column("expires_at", Instant, nullable=False),
    Column("dies_at", Instant),
    Column("revoked_at", Instant),
    Column("revoked_by", Text, nullable=False),
    Column("unsealed", Boolean, nullable=False, server_default=text("false")),
    Index(None, "tenant_id", "runtime_id", "expires_at"),
    Index(None, "tenant_id", "connection_id", "id"),
    key="id",
)

vault_reads = _written_often(
    "vault_reads",
    Column("seq", BigInteger, Identity(), nullable=False),
    Column("writer", BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text)::bigint")),
    Column("occurred_us", BigInteger, nullable=False),
    Column("act", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("runtime_id", Uuid, nullable=False),
    Column("agent", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("connection_id", Uuid),
    Column("cred_version", Integer),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("rule", Text, nullable=False),
    Column("policies_version", BigInteger, nullable=False),
    Column("lease_id", Uuid),
    Column("kid", Text, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("address", Text, nullable=False),
    Column("prints", ARRAY(LargeBinary), nullable=False),
    Column("call", Text),
    Column("sealed_by", BigInteger),
    CheckConstraint("outcome IN ('success', 'denied')", name="outcome"),
    Index(None, "tenant_id", "runtime_id", "nonce", unique=True),
    Index(None, "tenant_id", "connection_id", "seq"),
    Index("ix_vault_reads_sealed", "tenant_id", "sealed_by", "seq", postgresql_where=text("sealed_by IS NOT NULL")),
    Index("ix_vault_reads_unsealed", "tenant_id", "seq", postgresql_where=text("sealed_by IS NULL")),
    key="seq",
)
"""Every signed request for a credential, refused ones too, and every nonce once. ``writer`` is the transaction it was
written in; ``sealed_by`` the number of the event in the tenant's chain that holds the root over it: the only column
that ever changes, and only once."""
