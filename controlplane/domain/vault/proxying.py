"""Calls for runtimes: the credential is put in here and goes to the provider only; what comes back goes on at once.

Who asks, whether they may, and that it stands on record is as with a lease (:mod:`controlplane.domain.vault.leasing`);
beyond that it is decided for each call, by host, method and path. No transaction is open while a provider is called.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from msgspec import Struct, structs
from msgspec.structs import asdict

from controlplane.domain.vault import prints, targets
from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.connections import SERVED
from controlplane.domain.vault.contents import carriers, contents, place, secrets_in
from controlplane.domain.vault.deciding import Decision
from controlplane.domain.vault.leasing import TRIES, Ask, Leasing
from controlplane.domain.vault.looking import Caller, Seen, rule_of
from controlplane.domain.vault.provider import Provider
from controlplane.domain.vault.reading import USE, Still, Taken
from controlplane.domain.vault.refreshing import Refresher
from controlplane.domain.vault.sealed import Access
from controlplane.domain.vault.standing import NOT_SERVED
from controlplane.domain.vault.targets import CallUnpinned, Target
from controlplane.domain.vault.turned_down import (
    CallsBusy,
    CallTimedOut,
    CallUnanswered,
    CallUnauthorized,
    ConnectionNotServed,
    LeaseBusy,
    LeaseRevoked,
    NonceUsed,
)
from controlplane.kit.echoes import Echoes
from controlplane.kit.guard import Bounds, CallFailed, Coming, Guard
from controlplane.kit.ids import parse_id, text_id
from controlplane.kit.problems import Refusal
from runtime_agent.wire.calls import STATUS, CallDecided, CallRequest

log = structlog.get_logger("controlplane.vault")

BOUNDS: Final = Bounds(most_bytes=8 << 20, head_s=30.0, whole_s=120.0)

LEAST_LEFT: Final = timedelta(seconds=30)
"""Of a token's life, where it has one: what ends sooner is followed by the next before it is used."""

AT_ONCE: Final = 50
"""Calls of one runtime that one process has under way."""

HIDDEN: Final = "***"


class Passed(Struct, frozen=True, kw_only=True):
    """A provider's answer, on its way through."""

    headers: Mapping[str, str]
    """The provider's status is in one of them."""
    body: AsyncIterator[bytes]


