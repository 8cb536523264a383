"""Who looks at which log right now. A row stands for a viewer, is renewed by their connection, and ends with it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, get_args
from uuid import UUID

from msgspec import Struct
from sqlalchemy import text

from controlplane.db import schema as t
from controlplane.db.database import TenantTx
from controlplane.domain import audit, fleet, keys, runtimes, sessions
from controlplane.domain.audit import Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.vault.prints import base64url
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import RuntimeId, new_id, text_id
from controlplane.kit.problems import Refusal
from runtime_agent.wire.logs import CAP_BYTES, LEASE_S, LONGEST_PATH, MOST_TAILS, Ask, Log, Tail

LOGS: Final[tuple[Log, ...]] = get_args(Log)

LEASE: Final = timedelta(seconds=LEASE_S)
"""How long a tail is open without its viewer's connection saying that it still is."""

LONGEST: Final = timedelta(minutes=30)
"""Then it takes another one, and another line in the audit log."""

MOST_OF_A_TENANT: Final = 20

OPEN: Final = text("""
    SELECT count(*) AS altogether, count(*) FILTER (WHERE l.runtime_id = :runtime_id) AS there
    FROM log_tails l WHERE l.tenant_id = :tenant_id
""")

ASKED: Final = text("""
    SELECT l.id, l.runtime_id, l.session_id, l.agent, l.source_id, l.log, l.path, l.first_byte, l.follow, l.most,
        l.not_after, n.slug AS tenant
    FROM log_tails l JOIN tenants n ON n.tenant_id = l.tenant_id
    WHERE l.tenant_id = :tenant_id AND l.runtime_id = :runtime_id AND l.until > :now AND l.not_after > :now
    ORDER BY l.id LIMIT :most_tails
""")


class RuntimeUnreachable(Refusal):
    """Its agent does not call, so it cannot be asked."""

    code, status, title = "runtime-unreachable", 409, "The agent there does not call right now"
    hint = "The log is still where it was written. Start the agent there (runtime-agent run), or look at its machine."

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(f"the runtime is {state}: {reason}" if reason else f"the runtime is {state}")
        self.state = state

    def facts(self) -> dict[str, object]:
        return {"state": self.state}


class TooManyTails(Refusal):
    code, status, title = "too-many-tails", 429, "Too many look at logs at once"
    hint = f"Close one. At most {MOST_TAILS} are open at a runtime, and {MOST_OF_A_TENANT} in a tenant."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(LEASE_S)}


class LogPathUnfit(Refusal):
    code, status, title = "log-path-unfit", 400, "That is no path of a log"
    hint = "Of raw: a file in the session's folder of logs, such as run.log, or event_logs/ and a file there."


class TailEnded(Refusal):
    """Nobody looks any more."""

    code, status, title = "tail-ended", 409, "Nobody looks at this any more"
    hint = "The agent stops by itself; no action needed."


class Wanted(Struct, frozen=True, kw_only=True):
    session_id: UUID
    log: Log
    path: str = ""
    first_byte: int = 0
    """Negative: before the end."""
    follow: bool = True
    most: int = CAP_BYTES


class OpenTail(Struct, frozen=True, kw_only=True):
    id: UUID
    runtime_id: UUID
    session_id: UUID
    agent: str
    source_id: str
    log: str
    path: str
    first_byte: int
    follow: bool
    most: int
    not_after: datetime

    @property
    def name(self) -> str:
        """As the agent knows it."""
        return text_id("tail", self.id)


class _Asked(OpenTail, frozen=True, kw_only=True):
    tenant: str


class _Numbers(Struct, frozen=True):
    altogether: int
    there: int


class _Id(Struct, frozen=True):
    id: UUID


