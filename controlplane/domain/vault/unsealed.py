"""Credentials for runtimes that cannot sign: leased as to any other, by the same policies, and handed over as they are.

What is said here is what the protocol of the existing client has places for; the door gives it its form.
"""

import secrets
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from controlplane.db.database import inside
from controlplane.domain.audit.events import EPOCH
from controlplane.domain.permissions import Runtime
from controlplane.domain.vault import deciding
from controlplane.domain.vault.connections import SERVED
from controlplane.domain.vault.leasing import Ask, Leasing, Taking
from controlplane.domain.vault.looking import Caller, Seen
from controlplane.domain.vault.reading import NOTE, Read, Taken
from controlplane.domain.vault.standing import AppBroken, RefreshFailing
from controlplane.domain.vault.turned_down import LeaseTooShort
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.problems import NotFound
from runtime_agent.wire.leases import LeaseRequest, Selector

PURPOSE: Final = "unsealed"
"""What these leases are asked for with: policies may forbid it, or let it be for some connections."""

AHEAD: Final = timedelta(seconds=330)
"""How long what a refresh gives has to last: the existing client asks for the next five minutes before the end."""

REMEMBERED: Final = timedelta(days=30)
MOST_GONE: Final = 500
NONCE_BYTES: Final = 16

Status: TypeAlias = Literal["active", "expired", "requires_reauth"]

GONE: Final = inside(
    "id",
    """
    SELECT DISTINCT l.connection_id AS id FROM leases l
    WHERE l.tenant_id = entered.tenant_id AND l.runtime_id = $2 AND l.unsealed AND l.issued_at > $3
      AND NOT l.connection_id = ANY ($4)
    ORDER BY 1 LIMIT $5
    """,
)


class Asker(Struct, frozen=True, kw_only=True):
    """A runtime that showed its key."""

    runtime: Runtime
    address: str


class Given(Struct, frozen=True, kw_only=True):
    """A credential."""

    seen: Seen
    token: str
    token_type: str
    scopes: list[str]
    expires_at: datetime


class Listing(Struct, frozen=True, kw_only=True):
    found: list[Seen]
    """What the runtime may have."""
    gone: list[str]
    """What it was given lately, and may not have any more: ``con_…``."""


async def listing(leasing: Leasing, asker: Asker) -> Listing:
    """What there is for a runtime; nothing of it is a credential."""
    runtime = asker.runtime
    caller = await leasing.sights.caller(runtime)
    found = await leasing.sights.matching(runtime.tenant_id, caller, Selector())
    may = [seen for seen in found if _may(leasing, caller, seen) and _is_one_secret(leasing, seen)]
    since, known = leasing.db.clock() - REMEMBERED, [seen.id for seen in may]
    gone = await leasing.db.glance(runtime.tenant_id, _Gone, GONE, runtime.id, since, known, MOST_GONE)
    return Listing(found=may, gone=[text_id("con", each.id) for each in gone])


async def get(leasing: Leasing, asker: Asker, connection: str, *, least: timedelta = timedelta()) -> Given:
    """A credential as it is; the read stands on record, and so does a refusal.

    Args:
        least: How long it has to last.

    Raises:
        NotFound: If there is none that the runtime may know of, or none that is a single secret.
        LeaseDenied, ConnectionNotServed, AppBroken, RefreshFailing, LeaseTooShort, LeaseBusy: As of any lease.
    """
    caller = await leasing.sights.caller(asker.runtime, anew=False)
    request = LeaseRequest(connection=connection, purpose=PURPOSE, min_ttl_s=int(least.total_seconds()))
    nonce = secrets.token_bytes(NONCE_BYTES)
    ask = Ask(runtime=asker.runtime, caller=caller, nonce=nonce, address=asker.address, request=request, unsealed=True)
    taken = await leasing.take(ask)
    assert isinstance(taken, Taking), "no dry run was asked for"
    its = leasing.contents(taken)
    if not its.access_token and len(its.fields) != 1:
        raise NotFound
    return Given(
        seen=taken.seen,
        token=its.access_token or next(iter(its.fields.values())),
        token_type=its.token_type,
        scopes=its.scopes,
        expires_at=taken.span[1],
    )


