"""People and groups as a directory sees them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from controlplane.db.database import TenantTx
from controlplane.domain.directory import groups, people
from controlplane.domain.directory.models import ENTERPRISE, GROUP, USER
from controlplane.http.instants import moment
from controlplane.http.scim.answers import BASE, etag
from controlplane.http.scim.attributes import Chosen
from controlplane.kit.ids import text_id

LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
EVERYTHING: Final = Chosen()


class Views:
    """Makes resources whose addresses begin with the public one."""

    def __init__(self, public_url: str) -> None:
        self._base = f"{public_url.rstrip('/')}{BASE}"

    async def of_users(
        self, tx: TenantTx, entries: Sequence[people.Entry], chosen: Chosen = EVERYTHING
    ) -> list[dict[str, Any]]:
        """People, with the groups that they are in."""
        within: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        if chosen.wants("groups"):
            for found in await groups.groups_of(tx, [entry.id for entry in entries]):
                group = self._reference("Groups", text_id("grp", found.group_id))
                within[found.user_id].append({**group, "display": found.group, "type": "direct"})
        return [chosen.of(self._user(entry, within[entry.id])) for entry in entries]

    async def of_groups(
        self, tx: TenantTx, entries: Sequence[groups.Entry], chosen: Chosen = EVERYTHING
    ) -> list[dict[str, Any]]:
        """Groups, with everybody who is in them."""
        within: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        if chosen.wants("members"):
            for found in await groups.members(tx, [entry.id for entry in entries]):
                member = self._reference("Users", text_id("usr", found.user_id))
                within[found.group_id].append({**member, "type": "User"})
        return [chosen.of(self._group(entry, within[entry.id])) for entry in entries]

    def location(self, kind: str, identity: str) -> str:
        return f"{self._base}/{kind}/{identity}"

    def _user(self, entry: people.Entry, within: list[dict[str, Any]]) -> dict[str, Any]:
        told = people.told(entry)
        whole = {
            "schemas": [USER, ENTERPRISE] if ENTERPRISE in told else [USER],
            "id": text_id("usr", entry.id),
            **told,
            "meta": self._meta("User", "Users", text_id("usr", entry.id), entry),
        }
        return {**whole, "groups": within} if within else whole

    def _group(self, entry: groups.Entry, within: list[dict[str, Any]]) -> dict[str, Any]:
        whole = {
            "schemas": [GROUP],
            "id": text_id("grp", entry.id),
            **groups.told(entry),
            "meta": self._meta("Group", "Groups", text_id("grp", entry.id), entry),
        }
        return {**whole, "members": within} if within else whole

    def _reference(self, kind: str, identity: str) -> dict[str, Any]:
        return {"value": identity, "$ref": self.location(kind, identity)}

    def _meta(self, name: str, kind: str, identity: str, entry: people.Entry | groups.Entry) -> dict[str, Any]:
        changed_at: datetime = entry.changed_at or entry.created_at
        return {
            "resourceType": name,
            "created": moment(entry.created_at),
            "lastModified": moment(changed_at),
            "location": self.location(kind, identity),
            "version": etag(entry.version),
        }


def listed(total: int, start: int, resources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A ListResponse."""
    return {
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": list(resources),
    }
