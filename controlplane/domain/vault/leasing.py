"""Leasing: a runtime gets a credential, sealed to it and signed by us, if a policy lets it; and it stands on record.

The order is: who signed, what is asked for, may they, is it alive; then one statement that asks whether all of that
still holds, reads the envelope, notes the read and keeps the lease. Only what it returned is opened and sealed.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct, structs
from msgspec.structs import asdict

from controlplane.db.database import Database
from controlplane.domain import keys
from controlplane.domain.audit.denials import Denial, Denials
from controlplane.domain.audit.events import EPOCH, Actor
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Runtime
from controlplane.domain.vault import deciding, prints, sealed
from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.connections import SERVED
from controlplane.domain.vault.contents import contents
from controlplane.domain.vault.deciding import Decision, Mode
from controlplane.domain.vault.durations import Durations
from controlplane.domain.vault.looking import Caller, Seen, Sights, rule_of
from controlplane.domain.vault.paths import Call
from controlplane.domain.vault.reading import LEASE, NOTE, RENEW, Read, Still, Taken
from controlplane.domain.vault.refreshing import Refresher
from controlplane.domain.vault.sealed import Access
from controlplane.domain.vault.standing import NOT_SERVED
from controlplane.domain.vault.turned_down import (
    CallDenied,
    ConnectionNotServed,
    LeaseBusy,
    LeaseDenied,
    LeaseRevoked,
    LeaseTooShort,
    NonceUsed,
)
from controlplane.kit.clock import rfc3339
from controlplane.kit.ids import LeaseId, TenantId, new_id, parse_id, text_id
from controlplane.kit.problems import NotFound
from runtime_agent.wire.leases import Bound, Contents, Decided, Lease, LeaseRequest

TRIES: Final = 3
"""What was decided on can change in between; whoever changes it three times in a millisecond is asked to wait."""

TENTH: Final = 10
"""Of a token's life: what a lease ends ahead of it, at the least."""


DURATIONS: Final = Durations()


class Ask(Struct, frozen=True, kw_only=True):
    """A request that is known to be the runtime's own."""

    runtime: Runtime
    caller: Caller
    nonce: bytes
    address: str
    request: LeaseRequest
    renews: UUID | None = None
    mode: Mode = "lease"
    call: Call | None = None
    """What is called, in mode ``proxy``."""
    under: UUID | None = None
    """The lease that it is called under."""
    unsealed: bool = False
    """By its key, not by a signature: what it is given is not sealed to it."""


class Taking(Struct, frozen=True, kw_only=True):
    """A credential that was read for *caller*, which stands on record."""

    caller: Caller
    seen: Seen
    access: Access
    lease: LeaseId
    span: tuple[datetime, datetime]
    """From when to when it is leased."""


