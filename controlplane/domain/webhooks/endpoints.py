"""Webhooks: where events are sent, which of them, and the secret that they are signed with."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from msgspec import Struct
from sqlalchemy import func, text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, events, keys, letters, mails
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Context
from controlplane.kit import signatures
from controlplane.kit.ids import WebhookId, new_id, text_id
from controlplane.kit.problems import NotFound, Refusal

State: TypeAlias = Literal["enabled", "disabled"]

MOST: Final = 50
"""Of one tenant."""

OVERLAP: Final = timedelta(hours=24)
"""How long the secret before still signs, unless somebody says otherwise."""

LONGEST_OVERLAP: Final = timedelta(days=7)

DROP: Final = text("""
    UPDATE webhook_deliveries SET state = 'dropped', next_at = NULL, ended_at = :now
    WHERE tenant_id = :tenant_id AND webhook_id = :webhook_id AND state = 'pending'
""")

OWNERS: Final = text("""
    SELECT u.email_norm, n.slug FROM users u JOIN tenants n ON n.tenant_id = u.tenant_id
    WHERE u.tenant_id = :tenant_id AND u.status = 'active' AND u.id IN (
        SELECT coalesce(a.user_id, m.user_id)
        FROM role_assignments a
        LEFT JOIN group_members m ON m.tenant_id = a.tenant_id AND m.group_id = a.group_id
        WHERE a.tenant_id = :tenant_id AND a.built_in = 'owner')
    LIMIT 20
""")


SEALED: Final = (
    keys.SealedColumn(
        t.webhooks,
        "secret",
        "webhook-secret",
        lambda row: _place(row["id"], row["secret_version"]),
        reads=("secret_version",),
    ),
    keys.SealedColumn(
        t.webhooks,
        "old_secret",
        "webhook-secret",
        lambda row: _place(row["id"], row["secret_version"] - 1),
        reads=("secret_version",),
    ),
)


class Webhook(Struct, frozen=True, kw_only=True):
    """What may be shown of a webhook."""

    id: WebhookId
    url: str
    description: str
    types: list[str]
    """Which events are sent; empty: all."""
    state: State
    state_reason: str
    failing_since: datetime | None
    """Since when nothing got there; None: the last thing did."""
    old_secret_until: datetime | None
    version: int
    created_by: str
    created_at: datetime

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


class Changes(Struct, frozen=True, kw_only=True):
    """What is to be different; None stays as it is."""

    url: str | None = None
    description: str | None = None
    types: Sequence[str] | None = None
    state: State | None = None


class TooManyWebhooks(Refusal):
    code, status, title = "webhook-limit", 409, "This tenant has as many webhooks as there may be"
    hint = f"Delete one first; there may be {MOST}."


class WebhookDisabled(Refusal):
    """Nothing is sent to it."""

    code, status, title = "webhook-disabled", 409, "This webhook is disabled"
    hint = "Enable it first."


async def create(
    tx: TenantTx, actor: Actor, url: str, *, description: str = "", types: Sequence[str] = ()
) -> tuple[Webhook, str]:
    """Have the events from now on sent to *url*, and return the webhook with its secret.

    Args:
        url: Checked by :meth:`controlplane.kit.guard.Guard.check`.
        types: Of the events; empty: all, those included that are yet to be invented.

    Raises:
        TooManyWebhooks, TypeUnknown: If that cannot be.
    """
    # the lock makes two who create at once count one after the other
    await tx.scalar(tx.select(t.tenants).with_only_columns(t.tenants.c.slug).with_for_update())
    if await tx.scalar(tx.select(t.webhooks).with_only_columns(func.count())) >= MOST:
        raise TooManyWebhooks
    identity, secret, now = WebhookId(new_id(tx.now)), signatures.mint(), await events.span(tx)
    [webhook] = await tx.take(
        Webhook,
        tx.insert(t.webhooks).values(
            id=identity,
            url=url,
            description=description,
            types=events.check_types(types),
            state="enabled",
            state_reason="",
            from_seq=now.seq,
            secret=await _sealed(tx, identity, 1, secret),
            secret_version=1,
            version=1,
            created_by=actor.id,
            created_at=tx.now,
        ),
    )
    audit.record(tx, actor, "webhook.created", target(identity), own={"host": webhook.host})
    return webhook, secret


async def listing(tx: TenantTx, *, after: UUID | None = None, limit: int = MOST) -> list[Webhook]:
    """Newest first, from just before *after* on."""
    wanted = tx.select(t.webhooks)
    if after is not None:
        wanted = wanted.where(t.webhooks.c.id < after)
    return await tx.all(Webhook, wanted.order_by(t.webhooks.c.id.desc()).limit(limit))


async def get(tx: TenantTx, webhook_id: UUID) -> Webhook:
    """
    Raises:
        NotFound: If this tenant has no such webhook.
    """
    webhook = await tx.first(Webhook, tx.select(t.webhooks).where(t.webhooks.c.id == webhook_id))
    if webhook is None:
        raise NotFound
    return webhook


async def change(tx: TenantTx, actor: Actor, webhook_id: UUID, changes: Changes) -> Webhook:
    """Change what differs. What waited to be sent to a webhook that is disabled is dropped; replay brings it back.

    Raises:
        NotFound, TypeUnknown: If there is no such webhook, or no such type of event.
    """
    before = await get(tx, webhook_id)
    wanted: dict[str, Any] = {}
    for name in ("url", "description", "state"):
        given = getattr(changes, name)
        if given is not None and given != getattr(before, name):
            wanted[name] = given
    if changes.types is not None and events.check_types(changes.types) != before.types:
        wanted["types"] = events.check_types(changes.types)
    if not wanted:
        return before
    changed = await _write(tx, webhook_id, {**wanted, **await _turned(tx, wanted.get("state"), actor)})
    if changed.state == "disabled":
        await tx.load(DROP, webhook_id=webhook_id, now=tx.now)
    audit.record(tx, actor, "webhook.changed", target(webhook_id), changed=sorted(wanted))
    return changed


async def rotate(tx: TenantTx, actor: Actor, webhook_id: UUID, overlap: timedelta = OVERLAP) -> tuple[Webhook, str]:
    """Give it a new secret and return it. The one before still signs as well for *overlap*; an older one does not.

    Raises:
        NotFound: If this tenant has no such webhook.
    """
    before = await tx.first(_Secret, tx.select(t.webhooks).where(t.webhooks.c.id == webhook_id).with_for_update())
    if before is None:
        raise NotFound
    secret, version = signatures.mint(), before.secret_version + 1
    webhook = await _write(
        tx,
        webhook_id,
        {
            "secret": await _sealed(tx, webhook_id, version, secret),
            "secret_version": version,
            "old_secret": before.secret if overlap else None,
            "old_secret_until": tx.now + overlap if overlap else None,
        },
    )
    audit.record(
        tx, actor, "webhook.secret-rotated", target(webhook_id), overlap_s=int(overlap.total_seconds()), number=version
    )
    return webhook, secret


async def delete(tx: TenantTx, actor: Actor, webhook_id: UUID) -> None:
    """Delete it with everything that is known of its deliveries.

    Raises:
        NotFound: If this tenant has no such webhook.
    """
    if not await tx.run(tx.delete(t.webhooks).where(t.webhooks.c.id == webhook_id)):
        raise NotFound
    audit.record(tx, actor, "webhook.deleted", target(webhook_id))


async def disable(tx: TenantTx, actor: Actor, webhook_id: UUID, reason: str) -> bool:
    """Send nothing there any more and write so to the tenant's owners; return whether that is new."""
    living = t.webhooks.c.id == webhook_id, t.webhooks.c.state == "enabled"
    turned = {"state": "disabled", "state_reason": reason, "version": t.webhooks.c.version + 1}
    disabled = await tx.take(Webhook, tx.update(t.webhooks).where(*living).values(**turned))
    if not disabled:
        return False
    for owner in await tx.query(_Owner, OWNERS, tenant_id=tx.tenant_id):
        letter = letters.webhook_disabled(owner.email_norm, disabled[0].host, reason, owner.slug)
        await mails.write(tx, "webhook-disabled", letter)
    await tx.load(DROP, webhook_id=webhook_id, now=tx.now)
    audit.record(tx, actor, "webhook.disabled", target(webhook_id), reason=reason)
    return True


