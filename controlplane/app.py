"""Everything is put together here and nowhere else."""

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler
from redis.asyncio import Redis

from controlplane import settings
from controlplane.chores import all as every_chore
from controlplane.chores import loop
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import keys
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Authorizer
from controlplane.domain.runtime_tokens import AccessTokens
from controlplane.http import authentication, authorize, headers, health, me, openapi, principals, problems, proof
from controlplane.http.authorize import Surface
from controlplane.http.console import door as console
from controlplane.http.console.live import Streams
from controlplane.http.operator_api import door as operator_api
from controlplane.http.pages import PAGING
from controlplane.http.runtime_api import door as runtime_api
from controlplane.http.sessions import cookie_for
from controlplane.http.tenant_api import door as tenant_api
from controlplane.kit import limiter, log, presence, wakeups
from controlplane.kit.problems import Refusal
from controlplane.kit.secret import Secret
from controlplane.settings import Settings

ROUTERS: Sequence[ControllerRouterHandler] = [
    health.router,
    openapi.openapi,
    me.router,
    me.auth_router,
    tenant_api.router,
    operator_api.router,
    runtime_api.router,
    console.router,
]

AUTHENTICATION = {
    Surface.TENANT: authentication.person_or_api_key,
    Surface.OPERATOR: authentication.person_or_operator_key,
    Surface.RUNTIME: runtime_api.authenticate,
    Surface.ME: authentication.person,
    Surface.CONSOLE: authentication.person,
}
"""How each surface learns who calls."""

DEFAULTS = Settings()

MAX_BODY_BYTES = 1 << 20
"""Of a request; routes that take more say so themselves."""


def from_environment() -> Litestar:
    """The app of one replica, as ``CONTROLPLANE_*`` says. What a granian worker calls.

    Raises:
        SettingInvalid, UnusableKeyring: If it cannot be put together.
    """
    log.configure()
    calm_the_collector()
    given = settings.read(os.environ)
    assert given.database_url is not None, "whoever starts a replica names its database"
    redis = Redis.from_url(given.redis_url) if given.redis_url else None
    return build(Database(given.database_url), keys.read(given.kek, os.environ), given, redis=redis)


def documented() -> dict[str, object]:
    """The OpenAPI document of this release. Asks no database."""
    return openapi.document(build(Database("postgresql://nobody@127.0.0.1/none"), keys.new()))


class Parts:
    """What the requests and the chores of one process share."""

    def __init__(self, db: Database, keyring: Keyring, redis: Redis | None) -> None:
        self.db, self.keyring, self.redis = db, keyring, redis
        self.streams = Streams()
        self.access_tokens = AccessTokens.under(keyring)
        self.partitions = Partitions(db)
        self.presence = presence.ThroughRedis(redis) if redis else presence.InMemory()
        self.limiter = limiter.ThroughRedis(redis) if redis else limiter.InMemory()
        self.wakeups = wakeups.ThroughRedis(redis) if redis else wakeups.InMemory()

    def chores(self) -> Sequence[loop.Chore]:
        return every_chore.chores(self.db, self.presence, self.partitions)

    def dependencies(self) -> dict[str, Provide]:
        """What handlers ask for by name."""
        return {
            "db": always(self.db),
            "keyring": always(self.keyring),
            "access_tokens": always(self.access_tokens),
            "partitions": always(self.partitions),
            "presence": always(self.presence),
            "wakeups": always(self.wakeups),
            "limiter": always(self.limiter),
            **PAGING,
            **principals.PRINCIPALS,
        }

    def state(self) -> dict[str, object]:
        """What guards and authentication need, for whom nothing is injected."""
        return {
            "db": self.db,
            "keyring": self.keyring,
            "access_tokens": self.access_tokens,
            "authentication": AUTHENTICATION,
            "authorizer": Authorizer(),
            "cursor_key": keys.cursor_key(self.keyring),
            "limiter": self.limiter,
            "streams": self.streams,
        }

    @asynccontextmanager
    async def running(self, chores: Sequence[loop.Chore]) -> AsyncIterator[None]:
        """With the chores being done; closes what was opened."""
        try:
            with self.streams.until_signalled():
                async with _doing(self.db, chores):
                    yield
        finally:
            if self.redis is not None:
                await self.redis.aclose()
            await self.db.close()


def build(
    db: Database,
    keyring: Keyring,
    given: Settings = DEFAULTS,
    *,
    redis: Redis | None = None,
    with_chores: bool = True,
) -> Litestar:
    """
    Args:
        given: How the service is met from outside; where database, Redis and keyring are is not asked again.
        redis: Shared by the replicas; None: this is the only one.
        with_chores: False where a test does them itself.
    """
    parts = Parts(db, keyring, redis)
    app = Litestar(
        route_handlers=ROUTERS,
        guards=[authorize.authorize],
        state=State({**parts.state(), **_outside(given)}),
        dependencies=parts.dependencies(),
        exception_handlers={
            Refusal: problems.refuse,
            HTTPException: problems.malformed,
            Exception: problems.broken,
        },
        before_send=[headers.complete],
        request_max_body_size=MAX_BODY_BYTES,
        lifespan=[lambda _: parts.running(parts.chores() if with_chores else ())],
        openapi_config=openapi.config(),
        on_app_init=[openapi.take_litestars_pages_away],
        logging_config=None,  # kit.log has seen to it; Litestar's would talk over it
        debug=False,
    )
    proof.prove(app)
    app.state.methods = proof.methods(app)
    return app


def _outside(given: Settings) -> dict[str, object]:
    """What the service is to those who call it."""
    return {
        "public_url": given.public_url,
        "session_cookie": cookie_for(given.public_url),
        "metrics_token": Secret(given.metrics_token) if given.metrics_token else None,
        "trusted_proxies": given.proxies(),
    }


def calm_the_collector() -> None:
    """Look for cyclic garbage less often: a batch makes thousands of objects and no cycle (half its time, measured)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@asynccontextmanager
async def _doing(db: Database, chores: Sequence[loop.Chore]) -> AsyncIterator[None]:
    """With the chores being done beside it."""
    task = asyncio.create_task(loop.run(db, chores))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def always(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)
