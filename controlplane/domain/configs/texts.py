"""Prompts and skills: every text that one has ever had, numbered by itself."""

from copy import deepcopy
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain.audit import Actor
from controlplane.domain.configs.merging import Json

Kind: TypeAlias = Literal["prompts", "skills"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

NEWEST: Final = text("""
    SELECT DISTINCT ON (kind, name) kind, name, version, text, config_version, created_by, created_at
    FROM config_texts WHERE tenant_id = :tenant_id AND config_id = :config_id
    ORDER BY kind, name, version DESC
""")


class Wording(Struct, frozen=True, kw_only=True):
    """One text of a prompt or a skill."""

    kind: Kind
    name: str
    version: int
    text: str
    config_version: int
    """The document's version that it came with."""
    created_by: str
    created_at: datetime


async def numbered(tx: TenantTx, actor: Actor, config_id: UUID, number: int, document: Json) -> Json:
    """*document* with the version of each text in it; a text that is not the last one is kept as the next.

    One that was taken out and comes back goes on counting.
    """
    known = {(each.kind, each.name): each for each in await newest(tx, config_id)}
    result, rows = deepcopy(document), []
    for kind in KINDS:
        for name, entry in (result.get(kind) or {}).items():
            if entry is None:
                continue
            last = known.get((kind, name))
            entry["version"] = last.version if last else 0
            if last is None or last.text != entry["text"]:
                entry["version"] += 1
                row = {"kind": kind, "name": name, "version": entry["version"], "text": entry["text"]}
                rows.append({**row, "config_id": config_id, "config_version": number})
    for row in rows:
        await tx.run(tx.insert(t.config_texts).values(**row, created_by=actor.id, created_at=tx.now))
    return result


async def newest(tx: TenantTx, config_id: UUID) -> list[Wording]:
    """The last text of each, by kind and name, those that were taken out included."""
    return await tx.query(Wording, NEWEST, tenant_id=tx.tenant_id, config_id=config_id)


async def history(
    tx: TenantTx, config_id: UUID, kind: Kind, name: str, *, before: int | None = None, limit: int = 200
) -> list[Wording]:
    """All texts of one, newest first, from the first one older than *before*."""
    its = t.config_texts.c
    mine = tx.select(t.config_texts).where(its.config_id == config_id, its.kind == kind, its.name == name)
    if before is not None:
        mine = mine.where(its.version < before)
    return await tx.all(Wording, mine.order_by(its.version.desc()).limit(limit))
