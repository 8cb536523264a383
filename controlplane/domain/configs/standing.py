"""What runtimes are to have and say they have: handing it out, hearing of it, and whether both are the same."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct, convert, json
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, events, keys, runtimes
from controlplane.domain.audit import Actor
from controlplane.domain.configs import effective
from controlplane.domain.configs.effective import Part
from controlplane.domain.events.catalogue import ConfigTurned
from controlplane.domain.keys import Keyring
from controlplane.domain.vault.prints import base64url
from controlplane.kit.ids import RuntimeId, text_id
from controlplane.kit.problems import NotFound, Refusal
from runtime_agent.wire import config as wire
from runtime_agent.wire.config import Desired, Effective, News

Word: TypeAlias = Literal["none", "unmergeable", "failed", "applying", "drifted", "behind", "applied"]
"""``none``: there is nothing for it. ``unmergeable``: its documents do not come to one. ``drifted``: it has what it is
to have, and somebody has changed that there. ``behind``: there is something newer than what it has."""

SAID: Final = text("""
    UPDATE runtime_configs c SET status = :status, said_generation = :generation, applied = :applied,
        applied_hash = :hash, error = :error, drift = CAST(:drift AS text[]), said_at = :now
    WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id
        AND (c.status, c.said_generation, c.applied, c.applied_hash, c.error, c.drift)
            IS DISTINCT FROM (:status, :generation, :applied, :hash, :error, CAST(:drift AS text[]))
    RETURNING c.status
""")
"""Written when it says something else than last time."""

OUTCOMES: Final = text("""
    UPDATE rollout_targets g SET at = :now,
        outcome = CASE WHEN :applied >= g.generation THEN 'applied' ELSE 'failed' END,
        error = CASE WHEN :applied >= g.generation THEN '' ELSE :error END
    FROM rollouts o
    WHERE g.tenant_id = :tenant_id AND g.runtime_id = :runtime_id AND g.outcome NOT IN ('planned')
        AND o.tenant_id = g.tenant_id AND o.config_id = g.config_id AND o.version = g.version
        AND o.state IN ('running', 'paused')
        AND (:applied >= g.generation AND g.outcome <> 'applied'
            OR :status = 'failed' AND :applied < g.generation AND :generation >= g.generation AND g.outcome <> 'failed')
""")
"""A version that a runtime could not take in one generation and can in a later one is taken."""

FETCHED: Final = text("""
    UPDATE runtime_configs c SET fetched_at = :now WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id
""")

TARGETS_FETCHED: Final = text("""
    UPDATE rollout_targets g SET outcome = 'fetched', at = :now
    WHERE g.tenant_id = :tenant_id AND g.runtime_id = :runtime_id AND g.outcome = 'released'
        AND g.generation <= :generation
""")

SIGNED: Final = text("""
    SELECT n.slug AS tenant, s.store_id, c.generation, c.hash, c.document
    FROM runtime_configs c JOIN tenants n ON n.tenant_id = c.tenant_id CROSS JOIN store s
    WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id
""")

RETRY: Final = text("""
    UPDATE runtime_configs c SET generation = c.generation + 1, made_at = :now
    WHERE c.tenant_id = :tenant_id AND c.runtime_id = :runtime_id
