"""Flights: what is done with an intent to refresh, from what others may have left behind to what is written down."""

import asyncio
import random
import secrets
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from controlplane.db.database import Database, TenantTx
from controlplane.domain.vault import apps, asking, failing, intents, keeping, pauses, restores
from controlplane.domain.vault.apps import RedirectUri
from controlplane.domain.vault.asking import Question
from controlplane.domain.vault.catalogue import Catalogue
from controlplane.domain.vault.intents import Intent
from controlplane.domain.vault.keeping import ACTOR, Got, Rules, Superseded
from controlplane.domain.vault.pace import Pace
from controlplane.domain.vault.provider import Provider
from controlplane.domain.vault.spool import NoSpool, Spool
from controlplane.kit.ids import TenantId, text_id
from controlplane.kit.limiter import Limiter, Rate
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.oauth.failures import Failure

log = structlog.get_logger("controlplane.vault")

NOT_THERE: Final = (SQLAlchemyError, OSError, TimeoutError)
"""What a database raises that is away, or does not want to."""


class Ended(Struct, frozen=True, kw_only=True):
    """What became of a flight."""

    kind: str = ""
    """Why nothing came; empty: look again, the row says more."""
    wait_s: float | None = 0.0
    """Until it is worth another try; None: until somebody sees to it."""


LOOK: Final = Ended()


class Moved(Exception):
    """Somebody else has taken over."""


class Gear(Struct, frozen=True, kw_only=True):
    """What a crew works with."""

    db: Database
    catalogue: Catalogue
    caller: Caller
    """Gives up after ``pace.call_s``."""
    pace: Pace
    spool: Spool
    limiter: Limiter
    redirect_uri: RedirectUri
    superseded: Sequence[Superseded] = ()


