"""Everything is put together here and nowhere else."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler
from redis.asyncio import Redis

from controlplane import settings
from controlplane.chores import all as every_chore
from controlplane.chores import loop
from controlplane.chores.refreshes import of_refreshes
from controlplane.chores.webhooks import Courier
from controlplane.db.database import Database
from controlplane.db.partitions import Partitions
from controlplane.domain import commands, keys, tombstones
from controlplane.domain.audit.denials import Denials
from controlplane.domain.directory.lists import Bookmarks
from controlplane.domain.key_uses import KEEP_OF_RUNTIMES, KEEP_SCIM, KEEP_SYNCED, KeyUses
from controlplane.domain.keys import Keyring
from controlplane.domain.letters import Letterhead
from controlplane.domain.logs import Desk
from controlplane.domain.passkey_answers import site_of
from controlplane.domain.permissions import Authorizer
from controlplane.domain.runtime_tokens import AccessTokens
from controlplane.domain.sync.pulses import Pulses
from controlplane.domain.vault import catalogue, leased, spool
from controlplane.domain.vault.leasing import Leasing
from controlplane.domain.vault.proxying import Proxying
from controlplane.domain.vault.refreshing import Refresher, Shared
from controlplane.http import (
    authentication,
    authorize,
    denials,
    edge,
    headers,
    health,
    idempotency,
    openapi,
    principals,
    problems,
    proof,
    routes,
)
from controlplane.http.allowance import Allowances
from controlplane.http.answers import Answer
from controlplane.http.authorize import Surface
from controlplane.http.bodies import StrictRequest
from controlplane.http.connecting import door as connecting
from controlplane.http.connecting.desk import CONNECT_DESK, Vault
from controlplane.http.console import door as console
from controlplane.http.console.live import Streams
from controlplane.http.credentials_api import door as credentials_api
from controlplane.http.me import door as me
from controlplane.http.operator_api import door as operator_api
from controlplane.http.pages import PAGING
from controlplane.http.runtime_api import door as runtime_api
from controlplane.http.runtime_api import sockets
from controlplane.http.runtime_api.admission import Admission
from controlplane.http.runtime_api.channel import OpenChannels
from controlplane.http.scim import answers as scim_answers
from controlplane.http.scim import door as scim
from controlplane.http.sessions import cookie_for
from controlplane.http.sso.desk import DESK, Operators, SignOn
from controlplane.http.tenant_api import door as tenant_api
from controlplane.http.tenant_api.events import topic
from controlplane.kit import collector, herd, limiter, log, mailing, presence, wakeups
from controlplane.kit.blobs import Blobs
from controlplane.kit.channels import Channels
from controlplane.kit.guard import Guard
from controlplane.kit.ids import TenantId
from controlplane.kit.mailing import Post
from controlplane.kit.oauth.calling import Caller
from controlplane.kit.openid.discovery import Providers
from controlplane.kit.problems import Refusal
from controlplane.kit.redis import reach
from controlplane.kit.secret import Secret
from controlplane.kit.txt_records import TxtRecords
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
    scim.router,
    credentials_api.router,
    connecting.router,
]

AUTHENTICATION = {
    Surface.TENANT: authentication.person_or_api_key,
    Surface.OPERATOR: authentication.person_or_operator_key,
    Surface.RUNTIME: runtime_api.authenticate,
    Surface.ME: authentication.person,
    Surface.CONSOLE: authentication.person,
    Surface.SCIM: authentication.directory,
    Surface.CREDENTIALS: authentication.runtime_by_key,
}
"""How each surface learns who calls."""

INJECTED = (
    *("db", "guard", "keyring", "access_tokens", "partitions", "presence", "wakeups", "limiter"),
    *("letterhead", "sign_on", "catalogue", "oauth", "vault", "leasing", "proxying", "refresher", "blobs", "log_desk"),
)
"""What handlers can ask for by these names."""

DEFAULTS = Settings()

FROM = "Engine Cloud <engine-cloud@localhost>"
"""Whom letters in the folder are from."""

CHECKPOINTS = "audit-checkpoints"
"""Folder in the home into which signed checkpoints leave the database."""

MAX_BODY_BYTES = 1 << 20
"""Of a request; routes that take more say so themselves."""


def from_environment() -> Litestar:
    """The app of one replica, as ``CONTROLPLANE_*`` says. What a granian worker calls.

    Raises:
        SettingInvalid, UnusableKeyring, CatalogueBroken: If it cannot be put together.
    """
    log.configure()
    collector.calm()
    given = settings.read(os.environ)
    assert given.database_url is not None, "whoever starts a replica names its database"
    redis = reach(given.redis_url) if given.redis_url else None
    keyring, sealing = keys.opened(given.kek, given.keyring, os.environ, given.kek_grace())
    return build(Database(given.database_url, sealing=sealing), keyring, given, redis=redis)


def documented() -> dict[str, object]:
    """The OpenAPI document of this release. Asks no database."""
    given = Settings(public_url="https://localhost")
    return openapi.document(build(Database("postgresql://nobody@127.0.0.1/none"), keys.new(), given))


class Parts:
    """What the requests and the chores of one process share."""

    def __init__(self, db: Database, keyring: Keyring, redis: Redis | None, given: Settings) -> None:
        self.db, self.keyring, self.redis, self.given = db, keyring, redis, given
        self.letterhead = Letterhead(public_url=given.public_url, pepper=keyring.pepper)
        self.post = _post(given)
        self.guard = Guard(networks=given.callable_networks(), loopback=given.outbound_loopback)
        self.sign_on = _sign_on(given, Providers(self.guard, db.clock))
        self.catalogue = catalogue.read()
        self.oauth = Caller(self.guard, db.clock)
        self.vault = Vault(catalogue=self.catalogue, caller=self.oauth, public_url=given.public_url)
        self.tombstones = Path(given.home) / tombstones.FOLDER if given.home else None
        self.streams = Streams(given.drain_s)
        self.admission = Admission()
        self.open_channels = OpenChannels()
        self.keyring_file = _own_keyring(given)
        self.denials = Denials(db)
        self.courier = Courier(db, self.guard)
        self.access_tokens = AccessTokens.under(keyring)
        self.partitions = Partitions(db)
        self.key_uses = KeyUses()
        self.scim_uses, self.scim_syncs = KeyUses(KEEP_SCIM), KeyUses(KEEP_SYNCED)
        self.runtime_key_uses = KeyUses(KEEP_OF_RUNTIMES)
        self.presence = presence.ThroughRedis(redis) if redis else presence.InMemory()
        self.pulses = Pulses(db)
        self.limiter = limiter.ThroughRedis(redis) if redis else limiter.InMemory()
        self.channels = Channels(redis) if redis else None
        self.wakeups = wakeups.ThroughRedis(self.channels) if self.channels else wakeups.InMemory()
        self.log_desk = Desk(keyring, self.channels)
        self.blobs = Blobs(given.blob_url, os.environ)
        self.refresher = self._refresher()
        self.leasing = Leasing(db, keyring, self.catalogue, self.refresher, self.denials, given.lease_durations())
        self.proxying = Proxying(self.leasing, self.catalogue, self.refresher, self.guard)
        db.on_told = self.tell

    def _refresher(self) -> Refresher:
        pace = self.given.refresh_pace
        shared = Shared(
            herd=herd.ThroughRedis(self.redis) if self.redis else herd.Open(),
            limiter=self.limiter,
            spool=Path(self.given.home) / spool.FOLDER if self.given.home else None,
            superseded=[leased.superseded],
        )
        caller = Caller(self.guard, self.db.clock, within_s=pace.call_s)
        return Refresher(self.db, self.catalogue, caller, self.vault.redirect_uri, pace, shared)

    async def tell(self, tenant_id: TenantId, told: Sequence[Any]) -> None:
        """Wake who waits for events of a tenant: readers, the runtimes that are asked for something, who looks on."""
        await self.wakeups.nudge(topic(tenant_id))
        for runtime in commands.addressed(told):
            await self.wakeups.nudge(commands.topic(runtime))
        if any(each["type"].startswith(("command.", "config.", "rollout.")) for each in told):
            await self.wakeups.nudge(f"tenant:{tenant_id}")

    def chores(self) -> Sequence[loop.Chore]:
        uses = (self.key_uses, self.scim_uses, self.scim_syncs, self.runtime_key_uses)
        folder = Path(self.given.home) / CHECKPOINTS if self.given.home else None
        return (
            *every_chore.chores(self.db, self.partitions, uses, self.post, self.letterhead),
            *every_chore.of_presence(self.db, self.presence, self.admission),
            *every_chore.of_sign_on(self.db, self.sign_on.records),
            *every_chore.of_webhooks(self.db, self.courier),
            *every_chore.of_vault(self.db, self.catalogue, self.oauth),
            *of_refreshes(self.db, self.refresher),
            *every_chore.of_keys(self.db, self.wakeups, self.given.key_rest()),
            *every_chore.of_lifecycles(self.db, self.keyring, self.tombstones, self.blobs),
            *every_chore.of_content(self.db, self.blobs),
            *every_chore.of_configs(self.db, self.wakeups),
            *every_chore.of_audit_logs(self.db, self.keyring, self.denials, folder, self.given.audit_syslog_url),
        )

    def state(self) -> dict[str, object]:
        """What handlers ask for by name (:data:`INJECTED`), and what guards and authentication need."""
        return {
            "db": self.db,
            "keyring": self.keyring,
            "keyring_file": self.keyring_file,
            "access_tokens": self.access_tokens,
            "authentication": AUTHENTICATION,
            "allowances": Allowances(self.db, self.limiter),
            "authorizer": Authorizer(),
            "denials": self.denials,
            "key_uses": self.key_uses,
            "scim_uses": self.scim_uses,
            "scim_syncs": self.scim_syncs,
            "runtime_key_uses": self.runtime_key_uses,
            "scim_bookmarks": Bookmarks(),
            "wakeups": self.wakeups,
            "cursor_key": keys.cursor_key(self.keyring),
            "limiter": self.limiter,
            "streams": self.streams,
            "guard": self.guard,
            "partitions": self.partitions,
            "presence": self.presence,
            "pulses": self.pulses,
            "admission": self.admission,
            "open_channels": self.open_channels,
            "letterhead": self.letterhead,
            "sign_on": self.sign_on,
            "vault": self.vault,
            "catalogue": self.catalogue,
            "oauth": self.oauth,
            "leasing": self.leasing,
            "proxying": self.proxying,
            "refresher": self.refresher,
            "blobs": self.blobs,
            "log_desk": self.log_desk,
        }

    @asynccontextmanager
    async def running(self, chores: Sequence[loop.Chore]) -> AsyncIterator[None]:
        """With the chores being done; closes what was opened."""
        try:
            with self.streams.until_signalled():
                async with loop.beside(loop.run(self.db, chores), *([self.admission.watch()] if chores else ())):
                    yield
                await self.denials.sum_up(at_the_end=True)
        finally:
            await self.log_desk.close()
            await self.courier.close()
            await self.refresher.close()
            await self.guard.close()
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
    return furnish(assemble(), Parts(db, keyring, redis, given), with_chores=with_chores)


def assemble() -> Litestar:
    """The routes, proved and settled, which are the same for every replica; :func:`furnish` makes them one."""
    app = Litestar(
        route_handlers=ROUTERS,
        guards=[authorize.authorize],
        dependencies={
            **{name: of_state(name) for name in INJECTED},
            **DESK,
            **CONNECT_DESK,
            **PAGING,
            **principals.PRINCIPALS,
        },
        exception_handlers={
            Refusal: problems.refuse,
            idempotency.Replay: idempotency.replayed,
            HTTPException: _malformed,
            Exception: problems.broken,
        },
        request_class=StrictRequest,
        response_class=Answer,
        after_exception=[denials.write_down, scim_answers.write_down, sockets.note],
        before_send=[headers.complete, sockets.tell],
        request_max_body_size=MAX_BODY_BYTES,
        lifespan=[lambda app: app.state.running()],
        openapi_config=openapi.config(),
        on_app_init=[openapi.take_litestars_pages_away],
        logging_config=None,  # kit.log has seen to it; Litestar's would talk over it
        debug=False,
    )
    proof.prove(app)
    routes.settle(app)
    app.state["methods"] = proof.methods(app)
    app.asgi_handler = edge.around(app.asgi_handler)
    return app


def furnish(app: Litestar, parts: Parts, *, with_chores: bool = True) -> Litestar:
    """*app* with what its requests share. Whatever it had before is forgotten: all that changes is in its state."""
    running = partial(parts.running, parts.chores() if with_chores else ())
    its_own = {"methods": app.state["methods"], "running": running}
    app.state = State({**parts.state(), **_outside(parts.given), **its_own})
    return app


def _malformed(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What no door has come to see: an address or a method that does not exist."""
    if request.scope["path"].startswith(scim_answers.BASE):
        return scim_answers.malformed(request, error)
    return problems.malformed(request, error)


