"""What tables are made of: the naming of constraints, and the two shapes of a tenant's table."""

from sqlalchemy import BigInteger, Column, ForeignKey, MetaData, PrimaryKeyConstraint, Table, Text, Uuid, text
from sqlalchemy.schema import SchemaItem

from controlplane.db.types import Instant

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def tenant_table(name: str, *items: SchemaItem, key: tuple[str, ...] = ("id",), ondelete: str = "CASCADE") -> Table:
    """A table that belongs to tenants: ``tenant_id`` leads its primary key.

    Foreign keys between tenant tables include ``tenant_id``, so the database itself refuses a row that points
    into another tenant; row-level security does not look at foreign keys.
    """
    return Table(
        name,
        metadata,
        Column("tenant_id", Uuid, ForeignKey("tenants.tenant_id", ondelete=ondelete), nullable=False),
        *items,
        PrimaryKeyConstraint("tenant_id", *key),
    )


def projection(name: str, *items: SchemaItem, covering: tuple[str, ...] = ()) -> Table:
    """A partitioned table of rows that came from runtimes. No foreign keys: it can always be made again.

    Args:
        covering: Columns that ride along in the key's index, so that counting over time need not touch the rows.
    """
    return Table(
        name,
        metadata,
        Column("tenant_id", Uuid, nullable=False),
        Column("id", Uuid, nullable=False),
        Column("runtime_id", Uuid, nullable=False),
        *items,
        PrimaryKeyConstraint("tenant_id", "id", postgresql_include=covering),
        postgresql_partition_by="RANGE (id)",
    )


def directory_columns() -> tuple[SchemaItem, ...]:
    """Of what a tenant's directory may keep for it: who says what it is, what it is called there, and its version."""
    return (
        Column("source", Text, nullable=False, server_default=text("'local'")),
        Column("external_id", Text),
        Column("version", BigInteger, nullable=False, server_default=text("1")),
        Column("changed_at", Instant),
    )
