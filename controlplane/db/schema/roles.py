"""Who may do what in a tenant: its own roles, groups, service accounts, and who holds which role where."""

from sqlalchemy import ARRAY, CheckConstraint, Column, ForeignKeyConstraint, Index, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from controlplane.db.schema.shapes import directory_columns, tenant_table
from controlplane.db.types import Instant

roles = tenant_table(
    "roles",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("permissions", ARRAY(Text), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("tenant_id", "name"),
)
"""A tenant's own roles. The built-in ones are in code and have no row."""

groups = tenant_table(
    "groups",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    *directory_columns(),
    UniqueConstraint("tenant_id", "name"),
)

group_members = tenant_table(
    "group_members",
    Column("group_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("added_at", Instant, nullable=False),
    ForeignKeyConstraint(["tenant_id", "group_id"], ["groups.tenant_id", "groups.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "user_id"], ["users.tenant_id", "users.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "user_id"),
    key=("group_id", "user_id"),
)

service_accounts = tenant_table(
    "service_accounts",
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("tenant_id", "name"),
)
"""Somebody who is a program: it holds roles and keys, and stays when the person who made it goes."""

_HOLDERS = ("user_id", "group_id", "service_account_id")

role_assignments = tenant_table(
    "role_assignments",
    Column("id", Uuid, nullable=False),
    *(Column(holder, Uuid) for holder in _HOLDERS),
    Column("built_in", Text),
    Column("role_id", Uuid),
    Column("project_id", Uuid),
    Column("labels", JSONB, nullable=False, server_default=text("'{}'")),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("num_nonnulls(user_id, group_id, service_account_id) = 1", name="one_holder"),
    CheckConstraint("num_nonnulls(built_in, role_id) = 1", name="one_role"),
    UniqueConstraint(
        "tenant_id",
        *_HOLDERS,
        "built_in",
        "role_id",
        "project_id",
        "labels",
        name="uq_role_assignments_same",
        postgresql_nulls_not_distinct=True,
    ),
    ForeignKeyConstraint(["tenant_id", "user_id"], ["users.tenant_id", "users.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant_id", "group_id"], ["groups.tenant_id", "groups.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(
        ["tenant_id", "service_account_id"], ["service_accounts.tenant_id", "service_accounts.id"], ondelete="CASCADE"
    ),
    ForeignKeyConstraint(["tenant_id", "role_id"], ["roles.tenant_id", "roles.id"]),
    ForeignKeyConstraint(["tenant_id", "project_id"], ["projects.tenant_id", "projects.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "group_id"),
    Index(None, "tenant_id", "service_account_id"),
    Index(None, "tenant_id", "role_id"),
    Index("ix_role_assignments_owners", "tenant_id", postgresql_where=text("built_in = 'owner'")),
)
"""Who holds which role, and where: in one project, on runtimes with these labels, or everywhere. By user it is found
along the unique index."""
