"""Consent on another device, for the API and for the console alike: a code to be shown, and asking what became of it."""

from typing import Final

from controlplane.domain.audit import Actor
from controlplane.domain.vault import connecting, sealed, servers, waiting
from controlplane.domain.vault.connecting import ConnectSession, LinkOver, TookTooLong
from controlplane.domain.vault.waiting import Waiting
from controlplane.http.connecting import going, returning
from controlplane.http.connecting.desk import Desk
from controlplane.http.connecting.returning import ExchangeFailed, Met, SaidNo
from controlplane.kit.ids import ConnectSessionId, TenantId
from controlplane.kit.oauth import devices
from controlplane.kit.oauth.failures import Failure, Kind
from controlplane.kit.oauth.tokens import Tokens
from controlplane.kit.problems import NotFound, Refusal

TRIED_AGAIN: Final[frozenset[Kind]] = frozenset({"not_sent", "maybe_sent", "throttled", "transient"})
"""Failures after which the person may still consent."""


class NoDeviceFlow(Refusal):
    code, status, title = "connect-device-unknown", 409, "This provider lets nobody consent on another device"
    hint = "Send a browser there instead."


async def begin(desk: Desk, actor: Actor, tenant_id: TenantId, session_id: ConnectSessionId) -> Waiting:
    """Use the session up, and get a code that its person types in elsewhere; asked again, the same one.

    Raises:
        DeviceFlowOff: If the tenant has not turned it on.
        LinkOver: If the session was used, or took too long.
        NoDeviceFlow: If the provider has no such way.
        ProviderSilent, ServerUnusable: If it does not answer.
        NotFound, UnknownProvider, AppNotOwn, VariableRefused: If the session's app is not what it was.
    """
    async with desk.db.tenant(tenant_id) as tx:
        await waiting.check_allowed(tx)
        if (known := await waiting.under_way(tx, session_id)) is not None:
            return known
        session = await connecting.use(tx, session_id)
        app = await desk.app(tx, session)
        client = await desk.client(tx, app)
    provider = desk.vault.provider(session.provider)
    try:
        server = await going.server_of(desk, provider, app, session)
        if not server.device:
            raise NoDeviceFlow
        device = await devices.begin(desk.vault.caller, server, client, session.scopes)
    except (Failure, Refusal) as error:
        refusal = going.ProviderSilent(error) if isinstance(error, Failure) else error
        await returning.failed(desk, tenant_id, session, refusal)
        raise refusal from error
    async with desk.db.tenant(tenant_id) as tx:
        return await waiting.begin(tx, actor, session.id, device, servers.written(server, provider))


async def ask(desk: Desk, actor: Actor, tenant_id: TenantId, session_id: ConnectSessionId) -> ConnectSession:
    """How far it has got. The provider is asked, but no more often than it lets us, and only until the code is over.

    Raises:
        DeviceFlowOff: If the tenant has turned it off.
        NotFound: If nobody is to consent elsewhere for this session.
    """
    async with desk.db.tenant(tenant_id) as tx:
        await waiting.check_allowed(tx)
        session, known = await connecting.get(tx, session_id), await waiting.get(tx, session_id)
        claimed = await waiting.claim(tx, session_id)
    if session.state == "away" and known.expires_at <= desk.db.clock():
        await _over(desk, tenant_id, session, known, TookTooLong())
    elif claimed is not None:
        await _asked(desk, actor, tenant_id, session, claimed)
    async with desk.db.tenant(tenant_id) as tx:
        return await connecting.get(tx, session_id)


async def _asked(desk: Desk, actor: Actor, tenant_id: TenantId, session: ConnectSession, claimed: Waiting) -> None:
    """Ask once. No transaction is open meanwhile."""
    if claimed.code_blob is None:
        return
    try:
        async with desk.db.tenant(tenant_id) as tx:
            app = await desk.app(tx, session)
            client = await desk.client(tx, app)
            code = await sealed.open_code(tx, claimed.id, claimed.code_blob)
    except NotFound:
        await _over(desk, tenant_id, session, claimed, LinkOver())
        return
    provider = desk.vault.provider(session.provider)
    server = servers.read(claimed.endpoints, provider)
    variables = provider.chosen({**session.variables, **app.variables})
    met = Met(session=session, client=client, server=server, variables=variables)
    try:
        given = await devices.poll(desk.vault.caller, server, client, code)
    except Failure as failure:
        await _failed(desk, tenant_id, session, claimed, failure)
        return
    if isinstance(given, Tokens):
        await _given(desk, actor, tenant_id, met, claimed, given)
    elif given == "slow_down":
        async with desk.db.tenant(tenant_id) as tx:
            await waiting.slower(tx, claimed)


async def _given(desk: Desk, actor: Actor, tenant_id: TenantId, met: Met, claimed: Waiting, given: Tokens) -> None:
    async with desk.db.tenant(tenant_id) as tx:
        await waiting.end(tx, claimed)
    try:
        await returning.kept(desk, actor, tenant_id, met, given)
    except Refusal as refusal:
        await returning.failed(desk, tenant_id, met.session, refusal)


async def _failed(desk: Desk, tenant_id: TenantId, session: ConnectSession, claimed: Waiting, failure: Failure) -> None:
    if failure.kind in TRIED_AGAIN:
        async with desk.db.tenant(tenant_id) as tx:
            await waiting.slower(tx, claimed)
        return
    await returning.note_fault(desk, tenant_id, session, failure)
    refusals: dict[str, Refusal] = {"access_denied": SaidNo(failure.code), "expired_token": TookTooLong()}
    await _over(desk, tenant_id, session, claimed, refusals.get(failure.code) or ExchangeFailed(failure))


async def _over(desk: Desk, tenant_id: TenantId, session: ConnectSession, claimed: Waiting, refusal: Refusal) -> None:
    async with desk.db.tenant(tenant_id) as tx:
        await waiting.end(tx, claimed)
    await returning.failed(desk, tenant_id, session, refusal)