class Proxying:
    """Makes the calls; one in each process."""

    leasing: Leasing
    bounds: Bounds
    _refresher: Refresher
    _guard: Guard

    def __init__(
        self, leasing: Leasing, catalogue: Catalogue, refresher: Refresher, guard: Guard, bounds: Bounds = BOUNDS
    ) -> None:
        self.leasing, self.bounds = leasing, bounds
        self._catalogue, self._refresher, self._guard = catalogue, refresher, guard
        self._under_way: Counter[UUID] = Counter()

    async def call(self, ask: Ask, request: CallRequest) -> Passed | CallDecided:
        """
        Raises:
            NotFound, ConnectionAmbiguous: If there is no such connection that the runtime may know of.
            CallDenied: If no policy lets it.
            CallUnpinned, CallHostRefused, CallPathRefused, CallHeaderRefused: If it is none that is made for anybody.
            ConnectionNotServed, AppBroken, RefreshFailing: If there is nothing to call with now.
            LeaseRevoked: If the lease that it is made under has ended.
            NonceUsed: If the request was made before.
            CallsBusy, CallUnauthorized, CallUnanswered, CallTimedOut: If nothing came of it.
        """
        id_ = parse_id("con", ask.request.connection) if ask.request.connection else None
        for _ in range(TRIES):
            caller = await self.leasing.sights.caller(ask.runtime)
            seen = await self.leasing.looked_for(ask, caller, id_)
            provider = self._catalogue.find(seen.provider)
            ask, target, headers = await self._targeted(ask, caller, seen, request)
            decision = await self.leasing.decided(ask, caller, seen)
            if seen.state not in SERVED or not seen.readable:
                raise ConnectionNotServed(seen.state, seen.state_reason)
            if ask.request.dry_run:
                rule = await self.leasing.note(ask, caller, seen, rule_of(decision.policy, decision.rule), "success")
                return _decided(seen, provider, (rule, target, headers), len(request.body))
            if await self._is_over(ask, seen):
                continue
            if not seen.printed:
                await prints.learn(self.leasing.db, self.leasing.keyring, ask.runtime.tenant_id, seen.id)
            elif (access := await self._take(ask, caller, seen, decision)) is not None:
                return await self._made(ask, seen, access, (target, headers, request.body))
        raise LeaseBusy(timedelta(seconds=1))

    async def _targeted(
        self, ask: Ask, caller: Caller, seen: Seen, request: CallRequest
    ) -> tuple[Ask, Target, dict[str, str]]:
        """Where it goes and what goes along; a call that is made for nobody is on record as well."""
        provider = self._catalogue.find(seen.provider)
        try:
            headers = targets.sent(provider, request.headers)
            target = targets.target(place(provider, seen.facts), request.method, request.url)
            if not carriers(provider, seen.facts):
                raise CallUnpinned("nothing says how a request carries it")
        except Refusal as refusal:
            await self.leasing.denied(ask, caller, seen, refusal.code)
            raise
        return structs.replace(ask, call=target.call), target, headers

    async def _is_over(self, ask: Ask, seen: Seen) -> bool:
        """Whether the token was about to end, and it has to be looked at anew.

        Raises:
            AppBroken, RefreshFailing: If the next one cannot be had now.
        """
        if seen.access_exp is None or seen.access_exp - self.leasing.db.clock() > LEAST_LEFT:
            return False
        try:
            version = await self._refresher.ensure(ask.runtime.tenant_id, seen.id, LEAST_LEFT)
        except NOT_SERVED:
            return True  # as who looks again will see
        return version != seen.cred_version

    async def _take(self, ask: Ask, caller: Caller, seen: Seen, decision: Decision) -> Access | None:
        """What the call is made with; None: something is not as it was decided on any more."""
        assert decision.policy is not None, "nothing is allowed without one"
        row, now, tenant_id = caller.row, self.leasing.db.clock(), ask.runtime.tenant_id
        still = Still(
            changed_at=seen.changed_at,
            generation=row.generation,
            sealing_key=row.sealing_key,
            project_id=row.project_id,
            labels=row.labels,
            policy_id=decision.policy.id,
            now=now,
            expires_at=now,
            unsealed=False,
        )
        read = self.leasing.read(ask, caller, seen, text_id("pol", decision.policy.id), "success", ask.under)
        values = USE.values(asdict(read) | asdict(still))
        [taken] = await self.leasing.db.at_once(tenant_id, Taken, USE.sql, *values)
        if not taken.holds:
            return None
        if not taken.first:
            raise NonceUsed
        if taken.access_blob is None:
            raise LeaseRevoked
        if seen.access_exp is not None:
            self._refresher.soon(tenant_id, seen.id, seen.since, seen.access_exp)
        return await self.leasing.opened(tenant_id, seen, taken.access_blob)

    async def _made(self, ask: Ask, seen: Seen, access: Access, what: tuple[Target, dict[str, str], bytes]) -> Passed:
        target, headers, sent = what
        provider, runtime = self._catalogue.find(seen.provider), ask.runtime.id
        carried = _carried(provider, seen, access, headers)
        if self._under_way[runtime] >= AT_ONCE:
            raise CallsBusy
        self._under_way[runtime] += 1
        began = time.monotonic()
        try:
            coming = await self._answered(target, carried, sent)
            try:
                await self._check(ask, seen, coming)
            except BaseException:
                await coming.close()
                raise
        except BaseException:
            self._end(runtime)
            raise
        echoes = Echoes(_secrets(provider, access, carried))
        body = self._through(ask, seen, target, (coming, echoes, began))
        await anext(body)  # once begun, it closes what it has even if nobody ever reads it
        return Passed(
            headers={
                **{name: echoes.strip(value) for name, value in targets.passed(coming.headers).items()},
                STATUS: f"engine-cloud; received-status={coming.status}",
            },
            body=body,
        )

    async def _answered(self, target: Target, headers: Mapping[str, str], body: bytes) -> Coming:
        try:
            return await self._guard.begin(
                target.call.method, target.url, headers=headers, content=body, bounds=self.bounds
            )
        except CallFailed as failed:
            which = CallTimedOut if failed.why == "timeout" else CallUnanswered
            raise which(str(failed), sent=failed.sent) from failed

    async def _check(self, ask: Ask, seen: Seen, coming: Coming) -> None:
        """
        Raises:
            CallUnauthorized: If the credential is not taken. The next is got, where there is one to be had.
            CallUnanswered: If it is not passed on.
        """
        if coming.status == 401:
            raise CallUnauthorized(renewed=await self._renewed(ask, seen))
        if coming.status < 200:
            raise CallUnanswered("it wants to speak another protocol", sent=True)
        if coming.headers.get("content-encoding", "identity") != "identity":
            raise CallUnanswered("it is encoded, and nobody asked for that", sent=True)
        length = coming.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.bounds.most_bytes:
            raise CallUnanswered(f"it is longer than {self.bounds.most_bytes} bytes", sent=True)

    async def _renewed(self, ask: Ask, seen: Seen) -> bool:
        try:
            return await self._refresher.refresh(ask.runtime.tenant_id, seen.id)
        except Refusal:
            return False

    async def _through(
        self, ask: Ask, seen: Seen, target: Target, what: tuple[Coming, Echoes, float]
    ) -> AsyncIterator[bytes]:
        coming, echoes, began = what
        count, whole = 0, False
        try:
            yield b""
            async for chunk in echoes.out_of(coming.chunks()):
                count += len(chunk)
                yield chunk
            whole = True
        finally:
            self._end(ask.runtime.id)
            await coming.close()
            log.info(
                "vault.called",
                connection=seen.shown,
                runtime=text_id("rt", ask.runtime.id),
                method=target.call.method,
                host=target.call.host,
                status=coming.status,
                bytes=count,
                whole=whole,
                took_ms=round((time.monotonic() - began) * 1000),
            )

    def _end(self, runtime: UUID) -> None:
        self._under_way[runtime] -= 1
        if not self._under_way[runtime]:
            del self._under_way[runtime]


