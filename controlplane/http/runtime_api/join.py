"""POST /v1/runtime/enroll and /token: with a join token once, with the runtime's own key ever after."""

from datetime import datetime
from typing import Any

from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec.structs import replace

from controlplane.db.database import Database, TenantTx
from controlplane.domain import (
    join_tokens,
    keys,
    projects,
    rekeying,
    runtime_locks,
    runtime_tokens,
    runtimes,
    tenants,
)
from controlplane.domain.audit import Actor
from controlplane.domain.configs import standing
from controlplane.domain.keys import Keyring
from controlplane.domain.permissions import Runtime
from controlplane.domain.runtime_locks import RuntimeLocked
from controlplane.domain.runtime_tokens import LIFETIME, AccessTokens, AssertionInvalid, Claims, KeyInUse
from controlplane.domain.runtimes import Identity
from controlplane.domain.sync import cursors
from controlplane.domain.vault.leasing import Leasing
from controlplane.domain.vault.prints import base64url
from controlplane.http import limits
from controlplane.http.authorize import Surface, open_to_all, rule
from controlplane.http.headers import request_id
from controlplane.http.runtime_api import signed
from controlplane.http.runtime_api.admission import ENROLL, TOKEN, Admission, at
from controlplane.kit import tokens
from controlplane.kit.ids import RuntimeId, TenantId, text_id
from controlplane.kit.wakeups import Wakeups
from runtime_agent.wire.join import Enroll, Enrolled, KnownBy, NewKey, TokenAnswer, TokenRequest


