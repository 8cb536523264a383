"""People as the tenant's directory keeps them: announcing, changing, deactivating, deleting.

Whoever is announced has no account here until they come in themselves. A deactivated or deleted person has lost their
reach with the commit: no session of theirs enters the tenant, and their keys are revoked for good.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from msgspec import Struct
from scim2_models import Context
from sqlalchemy import or_
from sqlalchemy.exc import IntegrityError

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import api_keys, audit, quotas, users
from controlplane.domain.audit import Actor
from controlplane.domain.directory import models, patches
from controlplane.domain.directory.models import USER, WholeUser
from controlplane.domain.directory.refusals import DirectoryChanged, DirectoryTaken
from controlplane.domain.holdings import Holder, an_owner_stays
from controlplane.domain.people import normalized
from controlplane.kit.ids import UserId, new_id, text_id
from controlplane.kit.problems import NotFound

SOURCE: Final = "scim"
UNSAID: Final = {"active": None}
"""The directory has taken back what it said of it. That lets nobody in, and shuts nobody out."""

TRIES: Final = 5
"""How often a change is made anew that somebody else's has overtaken."""

Change: TypeAlias = Callable[["Entry"], dict[str, Any]]
"""From what is there to the columns that are to be; empty: nothing changes."""


class Entry(Struct, frozen=True, kw_only=True):
    """A person's row, as far as it is the directory's."""

    id: UserId
    user_name: str | None
    login_norm: str
    email_norm: str
    name: str
    status: str
    external_id: str | None
    directory: dict[str, Any] | None
    """As it came; None: the directory has said nothing of them yet."""
    version: int
    created_at: datetime
    changed_at: datetime | None


async def announce(tx: TenantTx, actor: Actor, body: object) -> Entry:
    """Make a person, who is in the tenant from now on and holds nothing but what their groups will give them.

    Raises:
        DirectoryInvalid: If *body* is no user.
        DirectoryTaken: If somebody has the userName or the address.
        QuotaExceeded: If the tenant has as many people as it may have.
    """
    user = models.read(WholeUser, body, Context.RESOURCE_CREATION_REQUEST)
    await quotas.take(tx, "users")
    row = {"id": new_id(tx.now), "created_at": tx.now, "status": "active", **_columns(user)}
    added = await tx.take(Entry, tx.insert(t.users).values(**row).on_conflict_do_nothing())
    if not added:
        raise DirectoryTaken(await _whose(tx, row))
    audit.record(tx, actor, "user.added", _target(added[0].id), source=SOURCE, status=added[0].status)
    return added[0]


async def get(tx: TenantTx, user_id: UUID) -> Entry:
    """
    Raises:
        NotFound: If this tenant has no such person.
    """
    found = await tx.first(Entry, tx.select(t.users).where(t.users.c.id == user_id))
    if found is None:
        raise NotFound
    return found


async def replace(tx: TenantTx, actor: Actor, user_id: UUID, body: object, version: int | None = None) -> Entry:
    """Have *body* be all that the directory says of a person. What it leaves out of ``active`` stays.

    Args:
        version: That the directory has seen; None: any.

    Raises:
        NotFound, DirectoryInvalid, DirectoryTaken, DirectoryChanged, LastOwner: If it cannot be.
    """
    user = models.read(WholeUser, body, Context.RESOURCE_REPLACEMENT_REQUEST)
    return await _change(tx, actor, user_id, lambda _: _columns(user), version)


async def patch(tx: TenantTx, actor: Actor, user_id: UUID, body: object, version: int | None = None) -> Entry:
    """Change some of what the directory says of a person.

    Raises:
        NotFound, DirectoryInvalid, DirectoryTaken, DirectoryChanged, LastOwner: If it cannot be.
    """
    operations = patches.of_user(body)

    def patched(entry: Entry) -> dict[str, Any]:
        user = resource(entry)
        if not patches.apply(user, operations):
            return {}
        columns = _columns(user)
        return columns if user.active is not None else {**columns, "directory": {**columns["directory"], **UNSAID}}

    return await _change(tx, actor, user_id, patched, version)


async def remove(tx: TenantTx, actor: Actor, user_id: UUID, version: int | None = None) -> None:
    """Take a person out of the tenant, with what they hold in it and their keys. Their account is their own.

    Raises:
        NotFound, DirectoryChanged, LastOwner: If it cannot be.
    """
    if version not in (None, (await get(tx, user_id)).version):
        raise DirectoryChanged
    await users.remove(tx, actor, user_id)


