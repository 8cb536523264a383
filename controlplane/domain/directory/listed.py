"""The two lists that a directory reads: people and groups."""

from typing import Any, Final

from scim2_models import Meta, ScimFilter
from sqlalchemy import func

from controlplane.db import schema as t
from controlplane.domain.directory import groups, people
from controlplane.domain.directory.lists import List
from controlplane.domain.directory.people import SOURCE
from controlplane.kit.ids import text_id


def _person(found: ScimFilter[Any], entry: people.Entry) -> bool:
    user = people.resource(entry)
    user.id = text_id("usr", entry.id)
    user.meta = _meta(entry)
    return found.match(user)


def _meta(entry: people.Entry | groups.Entry) -> Meta:
    return Meta(created=entry.created_at, last_modified=entry.changed_at or entry.created_at)


def _group(found: ScimFilter[Any], entry: groups.Entry) -> bool:
    group = groups.resource(entry)
    group.id = text_id("grp", entry.id)
    group.meta = _meta(entry)
    return found.match(group)


PEOPLE: Final = List(
    t.users,
    people.Entry,
    {
        "id": t.users.c.id,
        "username": t.users.c.login_norm,
        "displayname": t.users.c.name_norm,
        "externalid": t.users.c.external_id,
        "meta.created": t.users.c.created_at,
        "meta.lastmodified": func.coalesce(t.users.c.changed_at, t.users.c.created_at),
    },
    _person,
)

GROUPS: Final = List(
    t.groups,
    groups.Entry,
    {
        "id": t.groups.c.id,
        "displayname": func.lower(t.groups.c.name),
        "externalid": t.groups.c.external_id,
        "meta.created": t.groups.c.created_at,
        "meta.lastmodified": func.coalesce(t.groups.c.changed_at, t.groups.c.created_at),
    },
    _group,
    t.groups.c.source == SOURCE,
)
"""The directory's own only."""