def _outside(given: Settings) -> dict[str, object]:
    """What the service is to those who call it."""
    return {
        "public_url": given.public_url,
        "passkey_site": site_of(given.public_url),
        "session_cookie": cookie_for(given.public_url),
        "impersonation_cookie": cookie_for(given.public_url, "impersonation"),
        "metrics_token": Secret(given.metrics_token) if given.metrics_token else None,
        "trusted_proxies": given.proxies(),
        "deletion_grace": given.grace(),
    }


def _sign_on(given: Settings, providers: Providers) -> SignOn:
    """Single sign-on; the platform's own provider where all three settings name one."""
    operators = None
    if given.operator_sso_issuer and given.operator_sso_client_id and given.operator_sso_client_secret:
        operators = Operators(
            issuer=given.operator_sso_issuer,
            client_id=given.operator_sso_client_id,
            client_secret=Secret(given.operator_sso_client_secret),
        )
    records = TxtRecords(given.resolvers())
    return SignOn(providers=providers, records=records, public_url=given.public_url, operators=operators)


def _post(given: Settings) -> Post:
    """How letters leave: through the mail server that was named, or into a folder of the home."""
    sender = given.mail_from or FROM
    if given.smtp_url:
        return mailing.through(given.smtp_url, sender)
    return mailing.IntoFolder(Path(given.home) / "outbox", sender)


def _own_keyring(given: Settings) -> Path | None:
    """The file that a new master key may be put into from here: nobody else has a copy of it, being the only replica."""
    if given.redis_url is not None or not given.kek.startswith("file:"):
        return None
    return Path(given.kek.removeprefix("file:"))


def of_state(name: str) -> Provide:
    """What stands in the app's state under *name*."""

    def given(request: Request[Any, Any, Any]) -> Any:
        return request.app.state[name]

    return Provide(given, sync_to_thread=False)