def resource(entry: Entry) -> WholeUser:
    """A person as a resource, but for what is ours to say."""
    return WholeUser.model_validate({"schemas": [USER], **told(entry)})


def told(entry: Entry) -> dict[str, Any]:
    """What is said of a person: by the directory, or where it has said nothing, what is known here."""
    said = entry.directory
    if said is None:
        said = {"displayName": entry.name, "emails": [{"value": entry.email_norm, "type": "work", "primary": True}]}
    whole: dict[str, Any] = {
        "active": entry.status == "active",
        **said,
        "userName": entry.user_name or entry.login_norm,
    }
    if whole["active"] is None:  # UNSAID
        del whole["active"]
    if entry.external_id is not None:
        whole["externalId"] = entry.external_id
    return whole


async def _change(tx: TenantTx, actor: Actor, user_id: UUID, change: Change, version: int | None) -> Entry:
    """Make *change* to what is there at that moment. It is never made to a state that it was not computed from.

    No lock is held while it is computed, so that nobody waits in a ring: deactivating locks the tenant first.
    """
    for _ in range(TRIES):
        before = await get(tx, user_id)
        if version not in (None, before.version):
            raise DirectoryChanged
        columns = change(before)
        if not columns:
            return before
        if (after := await _turned(tx, actor, before, columns)) is not None:
            return after
    raise DirectoryChanged


async def _turned(tx: TenantTx, actor: Actor, before: Entry, columns: dict[str, Any]) -> Entry | None:
    """*before* with *columns*, and what follows from it; None: somebody else was faster."""
    goes = before.status == "active" and columns.get("status") == "disabled"
    if not goes:
        after = await _written(tx, before, columns)
    else:
        async with an_owner_stays(tx):
            after = await _written(tx, before, columns)
    if after is None:
        return None
    facts: dict[str, Any] = {"api_keys": await api_keys.revoke_all_of(tx, Holder("user", after.id))} if goes else {}
    actions = {("active", "disabled"): "user.deactivated", ("disabled", "active"): "user.reactivated"}
    action = actions.get((before.status, after.status), "user.changed")
    audit.record(tx, actor, action, _target(after.id), source=SOURCE, **facts)
    return after


async def _written(tx: TenantTx, before: Entry, columns: dict[str, Any]) -> Entry | None:
    its = t.users.c
    mine = tx.update(t.users).where(its.id == before.id, its.version == before.version)
    try:
        written = await tx.take(Entry, mine.values(**columns, version=before.version + 1, changed_at=tx.now))
    except IntegrityError as error:
        raise DirectoryTaken from error
    return written[0] if written else None


async def _whose(tx: TenantTx, row: dict[str, Any]) -> str:
    """Who has the userName or the address, by an id: a detail is kept, and names nobody."""
    its = t.users.c
    called = or_(its.user_name_norm == row["user_name_norm"], its.email_norm == row["email_norm"])
    found = await tx.all(Entry, tx.select(t.users).where(called).order_by(its.id).limit(2))
    return "it is " + " and ".join(text_id("usr", each.id) for each in found) if found else ""


def _columns(user: WholeUser) -> dict[str, Any]:
    """What is kept of a person, and where."""
    user_name = (user.user_name or "").strip()
    columns = {
        "user_name": user_name,
        "user_name_norm": normalized(user_name),
        "email_norm": normalized(_address(user) or user_name),
        "name": (_name(user) or user_name)[: models.LONGEST_TEXT],
        "external_id": user.external_id,
        "source": SOURCE,
        "directory": models.kept(user),
    }
    return columns if user.active is None else {**columns, "status": "active" if user.active else "disabled"}


def _address(user: WholeUser) -> str | None:
    """The primary one, or else the first."""
    found = sorted((email for email in user.emails or [] if email.value), key=lambda email: not email.primary)
    return found[0].value if found else None


def _name(user: WholeUser) -> str:
    name = user.name
    parts = [name.given_name, name.family_name] if name else []
    return user.display_name or (name and name.formatted) or " ".join(part for part in parts if part)


def _target(user_id: UserId) -> audit.Target:
    return "user", text_id("usr", user_id)