class JoinController(Controller):
    @post(
        "/enroll",
        status_code=201,
        opt=open_to_all("the join token in the body is the credential", Surface.RUNTIME),
        before_request=at(ENROLL, limits.from_one_place("enroll-from", limits.ENROLL_FROM)),
        summary="Join a runtime",
    )
    async def enroll(
        self,
        data: JSONBody[Enroll],
        request: Request[Any, Any, Any],
        db: NamedDependency[Database],
        keyring: NamedDependency[Keyring],
        access_tokens: NamedDependency[AccessTokens],
    ) -> Enrolled:
        """Spend a join token and pin the runtime's two keys.

        The same key with a token that still counts gets the same runtime again, until that has asked for a token:
        an answer that was lost does no harm.
        """
        public_key = runtime_tokens.public_bytes(data.public_key)
        sealing_key = runtimes.sealing_key(1, data.sealing_key)
        if tokens.kind_of(data.join_token) != "jt":
            raise join_tokens.JoinTokenUnknown
        token_hash = tokens.fingerprint(keyring.pepper, data.join_token)
        runtime_tokens.check_possession(data.proof, public_key, data.sealing_key, data.join_token, db.clock())
        tenant_id = await db.tenant_of(join_tokens.ROUTE, token_hash)
        if tenant_id is None:
            raise join_tokens.JoinTokenUnknown
        async with db.tenant(tenant_id) as tx:
            tenant = await tenants.get(tx)
            if tenant.status != "active":
                raise runtimes.not_served(tenant.status)
            runtime = await runtimes.joined_with(tx, public_key)
            if runtime is not None:
                await join_tokens.check(tx, token_hash)
                if runtime.join_count > 1:
                    raise KeyInUse
            else:
                asked = request_id(request.scope), data
                runtime = await _newcomer(tx, asked, token_hash, public_key, sealing_key)
            project = await projects.get(tx, runtime.project_id)
            config = await standing.first(tx, keyring, runtime.id)
            now = tx.now
        return Enrolled(
            runtime_id=runtime.id,
            runtime=text_id("rt", runtime.id),
            tenant=tenant.slug,
            project=project.slug,
            name=runtime.name,
            join_state=access_tokens.join_state(runtime.id, runtime.join_count),
            access_token=_access_token(access_tokens, tenant_id, runtime, now),
            expires_in=int(LIFETIME.total_seconds()),
            lease_keys=_lease_keys(keyring),
            config=config,
        )

    @post(
        "/token",
        status_code=200,
        opt=open_to_all("the assertion in the body is the credential", Surface.RUNTIME),
        before_request=at(TOKEN, limits.from_one_place("token-from", limits.TOKEN_FROM)),
        summary="Ask for an access token",
    )
    async def token(
        self,
        data: JSONBody[TokenRequest],
        request: Request[Any, Any, Any],
        db: NamedDependency[Database],
        access_tokens: NamedDependency[AccessTokens],
        wakeups: NamedDependency[Wakeups],
    ) -> TokenAnswer:
        """Exchange an assertion by the runtime's own key for an access token of ten minutes (RFC 7523).

        The join state shown is the one that the last answer brought; an old one locks the runtime.
        """
        subject = runtime_tokens.subject(data.client_assertion)
        admission: Admission = request.app.state.admission
        async with admission.one_who_comes(limits.address(request)):
            tenant_id = await db.tenant_of("runtime", subject.bytes)
            if tenant_id is None:
                raise AssertionInvalid
            async with db.tenant(tenant_id) as tx:
                public_keys = await runtime_tokens.keys_of(tx, RuntimeId(subject))
                if not public_keys:
                    raise AssertionInvalid
                runtime_tokens.check_assertion(data.client_assertion, public_keys, subject, tx.now)
                runtime = await runtimes.identify(tx, RuntimeId(subject))
                assert runtime is not None  # no runtime is ever deleted
                await _check_standing(tx, runtime)
                shown = access_tokens.count_in(data.join_state, runtime.id)
                turn = await runtime_locks.count_call(tx, runtime, shown, data.nonce)
                now = tx.now
        if turn is None:
            await wakeups.nudge(f"tenant:{tenant_id}")
            await wakeups.nudge("fleet")
            raise RuntimeLocked
        return TokenAnswer(
            access_token=_access_token(access_tokens, tenant_id, replace(runtime, generation=turn.generation), now),
            expires_in=int(LIFETIME.total_seconds()),
            join_state=access_tokens.join_state(runtime.id, turn.count),
        )

    @post(
        "/key",
        status_code=200,
        opt=rule(Surface.RUNTIME, "sync:write"),
        summary="Replace the runtime's key",
    )
    async def key(
        self,
        data: JSONBody[NewKey],
        request: Request[Runtime, Any, Any],
        runtime: NamedDependency[Runtime],
        leasing: NamedDependency[Leasing],
    ) -> KnownBy:
        """Known by another key from now on: a request signed by the key there is, with a proof by the new one.

        The key before counts for ten more minutes. Only the key there is can name the next.
        """
        caller = await leasing.sights.caller(runtime)
        await signed.check(request, leasing.db, caller, now_only=True)
        public_key = runtime_tokens.public_bytes(data.public_key)
        runtime_tokens.check_new_key(data.proof, public_key, runtime.id, leasing.db.clock())
        actor = Actor(kind="runtime", id=caller.shown, request_id=request_id(request.scope))
        async with leasing.db.tenant(runtime.tenant_id) as tx:
            await rekeying.replace(tx, actor, runtime.id, public_key)
        return KnownBy(public_key=data.public_key)


async def _newcomer(
    tx: TenantTx, asked: tuple[str, Enroll], token_hash: bytes, public_key: bytes, sealing_key: bytes
) -> Identity:
    token = await join_tokens.spend(tx, token_hash)
    await projects.check_open(tx, token.project_id)
    actor = Actor(kind="join-token", id=text_id("jt", token.id), request_id=asked[0])
    runtime = await runtimes.enroll(tx, actor, token.project_id, asked[1], public_key, sealing_key)
    await cursors.begin(tx, runtime.id)
    return runtime


def _lease_keys(keyring: Keyring) -> dict[str, str]:
    own = keys.lease_keys(keyring)
    return {name: base64url(key.public_key().public_bytes_raw()) for name, key in own.items()}


async def _check_standing(tx: TenantTx, runtime: Identity) -> None:
    if runtime.revoked_at is not None:
        raise runtimes.Revoked
    if runtime.locked_at is not None:
        raise RuntimeLocked
    tenant = await tenants.get(tx)
    if tenant.status != "active":
        raise runtimes.not_served(tenant.status)


def _access_token(access_tokens: AccessTokens, tenant_id: TenantId, runtime: Identity, now: datetime) -> str:
    claims = Claims(
        tenant_id=tenant_id,
        runtime_id=runtime.id,
        generation=runtime.generation,
        expires_at=now.timestamp() + LIFETIME.total_seconds(),
    )
    return access_tokens.issue(claims, now)
