"""What of a tenant's runtimes and projects a transaction sees, where whoever asks may not see them all."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ARRAY, ColumnElement, Table, Uuid, any_, literal

from controlplane.db import schema as t

BY_RUNTIME: Final = {
    table.name: table.c.id if table is t.runtimes else table.c.runtime_id
    for table in t.metadata.tables.values()
    if table is t.runtimes or "runtime_id" in table.c
}
"""Where each table says which runtime a row belongs to."""

BY_PROJECT: Final = {"projects": t.projects.c.id, "join_tokens": t.join_tokens.c.project_id}
"""What belongs to a project and to no runtime."""


class Sight(Struct, frozen=True, kw_only=True):
    """What is seen; None: everything."""

    runtimes: list[UUID] | None = None
    projects: list[UUID] | None = None

    def conditions(self, table: Table) -> Iterator[ColumnElement[bool]]:
        """What rows of *table* meet that are seen. One parameter, however many they are."""
        if self.runtimes is not None and table.name in BY_RUNTIME:
            yield _is_one_of(BY_RUNTIME[table.name], self.runtimes)
        if self.projects is not None and table.name in BY_PROJECT:
            yield _is_one_of(BY_PROJECT[table.name], self.projects)


EVERYTHING: Final = Sight()


def _is_one_of(column: ColumnElement[Any], ids: list[UUID]) -> ColumnElement[bool]:
    return column == any_(literal(ids, ARRAY(Uuid)))