def _carried(provider: Provider | None, seen: Seen, access: Access, given: Mapping[str, str]) -> dict[str, str]:
    """All headers of the call.

    Raises:
        CallUnpinned: If the credential has nothing that a request could carry.
    """
    inject = contents(provider, access, seen.granted_scopes, seen.facts).inject
    extra = provider.api.extra if provider else {}
    its = {name.lower(): value for name, value in inject.items() if name not in extra}
    if not its:
        raise CallUnpinned("it has nothing that a request carries")
    return {**_lower(extra), **_lower(given), **its}


def _secrets(provider: Provider | None, access: Access, carried: Mapping[str, str]) -> list[str]:
    """What must not come back: whatever of it is secret, and what has been made of it for the request."""
    shown = {name for name, each in (provider.fields if provider else {}).items() if not each.secret}
    hidden = structs.replace(access, fields={name: each for name, each in access.fields.items() if name not in shown})
    basic = [value.removeprefix("Basic ") for value in carried.values() if value.startswith("Basic ")]
    return [*secrets_in(hidden), *basic]


def _decided(
    seen: Seen, provider: Provider | None, what: tuple[str, Target, Mapping[str, str]], count: int
) -> CallDecided:
    rule, target, headers = what
    hidden = dict.fromkeys(_lower(carriers(provider, seen.facts)), HIDDEN)
    return CallDecided(
        allowed=True,
        rule=rule,
        connection=seen.shown,
        cred_version=seen.cred_version,
        method=target.call.method,
        url=target.url,
        headers={**_lower(provider.api.extra if provider else {}), **_lower(headers), **hidden},
        bytes=count,
    )


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