""")


class NothingToRetry(Refusal):
    code, status, title = "nothing-to-retry", 409, "The runtime has not failed at its configuration"
    hint = "Look at what it says: GET …/runtimes/{runtime}/configuration."


class Kept(Struct, frozen=True, kw_only=True):
    """What a runtime is to have, and what it says that it has."""

    runtime_id: RuntimeId
    generation: int
    """0: nothing."""
    hash: str
    document: str
    parts: list[dict[str, Any]]
    problem: str
    made_at: datetime
    fetched_at: datetime | None
    status: wire.Status
    said_generation: int
    applied: int
    applied_hash: str
    error: str
    drift: list[str]
    said_at: datetime | None

    @property
    def made_of(self) -> list[Part]:
        """Its documents in their versions, the widest first."""
        return convert(self.parts, list[Part])

    @property
    def shown(self) -> str:
        """The document as people read it."""
        return json.format(self.document, indent=2)

    @property
    def word(self) -> Word:
        if self.problem:
            return "unmergeable"
        if not self.generation:
            return "none"
        if self.status == "failed" and self.said_generation >= self.generation:
            return "failed"
        if self.status == "applying" and self.said_generation >= self.generation:
            return "applying"
        if self.applied < self.generation:
            return "behind"
        return "drifted" if self.drift or self.applied_hash != self.hash else "applied"


class _Signed(Struct, frozen=True):
    tenant: str
    store_id: UUID
    generation: int
    hash: str
    document: str


class _Turned(Struct, frozen=True):
    status: str


async def of_runtime(tx: TenantTx, runtime_id: RuntimeId) -> Kept | None:
    """As of now; None: there has never been anything for it."""
    await effective.news(tx, runtime_id)
    mine = tx.select(t.runtime_configs).where(t.runtime_configs.c.runtime_id == runtime_id)
    return await tx.first(Kept, mine)


async def kept(tx: TenantTx, limit: int = 200) -> Sequence[Kept]:
    """Of each runtime as it was last looked at, what was made last first."""
    its = t.runtime_configs.c
    return await tx.all(Kept, tx.select(t.runtime_configs).order_by(its.made_at.desc(), its.runtime_id).limit(limit))


def is_new(news: News, told: wire.Standing, said: wire.Standing) -> bool:
    """Whether what a runtime says is to be written, where *told* is what it said last."""
    return bool(news.generation) and said != told


async def heard(tx: TenantTx, runtime_id: RuntimeId, said: wire.Standing) -> News:
    """Take over what the runtime says, and answer which document there is. Saying it again writes nothing."""
    news = await effective.news(tx, runtime_id)
    if not news.generation:
        return news
    its = {"runtime_id": runtime_id, "now": tx.now, "status": said.status, "generation": said.generation}
    its |= {"applied": said.applied, "error": _kept(said.error)}
    more = {"hash": said.hash, "drift": [_kept(each) for each in said.drift]}
    if not await tx.query(_Turned, SAID, tenant_id=tx.tenant_id, **its, **more):
        return news
    await tx.load(OUTCOMES, **its)
    if said.status == "failed" and said.generation:
        told = ConfigTurned(runtime=text_id("rt", runtime_id), generation=said.generation, error=_kept(said.error))
        events.tell(tx, "config.failed", told)
    return await effective.go_on(tx, runtime_id)


async def desired(tx: TenantTx, keyring: Keyring, runtime_id: RuntimeId) -> Desired:
    """The document for the runtime, signed, and a note that it was fetched.

    Raises:
        NotFound: If there is none.
    """
    news = await effective.news(tx, runtime_id)
    if not news.generation:
        raise NotFound
    its = {"runtime_id": runtime_id, "now": tx.now}
    await tx.load(FETCHED, **its)
    await tx.load(TARGETS_FETCHED, **its, generation=news.generation)
    [row] = await tx.query(_Signed, SIGNED, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    effective_now = Effective(
        tenant=row.tenant,
        runtime=text_id("rt", runtime_id),
        store_id=row.store_id,
        generation=row.generation,
        hash=row.hash,
        document=row.document,
    )
    key = keys.lease_keys(keyring)[keyring.current]
    return Desired(effective=effective_now, key=keyring.current, signature=base64url(key.sign(effective_now.signed())))


async def first(tx: TenantTx, keyring: Keyring, runtime_id: RuntimeId) -> Desired | None:
    """What a runtime that joins is to be like, before it has looked at anything; None: there is nothing for it."""
    try:
        return await desired(tx, keyring, runtime_id)
    except NotFound:
        return None


async def retry(tx: TenantTx, actor: Actor, runtime_id: RuntimeId) -> None:
    """Have a runtime try anew what it has failed at.

    Raises:
        NotFound: If the tenant has no such runtime.
        RuntimeGone: If it does not come back.
        NothingToRetry: If it has not failed.
    """
    await runtimes.present(tx, runtime_id)
    found = await of_runtime(tx, runtime_id)
    if found is None or found.word != "failed":
        raise NothingToRetry
    await tx.load(RETRY, runtime_id=runtime_id, now=tx.now)
    audit.record(tx, actor, "config.retried", ("runtime", text_id("rt", runtime_id)))


def _kept(line: str) -> str:
    return line.replace("\0", "")