class Crew:
    """Carries out intents. One for a process."""

    def __init__(self, gear: Gear) -> None:
        self._db, self._catalogue, self._caller = gear.db, gear.catalogue, gear.caller
        self._pace, self._spool, self._limiter = gear.pace, gear.spool, gear.limiter
        self._redirect_uri, self._superseded = gear.redirect_uri, gear.superseded

    def rules(self, provider: Provider) -> Rules:
        return Rules(refreshing=provider.dialect.refreshing, pace=self._pace, roll=_roll())

    async def carry_out(self, tenant_id: TenantId, intent: Intent, since: float) -> Ended:
        """
        Args:
            since: When it was claimed, or earlier, on the monotonic clock.
        """
        provider = self._catalogue.find(intent.provider)
        if provider is None:
            return await self._failed(tenant_id, intent, Failure("request_fault", "no-provider", sent=False), False)
        try:
            if await self._is_adopted(tenant_id, intent, provider):
                return LOOK
            if self._spool.holds(intent):
                return Ended(kind="spooled", wait_s=self._pace.deadline_s)
            if intent.takeover:
                since = time.monotonic()
                await self._extend(tenant_id, intent)
            question = await self._prepared(tenant_id, intent, provider)
            if isinstance(question, Ended):
                return question
            return await self._asked(tenant_id, intent, question, provider, since)
        except Moved:
            return LOOK
        except Failure as failure:
            return await self._failed(tenant_id, intent, failure, intent.in_doubt)

    async def keep(self, tenant_id: TenantId, intent: Intent, new: Got) -> None:
        """What came in *new*, in one transaction; raises what the database raises."""
        rules = self.rules(self._catalogue.get(intent.provider))
        async with self._db.tenant(tenant_id) as tx:
            kept = await keeping.keep(tx, intent, new, rules, self._superseded)
            await pauses.worked(tx, intent)
        if kept != "kept":
            log.warning("refresh.kept-beside", connection=text_id("con", intent.id), how=kept)

    async def _is_adopted(self, tenant_id: TenantId, intent: Intent, provider: Provider) -> bool:
        """Whether somebody else's tokens were there to be adopted, or turned up while it was waited for them.

        Whoever has begun may still have what the provider gave. Where a used refresh token must not be sent again,
        sending it now would end a grant that they could still save.
        """
        rules = self.rules(provider)
        wait_s = 0.0
        if intent.takeover and not asking.is_replayable(intent, provider.dialect.refreshing):
            wait_s = self._pace.adopt_s
            await self._extend(tenant_id, intent, wait_s)  # so that no third one takes over meanwhile
        until = time.monotonic() + wait_s
        while True:
            async with self._db.tenant(tenant_id) as tx:
                if await keeping.adopt(tx, intent, rules, self._superseded):
                    return True
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(self._pace.poll_s)

    async def _extend(self, tenant_id: TenantId, intent: Intent, more_s: float = 0.0) -> None:
        """Have a whole deadline from now, and *more_s*.

        Raises:
            Moved: If it is somebody else's by now.
        """
        async with self._db.tenant(tenant_id) as tx:
            if not await intents.extend(tx, intent, timedelta(seconds=self._pace.deadline_s + more_s)):
                raise Moved

    async def _prepared(self, tenant_id: TenantId, intent: Intent, provider: Provider) -> Question | Ended:
        """What is needed to ask; or the intent is given back, because this is not the time.

        Raises:
            Failure: If there is nothing to ask with.
        """
        async with self._db.tenant(tenant_id) as tx:
            before = intent.fail_class, intent.fail_count
            if await restores.holds_back(tx, intent, provider):
                await intents.release(tx, intent, *before, tx.now + restores.LOOK_AGAIN)
                return Ended(kind=restores.RESTORED, wait_s=None)
            if not await pauses.admit(tx, intent, self._pace):
                await intents.release(tx, intent, *before, tx.now + timedelta(seconds=self._pace.poll_s))
                return LOOK
            key = secrets.token_bytes(32)
            return await asking.prepare(tx, intent, provider, self._redirect_uri, key)

    async def _asked(
        self, tenant_id: TenantId, intent: Intent, question: Question, provider: Provider, since: float
    ) -> Ended:
        """
        Raises:
            Moved: If it took so long that it is somebody else's.
        """
        await self._wait_turn(intent)
        if time.monotonic() - since > (self._pace.deadline_s - self._pace.call_s) / 2:
            await self._extend(tenant_id, intent)  # who has slept asks before they act
        in_doubt, asked_at = intent.in_doubt, self._db.clock()
        try:
            tokens = await asking.ask(self._caller, intent, question)
        except Failure as failure:
            if failure.kind != "maybe_sent" or asking.is_replayable(intent, provider.dialect.refreshing):
                return await self._failed(tenant_id, intent, failure, in_doubt or failure.kind == "maybe_sent")
            # whatever the provider has given for it is lost already, so asking once more can only help
            await self._extend(tenant_id, intent)
            asked_at = self._db.clock()
            try:
                tokens = await asking.ask(self._caller, intent, question)
            except Failure as second:
                return await self._failed(tenant_id, intent, second, True)
        new = keeping.got(tokens, question.goes_on, intent, asked_at)
        await asyncio.shield(self._brought(tenant_id, intent, question, new))
        return LOOK

    async def _wait_turn(self, intent: Intent) -> None:
        """Until this app may make one more call."""
        rate = Rate(burst=self._pace.bucket_burst, every=timedelta(seconds=self._pace.bucket_every_s))
        app = intent.app_id or intent.platform_app_id
        wait_s = await self._limiter.admit(f"refresh:{intent.provider}:{app}", rate)
        while wait_s > 0:
            await asyncio.sleep(min(wait_s, self._pace.call_s))
            wait_s = await self._limiter.admit(f"refresh:{intent.provider}:{app}", rate)

    async def _brought(self, tenant_id: TenantId, intent: Intent, question: Question, new: Got) -> None:
        """Keep *new*, in the database or else on disk."""
        for _ in range(self._pace.commit_tries):
            try:
                await self.keep(tenant_id, intent, new)
            except NOT_THERE as error:
                log.warning("refresh.not-kept", connection=text_id("con", intent.id), error=type(error).__name__)
                await asyncio.sleep(self._pace.commit_retry_s)
            else:
                return
        try:
            self._spool.put(tenant_id, intent, question, new)
        except (NoSpool, OSError) as error:
            log.critical("refresh.lost", connection=text_id("con", intent.id), error=type(error).__name__)
            raise
        log.critical("refresh.spooled", connection=text_id("con", intent.id))

    async def _failed(self, tenant_id: TenantId, intent: Intent, failure: Failure, in_doubt: bool) -> Ended:
        """Write down what a failure leads to."""
        facts = {"connection": text_id("con", intent.id), "provider": intent.provider, "code": failure.code}
        tell = log.error if failure.kind in failing.ALARMING else log.warning
        tell("refresh.failed", kind=failure.kind, **facts)
        if failure.kind == "app_fault":
            await self._blame_app(tenant_id, intent, failure.code or failure.kind)
        async with self._db.tenant(tenant_id) as tx:
            if failure.kind == "grant_dead" and await self._rescued(tx, intent):
                return LOOK
            failure = await restores.told(tx, intent, failure)
            what = failing.sequel(failure, intent, in_doubt, tx.now, self._pace, _roll())
            if not await failing.write(tx, intent, what, failure.kind):
                return LOOK
            if failure.kind in failing.OF_THE_APP:
                await pauses.failed(tx, intent, self._pace, failure.retry_after_s)
            elif failure.kind != "app_fault":
                await pauses.worked(tx, intent)
        if what.needs_reauth or failure.kind == "app_fault":
            return LOOK
        wait_s = None if what.next_at is None else (what.next_at - tx.now).total_seconds()
        return Ended(kind=failure.kind, wait_s=wait_s)

    async def _rescued(self, tx: TenantTx, intent: Intent) -> bool:
        """Whether somebody else has used the token up, and what they got for it is there."""
        provider = self._catalogue.find(intent.provider)
        return provider is not None and await keeping.adopt(tx, intent, self.rules(provider), self._superseded)

    async def _blame_app(self, tenant_id: TenantId, intent: Intent, reason: str) -> None:
        if intent.app_id is not None:
            async with self._db.tenant(tenant_id) as tx:
                await apps.broken(tx, ACTOR, intent.app_id, reason)
        elif intent.platform_app_id is not None:
            async with self._db.platform() as platform:
                await apps.broken(platform, ACTOR, intent.platform_app_id, reason)


def _roll() -> float:
    return random.random()  # noqa: S311 spread, not secrecy