async def refreshed(leasing: Leasing, asker: Asker, connection: str) -> Given:
    """A credential that lasts for a while yet: the next one only where the one that is there does not.

    Where the next kills the one before, it is not got ahead of time: that would kill what others hold.

    Raises:
        Refusal: As :func:`get`.
    """
    caller = await leasing.sights.caller(asker.runtime)
    if not await _kills(leasing, asker, caller, connection):
        try:
            return await get(leasing, asker, connection, least=AHEAD)
        except (LeaseTooShort, RefreshFailing, AppBroken):
            pass  # what is there may still do
    return await get(leasing, asker, connection)


async def look(leasing: Leasing, asker: Asker, connection: str) -> Seen:
    """How a connection stands.

    Raises:
        NotFound: If there is none that the runtime may have.
    """
    caller = await leasing.sights.caller(asker.runtime)
    seen = await _seen(leasing, asker, caller, connection)
    if not _may(leasing, caller, seen):
        raise NotFound
    return seen


async def note_use(leasing: Leasing, asker: Asker, connection: str, operation: str, status: str) -> None:
    """Write down what a runtime says that it did; its own words.

    Raises:
        NotFound: If there is no such connection that the runtime may have.
    """
    caller = await leasing.sights.caller(asker.runtime)
    seen = await look(leasing, asker, connection)
    read = Read(
        occurred_us=(leasing.db.clock() - EPOCH) // timedelta(microseconds=1),
        act="usage",
        outcome="success",
        runtime_id=caller.row.id,
        agent="",
        run="",
        tool=status,
        purpose=operation,
        connection_id=seen.id,
        cred_version=seen.cred_version,
        scopes=[],
        rule="",
        policies_version=caller.rules.version,
        lease_id=None,
        kid="",
        nonce=secrets.token_bytes(NONCE_BYTES),
        address=asker.address,
    )
    await leasing.db.at_once(asker.runtime.tenant_id, Taken, NOTE.sql, *NOTE.values(asdict(read)))


def status_of(seen: Seen, now: datetime) -> Status:
    """In the words of the existing client, which takes what is ``active`` and nothing else."""
    if seen.state == "needs_reauth":
        return "requires_reauth"
    if seen.state not in SERVED or not seen.readable:
        return "expired"
    is_over = seen.access_exp is not None and seen.access_exp <= now
    return "expired" if is_over and seen.state != "active" else "active"


class _Gone(Struct, frozen=True):
    id: UUID


async def _seen(leasing: Leasing, asker: Asker, caller: Caller, connection: str) -> Seen:
    if (id_ := parse_id("con", connection)) is None:
        raise NotFound
    return await leasing.sights.connection(asker.runtime.tenant_id, caller, LeaseRequest(), id_)


async def _kills(leasing: Leasing, asker: Asker, caller: Caller, connection: str) -> bool:
    try:
        seen = await _seen(leasing, asker, caller, connection)
    except NotFound:
        return False  # whoever asks for it is told so, and it is written down
    provider = leasing.catalogue.find(seen.provider)
    return provider is not None and provider.dialect.refreshing.kills_access_after_s is not None


def _may(leasing: Leasing, caller: Caller, seen: Seen) -> bool:
    asking, now = caller.asking(purpose=PURPOSE), leasing.db.clock()
    return deciding.decide(caller.rules.rules, asking, seen.wanted(), "lease", now).allowed


def _is_one_secret(leasing: Leasing, seen: Seen) -> bool:
    """Whether it can be told as a token; the protocol has no place for a name and a password."""
    provider = leasing.catalogue.find(seen.provider)
    return provider is not None and (provider.kind != "static" or len(provider.fields) == 1)