class Leasing:
    """Hands out leases; one in each process."""

    db: Database
    sights: Sights
    keyring: Keyring
    catalogue: Catalogue
    _refresher: Refresher
    _denials: Denials

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        catalogue: Catalogue,
        refresher: Refresher,
        denials: Denials,
        durations: Durations = DURATIONS,
    ) -> None:
        self.db, self.sights, self.catalogue = db, Sights(db), catalogue
        self._denials = denials
        self.keyring, self._durations, self._refresher = keyring, durations, refresher
        self._signs: Ed25519PrivateKey = keys.lease_keys(keyring)[keyring.current]

    async def lease(self, ask: Ask) -> Lease | Decided:
        """
        Raises:
            Refusal: As :meth:`take`.
        """
        taken = await self.take(ask)
        return taken if isinstance(taken, Decided) else self._sealed(ask, taken)

    async def take(self, ask: Ask) -> Taking | Decided:
        """What is leased, as it is.

        Raises:
            NotFound, ConnectionAmbiguous: If there is no such connection that the runtime may know of.
            LeaseDenied: If no policy lets it.
            ConnectionNotServed, AppBroken, RefreshFailing, LeaseTooShort: If there is nothing to be had now.
            LeaseRevoked: If what is to be renewed was revoked.
            NonceUsed: If the request was made before.
        """
        id_ = parse_id("con", ask.request.connection) if ask.request.connection else None
        if (taken := await self._as_seen_last(ask, id_)) is not None:
            return taken
        for _ in range(TRIES):
            caller = await self.sights.caller(ask.runtime)
            seen = await self.looked_for(ask, caller, id_)
            decision, now = await self.decided(ask, caller, seen), self.db.clock()
            ends = self._end(ask, seen, decision, now)
            if ask.request.dry_run:
                rule = await self.note(ask, caller, seen, rule_of(decision.policy, decision.rule), "success")
                version = seen.cred_version
                return Decided(allowed=True, rule=rule, connection=seen.shown, expires_at=ends, cred_version=version)
            if ends is None:
                await self.refreshed(ask, seen)
            elif not seen.printed:
                await prints.learn(self.db, self.keyring, ask.runtime.tenant_id, seen.id)
            elif (taken := await self._take(ask, caller, seen, decision, (now, ends))) is not None:
                return taken
        raise LeaseBusy(timedelta(seconds=1))

    async def _as_seen_last(self, ask: Ask, id_: UUID | None) -> Taking | None:
        """What nothing speaks against by what was seen last; whether it still holds is asked by what hands it out."""
        known = self.sights.known(ask.runtime, id_)
        if known is None or ask.request.dry_run:
            return None
        caller, seen = known
        decision, now = self._decide(ask, caller, seen, "lease"), self.db.clock()
        if not decision.allowed or seen.state not in SERVED or not seen.readable:
            return None
        try:
            ends = self._end(ask, seen, decision, now)
        except LeaseTooShort:
            return None
        return None if ends is None else await self._take(ask, caller, seen, decision, (now, ends))

    async def looked_for(self, ask: Ask, caller: Caller, id_: UUID | None) -> Seen:
        """
        Raises:
            NotFound, ConnectionAmbiguous: If none fits, or several.
        """
        try:
            if ask.request.connection and id_ is None:
                raise NotFound
            return await self.sights.connection(ask.runtime.tenant_id, caller, ask.request, id_)
        except NotFound:
            await self.note(ask, caller, None, "not-found", "denied")
            raise

    def _decide(self, ask: Ask, caller: Caller, seen: Seen, mode: Mode) -> Decision:
        asking = structs.replace(caller.asking(ask.request.agent, ask.request.purpose), call=ask.call)
        return deciding.decide(caller.rules.rules, asking, seen.wanted(), mode, self.db.clock())

    async def decided(self, ask: Ask, caller: Caller, seen: Seen) -> Decision:
        """
        Raises:
            NotFound: If it may not even know of it.
            LeaseDenied, CallDenied: If it may not have it, or use it like that.
        """
        decision = self._decide(ask, caller, seen, ask.mode)
        if decision.allowed:
            return decision
        rule = rule_of(decision.policy, decision.rule)
        await self.denied(ask, caller, seen, rule)
        raise LeaseDenied(rule) if ask.mode == "lease" else CallDenied(rule)

    async def denied(self, ask: Ask, caller: Caller, seen: Seen, rule: str) -> None:
        """Write a refusal down. What it may not know of is not refused to a runtime: it is not there.

        Raises:
            NotFound: If it may not even know of it.
        """
        await self.note(ask, caller, seen, rule, "denied")
        if not self._decide(ask, caller, seen, "metadata").allowed:
            raise NotFound

    def _end(self, ask: Ask, seen: Seen, decision: Decision, now: datetime) -> datetime | None:
        """When a lease of now ends; None: the credential does not last long enough.

        Raises:
            ConnectionNotServed, LeaseTooShort: If there is none whatever the credential.
        """
        if seen.state not in SERVED or not seen.readable:
            raise ConnectionNotServed(seen.state, seen.state_reason)
        may = self._durations.longest
        if decision.max_ttl_s is not None:
            may = min(may, timedelta(seconds=decision.max_ttl_s))
        if may < timedelta(seconds=ask.request.min_ttl_s):
            raise LeaseTooShort
        if seen.access_exp is None:
            return now + may
        left = seen.access_exp - self._margin(seen, seen.access_exp) - now
        return now + min(may, left) if left >= _least(ask) else None

    def _margin(self, seen: Seen, expires_at: datetime) -> timedelta:
        tenth = (expires_at - seen.since) / TENTH
        return max(self._durations.margin, min(tenth, self._durations.margin_most))

    async def refreshed(self, ask: Ask, seen: Seen) -> None:
        """Have the next credential, which the caller looks at.

        Raises:
            AppBroken, RefreshFailing: If it cannot be had now.
            LeaseTooShort: If there is none that lasts longer.
        """
        assert seen.access_exp is not None, "what does not end lasts long enough"
        wanted = self._margin(seen, seen.access_exp) + _least(ask)
        try:
            version = await self._refresher.ensure(ask.runtime.tenant_id, seen.id, wanted)
        except NOT_SERVED:
            return  # as who looks again will see
        if version == seen.cred_version:
            raise LeaseTooShort

    async def _take(
        self, ask: Ask, caller: Caller, seen: Seen, decision: Decision, span: tuple[datetime, datetime]
    ) -> Taking | None:
        """What is leased; None: something is not as it was decided on any more."""
        assert decision.policy is not None, "nothing is allowed without one"
        row, (now, ends) = caller.row, span
        lease_id = LeaseId(ask.renews or new_id(now))
        still = Still(
            changed_at=seen.changed_at,
            generation=row.generation,
            sealing_key=row.sealing_key,
            project_id=row.project_id,
            labels=row.labels,
            policy_id=decision.policy.id,
            now=now,
            expires_at=ends,
            unsealed=ask.unsealed,
        )
        read = self.read(ask, caller, seen, text_id("pol", decision.policy.id), "success", lease_id)
        statement = RENEW if ask.renews else LEASE
        tenant_id = ask.runtime.tenant_id
        values = statement.values(asdict(read) | asdict(still))
        [taken] = await self.db.at_once(tenant_id, Taken, statement.sql, *values)
        if not taken.holds:
            return None
        if not taken.first:
            raise NonceUsed
        if taken.access_blob is None:
            raise LeaseRevoked
        if seen.access_exp is not None:
            self._refresher.soon(tenant_id, seen.id, seen.since, seen.access_exp)
        access = await self.opened(tenant_id, seen, taken.access_blob)
        return Taking(caller=caller, seen=seen, access=access, lease=lease_id, span=span)

    async def opened(self, tenant_id: TenantId, seen: Seen, blob: bytes) -> Access:
        now, sealing = self.db.clock(), self.db.sealing
        assert sealing is not None, "the server has master keys"
        found = sealed.access_at_hand(sealing, tenant_id, (seen.id, seen.cred_version), blob, now)
        if found is not None:
            return found
        async with self.db.tenant(tenant_id) as tx:
            return await sealed.open_access(tx, seen.id, seen.cred_version, blob)

    def contents(self, taken: Taking) -> Contents:
        """What a lease has inside."""
        seen = taken.seen
        return contents(self.catalogue.find(seen.provider), taken.access, seen.granted_scopes, seen.facts)

    def _sealed(self, ask: Ask, taken: Taking) -> Lease:
        caller, seen, (begins, ends) = taken.caller, taken.seen, taken.span
        bound = Bound(
            tenant=caller.row.slug,
            runtime=caller.shown,
            kid=caller.kid,
            suite=1 if caller.row.sealing_suite == 1 else 2,
            connection=seen.shown,
            account=seen.account_key,
            lease=text_id("lea", taken.lease),
            cred_version=seen.cred_version,
            issued_at=rfc3339(begins),
            expires_at=rfc3339(ends),
            nonce=ask.nonce.hex(),
        )
        closed = caller.lock.seal(msgspec.json.encode(self.contents(taken)), bound.info())
        return Lease(
            bound=bound,
            name=seen.name,
            provider=seen.provider,
            renew_after=begins + (ends - begins) * 2 / 3,
            key=self.keyring.current,
            sealed=prints.base64url(closed),
            signature=prints.base64url(self._signs.sign(bound.signed(closed))),
        )

    async def note(self, ask: Ask, caller: Caller, seen: Seen | None, rule: str, outcome: str) -> str:
        """Write down that nothing was handed out, and why; returns *rule*. Who is refused all the time is summed up.

        Raises:
            NonceUsed: If the request was made before.
        """
        if outcome == "denied" and not await self._denials.is_told(_denial(ask, caller, seen, rule)):
            return rule
        read = self.read(ask, caller, seen, rule, outcome, ask.renews or ask.under)
        [noted] = await self.db.at_once(ask.runtime.tenant_id, Taken, NOTE.sql, *NOTE.values(asdict(read)))
        if not noted.first:
            raise NonceUsed
        return rule

    def read(self, ask: Ask, caller: Caller, seen: Seen | None, rule: str, outcome: str, lease_id: UUID | None) -> Read:
        asked: dict[str, Any] = {name: getattr(ask.request, name) for name in ("agent", "run", "tool", "purpose")}
        return Read(
            occurred_us=(self.db.clock() - EPOCH) // timedelta(microseconds=1),
            act=_act(ask),
            outcome=outcome,
            runtime_id=caller.row.id,
            connection_id=seen.id if seen else None,
            cred_version=seen.cred_version if seen else None,
            scopes=seen.granted_scopes if seen else [],
            rule=rule,
            policies_version=caller.rules.version,
            lease_id=lease_id,
            kid="" if ask.unsealed else caller.kid,
            nonce=ask.nonce,
            address=ask.address,
            call=ask.call.shown() if ask.call else None,
            **asked,
        )


def _denial(ask: Ask, caller: Caller, seen: Seen | None, rule: str) -> Denial:
    """What is written into the tenant's chain where refusals are summed up: of one connection to one runtime."""
    target = ("connection", seen.shown if seen else "")
    return Denial(
        chain=ask.runtime.tenant_id,
        caller=f"{caller.shown} {target[1]}",
        actor=Actor(kind="runtime", id=caller.shown),
        action="lease.denied",
        target=target,
        facts={"rule": rule, "mode": ask.mode},
    )


def _act(ask: Ask) -> str:
    if ask.unsealed:
        return "unsealed"
    if ask.request.dry_run:
        return "dry-run"
    if ask.mode == "proxy":
        return "call"
    return "renew" if ask.renews else "lease"


def _least(ask: Ask) -> timedelta:
    """How long a lease has to last at the least."""
    return max(timedelta(seconds=ask.request.min_ttl_s), timedelta(milliseconds=1))