async def secrets_of(tx: TenantTx, webhook_ids: Sequence[UUID]) -> Mapping[UUID, list[str]]:
    """The secrets that sign what is sent there now, newest first; none for one whose key was destroyed."""
    rows = await tx.all(_Secret, tx.select(t.webhooks).where(t.webhooks.c.id.in_(webhook_ids)).limit(len(webhook_ids)))
    places, sealed = [], []
    for row in rows:
        places.append(row.id)
        sealed.append((row.secret, _place(row.id, row.secret_version)))
        if row.old_secret is not None and row.old_secret_until is not None and row.old_secret_until > tx.now:
            places.append(row.id)
            sealed.append((row.old_secret, _place(row.id, row.secret_version - 1)))
    found: dict[UUID, list[str]] = {row.id: [] for row in rows}
    for webhook_id, opened in zip(places, await keys.unseal_all(tx, "webhook-secret", sealed), strict=True):
        if opened is not None:
            found[webhook_id].append(opened.decode())
    return found


def target(webhook_id: UUID) -> audit.Target:
    return "webhook", text_id("whk", webhook_id)


class _Owner(Struct, frozen=True):
    email_norm: str
    slug: str


class _Secret(Struct, frozen=True, kw_only=True):
    id: WebhookId
    secret: bytes
    secret_version: int
    old_secret: bytes | None
    old_secret_until: datetime | None


async def _write(tx: TenantTx, webhook_id: UUID, values: dict[str, Any]) -> Webhook:
    mine = tx.update(t.webhooks).where(t.webhooks.c.id == webhook_id)
    [webhook] = await tx.take(Webhook, mine.values(**values, version=t.webhooks.c.version + 1))
    return webhook


async def _turned(tx: TenantTx, state: State | None, actor: Actor) -> dict[str, Any]:
    """What goes along with a new state: who is enabled again hears of what happens from now on."""
    if state is None:
        return {}
    if state == "disabled":
        return {"state_reason": f"disabled by {actor.kind} {actor.id}"}
    return {"state_reason": "", "failing_since": None, "from_seq": (await events.span(tx)).seq}


async def _sealed(tx: TenantTx, webhook_id: UUID, version: int, secret: str) -> bytes:
    return await keys.seal(tx, "webhook-secret", secret.encode(), _place(webhook_id, version))


def _place(webhook_id: UUID, version: int) -> Context:
    return Context("webhooks", str(webhook_id), version)