async def open_tail(tx: TenantTx, actor: Actor, wanted: Wanted) -> OpenTail:
    """Begin to look at a log of a session.

    Raises:
        NotFound: If there is no such session that *tx* can see.
        LogPathUnfit, RuntimeUnreachable, RuntimeGone, TooManyTails: If nothing could come of it.
    """
    _check_path(wanted)
    session = await sessions.get(tx, wanted.session_id)
    runtime_id = RuntimeId(session.runtime_id)
    await _check_reachable(tx, runtime_id)
    await tx.run(tx.delete(t.log_tails).where(t.log_tails.c.until <= tx.now))
    [numbers] = await tx.query(_Numbers, OPEN, tenant_id=tx.tenant_id, runtime_id=runtime_id)
    if numbers.there >= MOST_TAILS or numbers.altogether >= MOST_OF_A_TENANT:
        raise TooManyTails
    opened = OpenTail(
        id=new_id(tx.now),
        runtime_id=runtime_id,
        session_id=session.id,
        agent=session.agent,
        source_id=session.source_id,
        log=wanted.log,
        path=wanted.path,
        first_byte=wanted.first_byte,
        follow=wanted.follow,
        most=wanted.most,
        not_after=tx.now + LONGEST,
    )
    row = {name: getattr(opened, name) for name in OpenTail.__struct_fields__}
    row |= {"opened_by": actor.id, "opened_at": tx.now, "until": tx.now + LEASE}
    await tx.run(tx.insert(t.log_tails).values(**row))
    audit.record(
        tx,
        actor,
        "log.opened",
        ("session", text_id("ses", session.id)),
        own={"path": wanted.path} if wanted.path else {},
        runtime=text_id("rt", runtime_id),
        log=wanted.log,
        follow=wanted.follow,
    )
    return opened


async def renew(tx: TenantTx, tail_id: UUID) -> bool:
    """Their connection still stands; False: it was ended elsewhere, or has been open for too long."""
    mine = tx.update(t.log_tails).where(t.log_tails.c.id == tail_id, t.log_tails.c.not_after > tx.now)
    return bool(await tx.take(_Id, mine.values(until=tx.now + LEASE)))


async def close(tx: TenantTx, tail_id: UUID) -> None:
    """They look away. Doing it again changes nothing."""
    await tx.run(tx.delete(t.log_tails).where(t.log_tails.c.id == tail_id))


async def asked(tx: TenantTx, keyring: Keyring, runtime_id: RuntimeId) -> list[Ask]:
    """The tails that are open at the runtime, each signed."""
    rows = await tx.query(
        _Asked, ASKED, tenant_id=tx.tenant_id, runtime_id=runtime_id, now=tx.now, most_tails=MOST_TAILS
    )
    return [_signed(keyring, row) for row in rows]


async def live(tx: TenantTx, runtime_id: RuntimeId, tail_id: UUID) -> None:
    """
    Raises:
        TailEnded: If nobody looks at that any more, or it was never asked of this runtime.
    """
    its = t.log_tails.c
    wanted = tx.select(t.log_tails).where(its.id == tail_id, its.runtime_id == runtime_id)
    if await tx.first(_Id, wanted.where(its.until > tx.now, its.not_after > tx.now)) is None:
        raise TailEnded


def _check_path(wanted: Wanted) -> None:
    """Only its form: what it leads to, the agent looks at.

    Raises:
        LogPathUnfit: If it could not be the path of a log, or is none where one is wanted.
    """
    if (wanted.log == "raw") != bool(wanted.path):
        raise LogPathUnfit("raw takes a path, and the others none")
    parts: Sequence[str] = wanted.path.split("/") if wanted.path else ()
    bad = any(part in ("", ".", "..") or not part.isprintable() or "\\" in part for part in parts)
    if bad or len(wanted.path.encode()) > LONGEST_PATH:
        raise LogPathUnfit("it leads out of the folder of logs, or nowhere")


async def _check_reachable(tx: TenantTx, runtime_id: RuntimeId) -> None:
    """The runtime's row is locked: tails are counted one after the other.

    Raises:
        RuntimeGone, RuntimeUnreachable: If its agent cannot be asked.
    """
    runtime = await fleet.get(tx, runtime_id)
    if runtime.revoked_at is not None or await runtimes.identify(tx, runtime_id) is None:
        raise runtimes.RuntimeGone
    if runtime.state in ("silent", "locked"):
        raise RuntimeUnreachable(runtime.state, runtime.state_reason)


def _signed(keyring: Keyring, row: _Asked) -> Ask:
    tail = Tail(
        tenant=row.tenant,
        runtime=text_id("rt", row.runtime_id),
        tail=row.name,
        agent=row.agent,
        session=row.source_id,
        log=row.log,
        path=row.path,
        offset=row.first_byte,
        follow=row.follow,
        most=row.most,
        not_after=rfc3339(row.not_after),
    )
    key = keys.lease_keys(keyring)[keyring.current]
    return Ask(tail=tail, key=keyring.current, signature=base64url(key.sign(tail.signed())))
